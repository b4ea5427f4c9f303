#include "data/token_windows.h"

#include <fmt/format.h>

namespace ft {

Result<Dataset> window_tokens(std::span<const int> tokens, int seq_len,
                              int stride) {
  if (seq_len < 1 || stride < 1)
    return usage_error(
        fmt::format("windows of {} tokens every {}: both must be at least 1",
                    seq_len, stride));
  const auto length = static_cast<size_t>(seq_len);
  Dataset set;
  set.feature_size = set.label_size = length;
  set.feature_shape = {seq_len};
  for (size_t at = 0; at + length < tokens.size();
       at += static_cast<size_t>(stride)) {
    for (size_t i = at; i < at + length; ++i) {
      set.features.push_back(static_cast<float>(tokens[i]));
      set.labels.push_back(tokens[i + 1]);
    }
    set.sample_names.push_back(fmt::format("tokens {} + {}", at, length));
  }
  if (set.sample_names.empty())
    return invalid_input(
        fmt::format("the text has {} tokens, one window takes {}",
                    tokens.size(), seq_len + 1));
  return set;
}

}  // namespace ft
