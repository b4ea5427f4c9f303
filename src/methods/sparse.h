// What training needs to know of sparse fine-tuning: which weights it keeps.
//
// A mask is the list of what is kept of one module's weight, in its file's
// order: numbers of entries of the weight as PyTorch lays it out ([out, in, kh,
// kw], [out, in]), or numbers of output channels.
#pragma once

#include <span>
#include <vector>

#include "methods/method.h"

namespace ft {

// True if the mask is to be chosen by gradients and none is given: somebody
// with data must fill MethodSettings::masks before apply().
bool needs_gradient_mask(const MethodSettings& settings);

// The settings that train every entry of `module`, to score them.
MethodSettings every_entry_of(const MethodSettings& settings,
                              const AdaptableModule& module);

// The key of the module's trained values.
std::string sparse_values_key(const AdaptableModule& module);

// The mask that keeps the largest of `scores` (one for each entry of the
// weight, file order; channels count the sum of theirs), as many as the density
// says, at least one; of equals the first.
std::vector<float> sparse_mask(const MethodSettings& settings,
                               const AdaptableModule& module,
                               std::span<const float> scores);

}  // namespace ft
