// The cheapest way to tell one text from another: what of a file's header a
// delta sends.
//
// Weighted edit distance within a band around the diagonal; the weights are
// what ft_delta_code_text() takes for each operation, roughly. Texts that are
// too long for it are told byte by byte, which is right but larger.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "ft_delta_model.h"

namespace ft {

std::vector<ft_delta_text> align_text(std::span<const std::byte> from,
                                      std::span<const std::byte> to);

}  // namespace ft
