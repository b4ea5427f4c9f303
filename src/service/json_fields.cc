#include "service/json_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ft::service {
namespace {

constexpr int kDeepest = 8;

// Brackets outside of strings; what is not JSON is the parser's to find.
bool is_too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kDeepest) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

Status wrong(const char* name, const char* wanted) {
  return usage_error(fmt::format("field '{}' must be {}", name, wanted));
}

}  // namespace

Result<Input> parse_object(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) return Input::object();
  if (is_too_deep(text))
    return usage_error(
        fmt::format("the body is nested deeper than {} levels", kDeepest));
  Input parsed = Input::parse(text, nullptr, false);
  if (parsed.is_discarded()) return usage_error("the body is not JSON");
  if (!parsed.is_object()) return usage_error("the body is no JSON object");
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
