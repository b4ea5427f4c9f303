// The list of methods, and what they share: metadata and file layout.
#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "methods/method.h"

namespace ft {

extern const MethodDef kLora, kHead, kFull;

namespace {

constexpr const MethodDef* kMethods[] = {&kLora, &kHead, &kFull};

using nlohmann::json;

template <class T>
std::string pattern_json(
    const std::vector<std::pair<std::string, T>>& patterns) {
  json list = json::array();  // an array: the first match wins, order counts
  for (const auto& [name, value] : patterns)
    list.push_back(json::array({name, value}));
  return list.dump();
}

// Parsed JSON of one metadata key; null where it is absent.
Result<json> metadata_json(const std::map<std::string, std::string>& metadata,
                           const std::string& key) {
  const auto at = metadata.find(key);
  if (at == metadata.end()) return json();
  json value = json::parse(at->second, nullptr, false);
  if (value.is_discarded())
    return invalid_input(
        fmt::format("adapter metadata '{}' is malformed: {}", key, at->second));
  return value;
}

template <class T>
Status read_patterns(const json& list, const std::string& key,
                     std::vector<std::pair<std::string, T>>& out) {
  if (list.is_null()) return ok_status();
  for (const json& entry : list) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() ||
        !entry[1].is_number())
      return invalid_input("adapter metadata '" + key + "' is malformed");
    out.emplace_back(entry[0].get<std::string>(), entry[1].get<T>());
  }
  return ok_status();
}

template <class T>
Status read_number(const std::map<std::string, std::string>& metadata,
                   const std::string& key, T& out) {
  FT_TRY(const json value, metadata_json(metadata, key));
  if (value.is_null()) return ok_status();
  if (!value.is_number())
    return invalid_input("adapter metadata '" + key + "' is not a number");
  out = value.get<T>();
  return ok_status();
}

// Walks the elements in file order and hands (file index, view index) on.
template <class F>
void for_each_element(const AdapterTensor& t, F&& visit) {
  const int rank = t.view.rank();
  std::vector<int64_t> stride(static_cast<size_t>(rank), 1);
  for (int d = rank - 2; d >= 0; --d)
    stride[static_cast<size_t>(d)] =
        stride[static_cast<size_t>(d + 1)] * t.view[d + 1];
  const Shape file = t.file_shape();
  const int64_t n = file.num_elements();
  for (int64_t i = 0; i < n; ++i) {
    int64_t rest = i, index = 0;
    for (int d = rank - 1; d >= 0; --d) {
      index += (rest % file[d]) *
               stride[static_cast<size_t>(t.perm[static_cast<size_t>(d)])];
      rest /= file[d];
    }
    visit(static_cast<size_t>(i), static_cast<size_t>(index));
  }
}

}  // namespace

std::span<const MethodDef* const> all_methods() { return kMethods; }

Result<const MethodDef*> find_method(std::string_view name) {
  std::string names;
  for (const MethodDef* m : kMethods) {
    if (m->name == name) return m;
    names += (names.empty() ? "" : ", ") + std::string(m->name);
  }
  return usage_error(fmt::format("no method '{}'; there are: {}", name, names));
}

std::map<std::string, std::string> to_metadata(const MethodSettings& s) {
  return {{"method", s.method},
          {"r", fmt::format("{}", s.r)},
          {"lora_alpha", fmt::format("{}", s.lora_alpha)},
          {"target_modules", json(s.target_modules).dump()},
          {"rank_pattern", pattern_json(s.rank_pattern)},
          {"alpha_pattern", pattern_json(s.alpha_pattern)},
          {"num_classes", fmt::format("{}", s.num_classes)},
          {"seed", fmt::format("{}", s.seed)}};
}

Result<MethodSettings> settings_from_metadata(
    const std::map<std::string, std::string>& metadata) {
  MethodSettings s;
  const auto method = metadata.find("method");
  if (method == metadata.end())
    return invalid_input("adapter metadata names no method");
  s.method = method->second;
  FT_TRY_STATUS(read_number(metadata, "r", s.r));
  FT_TRY_STATUS(read_number(metadata, "lora_alpha", s.lora_alpha));
  FT_TRY_STATUS(read_number(metadata, "num_classes", s.num_classes));
  FT_TRY_STATUS(read_number(metadata, "seed", s.seed));
  FT_TRY(const json targets, metadata_json(metadata, "target_modules"));
  for (const json& t : targets) {
    if (!t.is_string())
      return invalid_input("adapter metadata 'target_modules' is malformed");
    s.target_modules.push_back(t.get<std::string>());
  }
  FT_TRY(const json ranks, metadata_json(metadata, "rank_pattern"));
  FT_TRY_STATUS(read_patterns(ranks, "rank_pattern", s.rank_pattern));
  FT_TRY(const json alphas, metadata_json(metadata, "alpha_pattern"));
  FT_TRY_STATUS(read_patterns(alphas, "alpha_pattern", s.alpha_pattern));
  return s;
}

Shape AdapterTensor::file_shape() const {
  Shape shape = view;
  for (int i = 0; i < view.rank(); ++i)
    shape.set(i, view[perm[static_cast<size_t>(i)]]);
  return shape;
}

std::vector<float> to_file_layout(const AdapterTensor& tensor,
                                  std::span<const float> param) {
  std::vector<float> file(param.size());
  for_each_element(tensor, [&](size_t i, size_t j) { file[i] = param[j]; });
  return file;
}

std::vector<float> from_file_layout(const AdapterTensor& tensor,
                                    std::span<const float> file) {
  std::vector<float> param(file.size());
  for_each_element(tensor, [&](size_t i, size_t j) { param[j] = file[i]; });
  return param;
}

}  // namespace ft
