#include "formats/huggingface/export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "base/half.h"
#include "formats/huggingface/huggingface.h"
#include "formats/safetensors/safetensors.h"

namespace ft {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr float kLargestHalf = 65504.0f;

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

// The values in the dtype of the file; fails where one becomes infinite.
Result<std::vector<std::byte>> stored(const std::string& name, DType dtype,
                                      const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    std::byte* at = bytes.data() + i * size_of(dtype);
    if (dtype == DType::kF32) {
      std::memcpy(at, &values[i], sizeof(float));
      continue;
    }
    const bool half = dtype == DType::kF16;
    if (half && std::abs(values[i]) > kLargestHalf)
      return invalid_input(
          fmt::format("merge: the value {} of tensor '{}' is beyond float16",
                      values[i], name));
    const uint16_t bits =
        half ? ft_half_of_float(values[i]) : ft_bfloat16_of_float(values[i]);
    std::memcpy(at, &bits, sizeof(bits));
  }
  return bytes;
}

// One file of weights; takes the edits that it has from `open`.
Result<std::vector<std::byte>> rewrite_weights(const std::string& path,
                                               const HuggingFaceEdits& edits,
                                               std::set<std::string>& open) {
  FT_TRY(const MappedFile mapped, MappedFile::open(path));
  FT_TRY(Safetensors file, parse_safetensors(mapped.bytes()));
  std::vector<std::vector<std::byte>> changed;  // what entries point to
  changed.reserve(file.tensors.size());
  for (SafetensorsEntry& t : file.tensors) {
    const auto edit = edits.tensors.find(t.name);
    if (edit == edits.tensors.end()) continue;
    open.erase(t.name);
    FT_TRY(auto bytes, stored(t.name, t.dtype, edit->second.values));
    changed.push_back(std::move(bytes));
    t.data = changed.back();
    t.shape = edit->second.shape;
  }
  return write_safetensors(file.tensors, file.metadata);
}

// Labels of a new head are named as Hugging Face names them by itself.
Result<std::string> rewrite_config(const std::string& text, int num_labels) {
  if (num_labels == 0) return text;
  Json config = Json::parse(text, nullptr, false);
  if (!config.is_object())
    return invalid_input("config.json is not a JSON object");
  Json names = Json::object(), ids = Json::object();
  for (int i = 0; i < num_labels; ++i) {
    const std::string name = fmt::format("LABEL_{}", i);
    names[fmt::format("{}", i)] = name;
    ids[name] = i;
  }
  config["id2label"] = names;
  config["label2id"] = ids;
  if (config.contains("num_labels")) config["num_labels"] = num_labels;
  return config.dump(2) + "\n";
}

// What belongs to a model beside its weights.
bool is_small_companion(const fs::path& file) {
  static constexpr std::string_view kEndings[] = {".json", ".txt", ".model",
                                                  ".jinja"};
  const std::string name = file.filename().string();
  return name != "config.json" && !name.starts_with("adapter_") &&
         std::ranges::count(kEndings, file.extension().string()) > 0;
}

Status add_companions(const fs::path& folder, FolderFiles& files) {
  std::set<std::string> names;  // in a fixed order
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.is_regular_file() && is_small_companion(entry.path()))
      names.insert(entry.path().filename().string());
  if (error)
    return io_error(
        fmt::format("cannot list '{}': {}", folder.string(), error.message()));
  for (const std::string& name : names) {
    FT_TRY(const std::string text, read_text_file((folder / name).string()));
    files.emplace_back(name, bytes_of(text));
  }
  return ok_status();
}

}  // namespace

Result<FolderFiles> rewrite_huggingface(const std::string& folder,
                                        const HuggingFaceEdits& edits) {
  const fs::path path(folder);
  FT_TRY(const auto names, huggingface_weight_files(folder));
  std::set<std::string> open;
  for (const auto& [name, tensor] : edits.tensors) open.insert(name);
  FolderFiles files;
  for (const std::string& name : names) {
    FT_TRY(auto bytes, rewrite_weights((path / name).string(), edits, open));
    files.emplace_back(name, std::move(bytes));
  }
  if (!open.empty())
    return invalid_input(
        fmt::format("merge: '{}' has no tensor '{}'", folder, *open.begin()));
  FT_TRY_STATUS(add_companions(path, files));
  FT_TRY(const std::string text,
         read_text_file((path / "config.json").string()));
  FT_TRY(const std::string config, rewrite_config(text, edits.num_labels));
  files.emplace_back("config.json", bytes_of(config));
  return files;
}

}  // namespace ft
