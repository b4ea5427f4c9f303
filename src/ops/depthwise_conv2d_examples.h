// What the tests of all ops compute depthwise convolutions and their gradients
// with.
#pragma once

#include <vector>

#include "ops/op_def.h"

namespace ft::ops {

std::vector<OpExample> depthwise_conv2d_examples();
std::vector<OpExample> depthwise_input_grad_examples();
std::vector<OpExample> depthwise_weight_grad_examples();

}  // namespace ft::ops
