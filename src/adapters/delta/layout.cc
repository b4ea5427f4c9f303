#include "adapters/delta/layout.h"

#include <fmt/format.h>

#include "adapters/adapter_file.h"
#include "adapters/delta/image_layout.h"
#include "adapters/device_image.h"
#include "adapters/stored_tensor.h"
#include "formats/safetensors/safetensors.h"

namespace ft {
namespace {

constexpr const char *kOld = "the old file", *kNew = "the new file";

ft_delta_kind kind_of(DType dtype, bool packed) {
  switch (dtype) {
    case DType::kF32: return FT_DELTA_F32;
    case DType::kF16: return FT_DELTA_F16;
    case DType::kBF16: return FT_DELTA_BF16;
    case DType::kS16: return FT_DELTA_I16;
    case DType::kS32: return FT_DELTA_I32;
    case DType::kU8: return packed ? FT_DELTA_I4 : FT_DELTA_I8;
    default: return FT_DELTA_I8;
  }
}

// One file, opened and checked.
struct Opened {
  std::span<const std::byte> bytes;
  Adapter adapter;
  Safetensors file;

  size_t offset_of(const SafetensorsEntry& entry) const {
    return static_cast<size_t>(entry.data.data() - bytes.data());
  }
  size_t header_bytes() const {
    size_t bytes_of_tensors = 0;
    for (const auto& t : file.tensors) bytes_of_tensors += t.data.size();
    return bytes.size() - bytes_of_tensors;
  }
  const AdapterEntry* find(const std::string& name) const {
    for (const AdapterEntry& t : adapter.tensors)
      if (t.name == name) return &t;
    return nullptr;
  }
};

Result<Opened> open(std::span<const std::byte> bytes, const char* origin) {
  Opened out;
  out.bytes = bytes;
  FT_TRY(out.adapter, decode_adapter(bytes, origin));
  auto file = parse_safetensors(bytes);
  if (!file.ok()) return Status(file.status()).in(origin);
  out.file = std::move(file).value();
  return out;
}

Status check_pair(const Adapter& before, const Adapter& after) {
  for (const char* key : {"base_sha256", kQuantizerKey}) {
    if (before.get(key) == after.get(key)) continue;
    const auto said = [&](const Adapter& a) {
      return a.get(key).empty() ? std::string("none") : a.get(key);
    };
    return invalid_input(fmt::format(
        "a delta cannot lead from one {} to another: {} has {}, {} has {}; "
        "send the file itself",
        std::string_view(key) == kQuantizerKey ? "quantizer" : "base model",
        kOld, said(before), kNew, said(after)));
  }
  return ok_status();
}

// Groups of the values; one where the model has no room for them.
void set_groups(const AdapterEntry* entry, ft_delta_segment& segment) {
  const auto elements = segment.count * (segment.kind == FT_DELTA_I4 ? 2U : 1U);
  segment.row = elements;
  segment.groups = 1;
  if (entry == nullptr) return;
  Quantizer channels;
  channels.format = Quantizer::Format::kInteger;
  QuantGroups groups = groups_of(channels, entry->shape);
  if (groups.groups < 2 || groups.groups > FT_DELTA_MAX_GROUPS) return;
  segment.row = static_cast<uint32_t>(groups.row);
  segment.groups = static_cast<uint8_t>(groups.groups);
}

PlannedSegment plan_tensor(const SafetensorsEntry& entry, const Opened& before,
                           const Opened& after) {
  const bool steps =
      entry.name == kScaleTensor || entry.name == kZeroPointTensor;
  const AdapterEntry* values = after.find(entry.name);
  const bool packed = values != nullptr && values->quantizer.is_integer() &&
                      values->quantizer.bits <= 4;
  PlannedSegment out{.name = entry.name,
                     .new_offset = after.offset_of(entry),
                     .may_be_lossy = !steps};
  out.segment.kind = kind_of(entry.dtype, packed);
  const SafetensorsEntry* old = before.file.find(entry.name);
  if (old != nullptr && old->dtype == entry.dtype &&
      old->data.size() == entry.data.size()) {
    out.segment.has_old = 1;
    out.segment.old_offset = static_cast<uint32_t>(before.offset_of(*old));
  }
  out.segment.count = static_cast<uint32_t>(
      entry.data.size() / ft_delta_element_bytes(out.segment.kind));
  set_groups(values, out.segment);
  return out;
}

}  // namespace

Result<std::vector<PlannedSegment>> plan_segments(
    std::span<const std::byte> old_file, std::span<const std::byte> new_file) {
  if (is_device_image(old_file) && is_device_image(new_file))
    return plan_image_segments(old_file, new_file);
  if (is_device_image(old_file) || is_device_image(new_file))
    return invalid_input("one file is a device image, the other is not");
  FT_TRY(const Opened before, open(old_file, kOld));
  FT_TRY(const Opened after, open(new_file, kNew));
  FT_TRY_STATUS(check_pair(before.adapter, after.adapter));
  std::vector<PlannedSegment> out{{.name = "header"}};
  out[0].segment.kind = FT_DELTA_TEXT;
  out[0].segment.has_old = 1;
  out[0].segment.count = static_cast<uint32_t>(after.header_bytes());
  for (const SafetensorsEntry& entry : after.file.tensors)
    if (!entry.data.empty()) out.push_back(plan_tensor(entry, before, after));
  return out;
}

}  // namespace ft
