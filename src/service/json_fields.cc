#include "service/json_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ft::service {
namespace {

constexpr int kDeepest = 8;
// 256 predictions or samples have a tenth of it. Each takes a hundred bytes
// when it is parsed and two in the body: four clients' bodies of "[],[],..."
// would be half a gigabyte.
constexpr size_t kMostParts = 16384;

// What a text has outside of its strings, without understanding it; what is
// not JSON is the parser's to find.
struct Outline {
  int deepest = 0;
  size_t parts = 0;      // lists, objects and strings
  size_t members = 0;    // of objects
  bool has_nul = false;  // which the parser takes for the end
};

Outline outline_of(std::string_view text) {
  Outline found;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    in_string = c == '"';
    if (c == '[' || c == '{') found.deepest = std::max(found.deepest, ++depth);
    if (c == ']' || c == '}') --depth;
    found.parts += c == '[' || c == '{' || c == '"' ? 1 : 0;
    found.members += c == ':' ? 1 : 0;
    found.has_nul |= c == '\0';
  }
  return found;
}

// Of all objects in it; the parser keeps the last of those of one name.
size_t members_in(const Input& value) {
  size_t count = value.is_object() ? value.size() : 0;
  for (const Input& item : value)
    if (item.is_structured()) count += members_in(item);
  return count;
}

Status wrong(const char* name, const char* wanted) {
  return usage_error(fmt::format("field '{}' must be {}", name, wanted));
}

}  // namespace

Result<Input> parse_object(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) return Input::object();
  const Outline outline = outline_of(text);
  if (outline.deepest > kDeepest)
    return usage_error(
        fmt::format("the body is nested deeper than {} levels", kDeepest));
  if (outline.parts > kMostParts)
    return usage_error(
        fmt::format("the body has {} lists, objects and texts, above {}",
                    outline.parts, kMostParts));
  Input parsed;
  if (!outline.has_nul) parsed = Input::parse(text, nullptr, false);
  if (outline.has_nul || parsed.is_discarded())
    return usage_error("the body is not JSON");
  if (!parsed.is_object()) return usage_error("the body is no JSON object");
  if (members_in(parsed) != outline.members)
    return usage_error("a field of the body is there twice");
  return parsed;
}

Result<Fields> Fields::of(const Input& object,
                          std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return usage_error("a request is no JSON object");
  for (const auto& [name, value] : object.items())
    if (std::ranges::find(known, name) == known.end())
      return usage_error(fmt::format("there is no field '{}' here",
                                     std::string_view(name).substr(0, 64)));
  return Fields(object);
}

const Input* Fields::find(const char* name) const {
  const auto at = object_->find(name);
  return at == object_->end() ? nullptr : &*at;
}

Result<std::optional<std::string>> Fields::text(const char* name) const {
  const Input* value = find(name);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) return wrong(name, "a text");
  return std::optional(value->get<std::string>());
}

Result<std::optional<bool>> Fields::flag(const char* name) const {
  const Input* value = find(name);
  if (value == nullptr) return std::optional<bool>();
  if (!value->is_boolean()) return wrong(name, "true or false");
  return std::optional(value->get<bool>());
}

Result<std::optional<int64_t>> Fields::whole(const char* name, int64_t low,
                                             int64_t high) const {
  const Input* value = find(name);
  if (value == nullptr) return std::optional<int64_t>();
  const bool fits = value->is_number_integer() &&
                    (!value->is_number_unsigned() ||
                     value->get<uint64_t>() <= uint64_t{INT64_MAX}) &&
                    value->get<int64_t>() >= low &&
                    value->get<int64_t>() <= high;
  if (!fits)
    return usage_error(fmt::format(
        "field '{}' must be a whole number from {} to {}", name, low, high));
  return std::optional(value->get<int64_t>());
}

Result<std::optional<double>> Fields::number(const char* name) const {
  const Input* value = find(name);
  if (value == nullptr) return std::optional<double>();
  if (!value->is_number() || !std::isfinite(value->get<double>()))
    return wrong(name, "a finite number");
  return std::optional(value->get<double>());
}

Result<std::vector<std::string>> Fields::texts(const char* name) const {
  const Input* value = find(name);
  std::vector<std::string> all;
  if (value == nullptr) return all;
  if (!value->is_array()) return wrong(name, "a list of texts");
  for (const Input& item : *value) {
    if (!item.is_string()) return wrong(name, "a list of texts");
    all.push_back(item.get<std::string>());
  }
  return all;
}

Result<std::vector<float>> Fields::floats(const char* name) const {
  const Input* value = find(name);
  if (value == nullptr || !value->is_array())
    return wrong(name, "a list of numbers");
  std::vector<float> all;
  all.reserve(value->size());
  for (const Input& item : *value) {
    if (!item.is_number()) return wrong(name, "a list of numbers");
    const auto x = static_cast<float>(item.get<double>());
    if (!std::isfinite(x))
      return usage_error(fmt::format(
          "field '{}': number {} is not finite as float32", name, all.size()));
    all.push_back(x);
  }
  return all;
}

}  // namespace ft::service
