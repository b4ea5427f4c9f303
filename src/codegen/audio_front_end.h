// Prints an audio front end as C99: ft_frontend.h and ft_frontend.c, which turn
// a stream of 16-bit samples into the input of the printed model.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "ir/graph.h"
#include "kernels/mfcc/mfcc.h"

namespace ft::codegen {

struct AudioFrontEnd {
  ft_mfcc_config config;
  bool fixed_point = false;  // else single-precision floats
};

struct PrintedFrontEnd {
  std::string header, source;
  std::set<std::string> kernels;  // functions that it calls
  size_t ram_bytes = 0;           // sizeof(ft_frontend)
  size_t constant_bytes = 0;      // tables in flash
};

// `input`: of the model. Fails with kUsage where it does not take these
// features, or where fixed point cannot have the settings.
Result<PrintedFrontEnd> print_front_end(const AudioFrontEnd& front_end,
                                        const TensorType& input);

}  // namespace ft::codegen
