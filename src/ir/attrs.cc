#include "ir/attrs.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/result.h"

namespace ft {
namespace {

std::string to_text(const Attr& attr) {
  if (const auto* i = std::get_if<int64_t>(&attr)) return fmt::format("{}", *i);
  if (const auto* d = std::get_if<double>(&attr)) return fmt::format("{}", *d);
  if (const auto* v = std::get_if<std::vector<int64_t>>(&attr))
    return fmt::format("[{}]", fmt::join(*v, ", "));
  return std::get<std::string>(attr);
}

template <class T>
T typed(const Attr* attr, T fallback) {
  if (attr == nullptr) return fallback;
  const T* value = std::get_if<T>(attr);
  FT_CHECK(value != nullptr);
  return *value;
}

}  // namespace

Attrs::Attrs(std::initializer_list<std::pair<std::string, Attr>> attrs) {
  for (const auto& [name, value] : attrs) set(name, value);
}

void Attrs::set(std::string_view name, Attr value) {
  const auto at = std::lower_bound(
      attrs_.begin(), attrs_.end(), name,
      [](const auto& entry, std::string_view n) { return entry.first < n; });
  if (at != attrs_.end() && at->first == name) {
    at->second = std::move(value);
  } else {
    attrs_.insert(at, {std::string(name), std::move(value)});
  }
}

const Attr* Attrs::find(std::string_view name) const {
  for (const auto& [key, value] : attrs_)
    if (key == name) return &value;
  return nullptr;
}

int64_t Attrs::get_int(std::string_view name, int64_t fallback) const {
  return typed<int64_t>(find(name), fallback);
}

double Attrs::get_real(std::string_view name, double fallback) const {
  return typed<double>(find(name), fallback);
}

std::vector<int64_t> Attrs::get_ints(std::string_view name) const {
  return typed<std::vector<int64_t>>(find(name), {});
}

std::string Attrs::get_word(std::string_view name,
                            std::string_view fallback) const {
  return typed<std::string>(find(name), std::string(fallback));
}

std::string Attrs::to_string() const {
  std::vector<std::string> parts;
  for (const auto& [name, value] : attrs_)
    parts.push_back(name + "=" + to_text(value));
  return fmt::format("{{{}}}", fmt::join(parts, ", "));
}

}  // namespace ft
