// `fieldtune bench --calibrate`: measures this machine as a target.
#pragma once

#include <string>

#include "base/result.h"

namespace ft::cli {

struct Calibration {
  std::string toml;     // the target "host", as plan/target.h reads it
  int programs = 0;     // that were timed
  size_t kernels = 0;   // rows and classes that were fitted
  double gb_per_s = 0;  // of reading memory that no cache holds
};

// Times every call of calibration_models.h's networks, in inference and in
// training of each precision, with this machine's rows, with those that every
// machine's SIMD has, and with exact ones; fits each row. About a minute.
Result<Calibration> calibrate_host(bool quiet);

}  // namespace ft::cli
