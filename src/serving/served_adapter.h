// One adapter, or several composed ones, ready for inference: which program it
// runs in, and the values that this program's parameters have.
//
// Immutable, and shared by everyone who runs it: the cache, the runtime's
// active pointer, each request. Whoever comes last frees it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "exec/buffer.h"
#include "serving/byte_budget.h"

namespace ft {

class ShapeClass;

struct ServedAdapter {
  std::shared_ptr<ShapeClass> shape;
  // Of the size of the program's persistent region. Programs only read it.
  std::shared_ptr<GuardedBuffer> block;
  std::vector<std::string> classes;  // what the answer's elements mean
  double load_us = 0;                // what loading costs: its price
  Charge charge;                     // of what it holds alone
};

using ServedAdapterPtr = std::shared_ptr<const ServedAdapter>;

}  // namespace ft
