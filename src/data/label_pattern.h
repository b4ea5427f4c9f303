// Patterns such as '{label}_{speaker}_{take}' that find a sample's class in its
// file name.
//
// A field takes the characters up to the next literal text of the pattern, at
// least one; the last field takes the rest. A pattern with '/' is matched
// against the path below the data folder. File name endings do not take part.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ft {

class LabelPattern {
 public:
  // Needs exactly one {label}, and text between any two fields.
  static Result<LabelPattern> parse(std::string_view text);

  // The text at {label}, or nothing if the name does not match.
  std::optional<std::string> label_of(std::string_view name) const;

  bool spans_folders() const { return spans_folders_; }

 private:
  struct Part {
    bool is_field;
    std::string text;  // literal, or the field's name
  };
  std::vector<Part> parts_;
  bool spans_folders_ = false;
};

}  // namespace ft
