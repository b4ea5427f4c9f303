// Adapters folded into the base's weights: a program of its own, for the long
// use of one adapter.
#pragma once

#include <functional>
#include <vector>

#include "serving/served_base.h"

namespace ft {

// Gives `served` the program of the model that `fieldtune merge` would write,
// charging the file's bytes and the constants derived from it. Fails where a
// method cannot be merged, and for models that are not .tflite.
Status fill_merged(ServedBase& base, std::vector<LoadedAdapter>& parts,
                   ServedAdapter& served,
                   const std::function<Result<Charge>(size_t)>& charge);

}  // namespace ft
