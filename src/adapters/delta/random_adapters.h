// Pairs of adapters for the tests of deltas: a random one and the same after a
// little more training.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"

namespace ft {

struct AdapterPair {
  std::vector<std::byte> before, after;
};

// `quantizer` as metadata names it ("float16", "int8/channel", ...).
// `change`: by how much values move, in parts of their spread; share `moving`
// of them does.
AdapterPair random_pair(std::mt19937& random, const std::string& quantizer,
                        float change, float moving = 1);

// Every way to store a tensor.
inline const std::vector<std::string> kAllQuantizers = {
    "float32",      "float16",      "bfloat16",
    "int8/channel", "int8/tensor",  "int8/asymmetric/channel",
    "int8/block32", "int4/channel", "int4/asymmetric/block32",
    "int3/tensor",  "int2/channel", "int6/channel",
    "int16/channel"};

}  // namespace ft
