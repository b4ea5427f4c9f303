// What graphs and compiled programs take of the heap: to tell it, not to plan
// by it.
//
// Counts constants that a graph owns, what programs derive from them, and the
// lists of nodes, values and calls themselves, in the sizes that glibc's
// malloc() gives. Not what is mapped from files, nor arenas and parameters,
// which are their sessions' and adapters'.
#pragma once

#include <cstddef>

#include "train/step.h"

namespace ft {

size_t held_bytes(const Graph& graph);

// Of one that was made from `base`, whose constants it shares; null: of none.
size_t held_bytes(const CompiledStep& step, const Graph* base);

}  // namespace ft
