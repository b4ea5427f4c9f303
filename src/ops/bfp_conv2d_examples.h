// What the tests of all ops compute convolutions on block floating point and
// their gradients with.
#pragma once

#include <vector>

#include "ops/op_def.h"

namespace ft::ops {

std::vector<OpExample> bfp_conv2d_examples();
std::vector<OpExample> bfp_conv2d_input_grad_examples();
std::vector<OpExample> bfp_conv2d_weight_grad_examples();
std::vector<OpExample> bfp_depthwise_input_grad_examples();
std::vector<OpExample> bfp_depthwise_weight_grad_examples();

}  // namespace ft::ops
