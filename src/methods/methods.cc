// The list of methods, and what they share: their settings and file layout.
#include <fmt/format.h>

#include "methods/method.h"

namespace ft {

extern const MethodDef kLora, kLoraFa, kAdalora, kBlockLora, kVera, kIa3,
    kBitfit, kNorm, kBottleneck, kSparse, kPrompt, kPrefix, kHead, kFull;

namespace {

constexpr const MethodDef* kMethods[] = {
    &kLora, &kLoraFa,     &kAdalora, &kBlockLora, &kVera,   &kIa3,  &kBitfit,
    &kNorm, &kBottleneck, &kSparse,  &kPrompt,    &kPrefix, &kHead, &kFull};

// Walks the elements in file order and hands (file index, view index) on.
template <class F>
void for_each_element(const AdapterTensor& t, F&& visit) {
  const int rank = t.view.rank();
  std::vector<int64_t> stride(static_cast<size_t>(rank), 1);
  for (int d = rank - 2; d >= 0; --d)
    stride[static_cast<size_t>(d)] =
        stride[static_cast<size_t>(d + 1)] * t.view[d + 1];
  const Shape file = t.permuted_shape();
  const int64_t n = file.num_elements();
  // Counts the file's index up, digit by digit: a division for each axis of
  // each element was most of the time that loading an adapter took.
  std::vector<int64_t> digit(static_cast<size_t>(rank), 0);
  int64_t index = 0;
  for (int64_t i = 0; i < n; ++i) {
    visit(static_cast<size_t>(i), static_cast<size_t>(index));
    for (int d = rank - 1; d >= 0; --d) {
      const auto axis = static_cast<size_t>(d);
      const int64_t step = stride[static_cast<size_t>(t.perm[axis])];
      index += step;
      if (++digit[axis] < file[d]) break;
      index -= step * file[d];
      digit[axis] = 0;
    }
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

Status set_setting(const MethodDef& method, std::string_view name,
                   std::string_view text, MethodSettings& settings) {
  std::string names;
  for (const SettingDef* s : method.settings) {
    if (s->name == name) {
      FT_TRY(settings.own[std::string(name)], s->canonical(text));
      return ok_status();
    }
    names += (names.empty() ? "" : ", ") + std::string(s->name);
  }
  return usage_error(fmt::format(
      "method {} has no setting '{}'; {}", method.name, name,
      names.empty() ? "it has none of its own" : "it has: " + names));
}

void fill_total_updates(MethodSettings& settings, int64_t updates) {
  const auto method = find_method(settings.method);
  if (!method.ok() || (*method)->total_updates == nullptr) return;
  const SettingDef& setting = *(*method)->total_updates;
  if (settings.integer(setting) == 0)
    settings.own[std::string(setting.name)] = fmt::format("{}", updates);
}

int64_t first_result(const MethodSettings& settings) {
  const auto method = find_method(settings.method);
  if (!method.ok() || (*method)->first_result == nullptr) return 0;
  return (*method)->first_result(settings);
}

std::string peft_key(const std::string& module, std::string_view what) {
  return fmt::format("base_model.model.{}.{}", module, what);
}

Shape AdapterTensor::permuted_shape() const {
  Shape shape = view;
  for (int i = 0; i < view.rank(); ++i)
    shape.set(i, view[perm[static_cast<size_t>(i)]]);
  return shape;
}

std::vector<float> to_file_layout(const AdapterTensor& tensor,
                                  std::span<const float> param) {
  std::vector<float> file(param.size());
  for_each_element(tensor, [&](size_t i, size_t j) { file[i] = param[j]; });
  for (size_t i = 0; i < tensor.offset.size(); ++i) file[i] += tensor.offset[i];
  return file;
}

std::vector<float> from_file_layout(const AdapterTensor& tensor,
                                    std::span<const float> file) {
  std::vector<float> param(file.size());
  for_each_element(tensor, [&](size_t i, size_t j) {
    param[j] = file[i] - (tensor.offset.empty() ? 0.0f : tensor.offset[i]);
  });
  return param;
}

}  // namespace ft
