// Next-token samples: windows of a text's tokens.
#pragma once

#include <span>

#include "data/dataset.h"

namespace ft {

// Sample i holds tokens [i * stride, i * stride + seq_len) and, as labels, each
// one's successor; a last window that is not full is left out. Fails if there
// is none. Ids must lie below 2^24, which float32 holds exactly.
Result<Dataset> window_tokens(std::span<const int> tokens, int seq_len,
                              int stride);

}  // namespace ft
