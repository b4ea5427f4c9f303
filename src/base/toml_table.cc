#include "base/toml_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace ft {
namespace {

const toml::table kNone;

std::optional<double> finite(const toml::node& node) {
  if (!node.is_number()) return std::nullopt;
  const auto value = node.value<double>();
  return value && std::isfinite(*value) ? value : std::nullopt;
}

}  // namespace

Result<TomlFile> TomlFile::parse(std::string_view text,
                                 std::string_view source) {
  toml::parse_result parsed = toml::parse(text, source);
  if (!parsed)
    return invalid_input(fmt::format("{}:{}: {}", source,
                                     parsed.error().source().begin.line,
                                     parsed.error().description()));
  TomlFile file;
  file.state_ = std::make_shared<State>();
  file.state_->root = std::move(parsed).table();
  file.state_->source = source;
  return file;
}

TomlTable TomlFile::root() const { return {state_->root, state_, ""}; }

const toml::node* TomlTable::find(std::string_view key) {
  file_->asked[table_].emplace(key);
  return table_->get(key);
}

template <class T>
T TomlTable::exactly(std::string_view key, const char* what) {
  const toml::node* node = find(key);
  const auto value = node ? node->value_exact<T>() : std::optional<T>();
  if (!value) fail(key, what);
  return value.value_or(T{});
}

template <class T, class Take>
std::vector<T> TomlTable::list(std::string_view key, const char* what,
                               const Take& take) {
  std::vector<T> all;
  const toml::node* node = find(key);
  const toml::array* array = node ? node->as_array() : nullptr;
  if (array == nullptr) fail(key, what);
  if (array == nullptr) return all;
  for (const toml::node& item : *array) {
    const std::optional<T> value = take(item);
    if (!value) fail(key, what);
    all.push_back(value.value_or(T{}));
  }
  return all;
}

std::string TomlTable::text(std::string_view key) {
  return exactly<std::string>(key, "text");
}

bool TomlTable::flag(std::string_view key) {
  return exactly<bool>(key, "true or false");
}

int64_t TomlTable::whole(std::string_view key, int64_t least, int64_t most) {
  const auto value = exactly<int64_t>(key, "a whole number");
  if (value < least) fail(key, fmt::format("at least {}", least));
  if (value > most) fail(key, fmt::format("at most {}", most));
  return std::clamp(value, least, most);
}

double TomlTable::number(std::string_view key, double least, double most) {
  const toml::node* node = find(key);
  const auto value = node ? finite(*node) : std::nullopt;
  if (!value) fail(key, "a number");
  if (value && (*value < least || *value > most))
    fail(key, fmt::format("from {} to {}", least, most));
  return value.value_or(0);
}

std::string TomlTable::one_of(std::string_view key,
                              std::initializer_list<const char*> names) {
  std::string found = text(key);
  if (std::ranges::find(names, found) == names.end())
    fail(key, fmt::format("one of {}", fmt::join(names, ", ")));
  return found;
}

std::vector<std::string> TomlTable::texts(std::string_view key) {
  return list<std::string>(key, "a list of texts", [](const toml::node& n) {
    return n.value_exact<std::string>();
  });
}

std::vector<double> TomlTable::numbers(std::string_view key, double least) {
  std::vector<double> all = list<double>(key, "a list of numbers", finite);
  for (const double value : all)
    if (value < least || value > kMost)
      fail(key, fmt::format("numbers from {} to {}", least, kMost));
  return all;
}

TomlTable TomlTable::table(std::string_view key) {
  const toml::node* node = find(key);
  const toml::table* found = node ? node->as_table() : nullptr;
  if (found == nullptr) fail(key, "a table");
  return {found ? *found : kNone, file_, fmt::format("{}{}.", path_, key)};
}

std::vector<TomlTable> TomlTable::tables(std::string_view key) {
  std::vector<TomlTable> all;
  const std::string what = fmt::format("tables [[{}{}]]", path_, key);
  const toml::node* node = find(key);
  const toml::array* array = node ? node->as_array() : nullptr;
  if (array == nullptr || array->empty()) fail(key, what);
  if (array == nullptr) return all;
  for (const toml::node& item : *array)
    if (const toml::table* one = item.as_table())
      all.push_back(TomlTable(*one, file_, ""));
    else
      fail(key, what);
  return all;
}

void TomlTable::read(std::string_view key, bool& out) {
  if (has(key)) out = flag(key);
}

void TomlTable::read(std::string_view key, int32_t& out) {
  constexpr int64_t kMax = std::numeric_limits<int32_t>::max();
  if (has(key)) out = static_cast<int32_t>(whole(key, -kMax, kMax));
}

void TomlTable::read(std::string_view key, float& out) {
  constexpr double kMax = std::numeric_limits<float>::max();
  if (has(key)) out = static_cast<float>(number(key, -kMax, kMax));
}

void TomlTable::read(std::string_view key, std::string& out) {
  if (has(key)) out = text(key);
}

void TomlTable::read(std::string_view key, std::vector<std::string>& out) {
  if (has(key)) out = texts(key);
}

void TomlTable::read(std::string_view key, std::vector<float>& out) {
  if (!has(key)) return;
  const std::vector<double> values = numbers(key, -kMost);
  out.assign(values.begin(), values.end());
}

void TomlTable::know(std::initializer_list<const char*> keys) {
  file_->asked[table_].insert(keys.begin(), keys.end());
}

void TomlTable::done() {
  const auto& known = file_->asked[table_];
  for (const auto& [key, node] : *table_)
    if (!known.contains(key.str()))
      refuse(node, fmt::format("unknown key '{}{}'; there are: {}", path_,
                               key.str(), fmt::join(known, ", ")));
}

void TomlTable::fail(std::string_view key, std::string_view what) {
  refuse(key, fmt::format("'{}{}' must be {}", path_, key, what));
}

void TomlTable::refuse(std::string_view key, std::string_view sentence) {
  const toml::node* node = table_->get(key);
  if (node) return refuse(*node, sentence);
  if (!file_->status.ok()) return;
  refuse(*table_, sentence);
  file_->is_missing = true;
}

void TomlTable::refuse(const toml::node& at, std::string_view sentence) {
  if (!file_->status.ok() && !file_->is_missing) return;
  file_->is_missing = false;
  const auto line = std::max<toml::source_index>(at.source().begin.line, 1);
  file_->status =
      invalid_input(fmt::format("{}:{}: {}", file_->source, line, sentence));
}

}  // namespace ft
