#include "data/label_pattern.h"

#include <fmt/format.h>

#include <algorithm>

namespace ft {

Result<LabelPattern> LabelPattern::parse(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return usage_error(fmt::format("label pattern '{}': {}", text, why));
  };
  LabelPattern out;
  out.spans_folders_ = text.find('/') != std::string_view::npos;
  for (std::string_view rest = text; !rest.empty();) {
    if (rest.front() != '{') {
      const size_t end = std::min(rest.find('{'), rest.size());
      out.parts_.push_back({false, std::string(rest.substr(0, end))});
      if (out.parts_.back().text.find('}') != std::string::npos)
        return bad("'}' without '{'");
      rest.remove_prefix(end);
      continue;
    }
    const size_t end = rest.find('}');
    if (end == std::string_view::npos || end == 1)
      return bad("a field is {name}");
    if (!out.parts_.empty() && out.parts_.back().is_field)
      return bad("two fields need text between them");
    out.parts_.push_back({true, std::string(rest.substr(1, end - 1))});
    rest.remove_prefix(end + 1);
  }
  if (std::count_if(out.parts_.begin(), out.parts_.end(), [](const Part& p) {
        return p.is_field && p.text == "label";
      }) != 1)
    return bad("it needs {label} exactly once");
  return out;
}

std::optional<std::string> LabelPattern::label_of(std::string_view name) const {
  std::string label;
  for (size_t i = 0; i < parts_.size(); ++i) {
    if (!parts_[i].is_field) {
      if (!name.starts_with(parts_[i].text)) return std::nullopt;
      name.remove_prefix(parts_[i].text.size());
      continue;
    }
    const size_t end =
        i + 1 < parts_.size() ? name.find(parts_[i + 1].text, 1) : name.size();
    if (name.empty() || end == std::string_view::npos) return std::nullopt;
    if (parts_[i].text == "label") label = name.substr(0, end);
    name.remove_prefix(end);
  }
  if (!name.empty()) return std::nullopt;
  return label;
}

}  // namespace ft
