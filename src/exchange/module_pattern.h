// Regular expressions over the names of modules, as PEFT's settings have them.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace ft {

// Whether `pattern`, the value of setting `key`, matches all of the module's
// name, or with `any_tail` its last '.'-parts. A pattern comes from outside and
// may take neither long nor deep: fails on one of more than 512 characters,
// with counted repetitions or back-references, or that is malformed.
Result<bool> matches_pattern(std::string_view key, const std::string& pattern,
                             const std::string& module, bool any_tail);

}  // namespace ft
