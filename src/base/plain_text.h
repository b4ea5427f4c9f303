// Text that somebody gives and others read later: in a store, in the metadata
// of an adapter, in a metric or on a page. One rule for all of it: UTF-8,
// without control characters, of a limited length.
//
// Names of adapters are stricter (adapters/store/index.h, check_name()), those
// of metrics too (experiment_rule.h).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ft {

inline constexpr size_t kLongestText = 256;  // bytes

// kUsage with one sentence: what is wrong with `what` ("the reason"), and at
// which byte. Control characters are U+0000 to U+001F and U+007F to U+009F, and
// those that break lines or turn the direction of what stands beside them
// (U+2028, U+2029, U+202A to U+202E, U+2066 to U+2069).
Status check_plain_text(std::string_view what, std::string_view text,
                        size_t longest = kLongestText);

// For a terminal: bytes that check_plain_text() refuses as \xNN. Line feeds
// stay.
std::string printable(std::string_view text);

}  // namespace ft
