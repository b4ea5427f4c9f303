// Joins an update with what makes its gradient where that is an outer product
// of two vectors (the weights of a layer at batch 1): each element's gradient
// is computed where it is used, and there is no tensor of them. The parameter
// gets the same bits.
#pragma once

#include "ir/graph.h"

namespace ft {

// Where nothing but the update reads the gradient. Sums over samples or pixels
// stay as they are: they need a place to be summed in. Behind integerize() and
// move_updates_early().
void fuse_updates(Graph& graph);

}  // namespace ft
