#include "exchange/any_adapter.h"

#include <fmt/format.h>

#include <filesystem>
#include <vector>

#include "adapters/adapter_bytes.h"
#include "base/file.h"
#include "exchange/adapterhub.h"
#include "exchange/peft.h"

namespace ft {
namespace {

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

std::string file_in(const std::string& folder, std::string_view name) {
  return (std::filesystem::path(folder) / name).string();
}

bool has_file(const std::string& folder, std::string_view name) {
  std::error_code ignored;
  return std::filesystem::exists(file_in(folder, name), ignored);
}

// Files are read into memory, not mapped, so that nobody can change what was
// checked before it is used.
Result<std::vector<std::byte>> read_tensors(const std::string& path,
                                            const LoadRules& rules) {
  return read_adapter_bytes(path, [&](size_t bytes) {
    return check_before_reading(bytes, rules, "'" + path + "'");
  });
}

// Fails where the tensors are only there as a pickle.
Status check_no_pickle(const std::string& folder, std::string_view pickle,
                       std::string_view wanted) {
  if (has_file(folder, wanted) || !has_file(folder, pickle)) return ok_status();
  return invalid_input(fmt::format(
      "'{}': '{}' is a pickle, which fieldtune does not read; load it with the "
      "adapters library and save it with "
      "model.save_adapter(folder, name, use_safetensors=True)",
      folder, pickle));
}

Result<Adapter> load_adapterhub(const std::string& folder,
                                const std::string& config,
                                const LoadRules& rules) {
  FT_TRY_STATUS(check_no_pickle(folder, kAdapterHubPickle, kAdapterHubTensors));
  FT_TRY_STATUS(
      check_no_pickle(folder, kAdapterHubHeadPickle, kAdapterHubHead));
  FT_TRY(const auto tensors,
         read_tensors(file_in(folder, kAdapterHubTensors), rules));
  std::vector<std::byte> head;
  if (has_file(folder, kAdapterHubHead)) {
    FT_TRY(head, read_tensors(file_in(folder, kAdapterHubHead), rules));
  }
  return from_adapterhub(config, tensors, head, "'" + folder + "'", rules);
}

Result<Adapter> load_file(const std::string& path, const LoadRules& rules) {
  FT_TRY(const auto file, read_tensors(path, rules));
  return load_checked(file, rules, "'" + path + "'");
}

}  // namespace

Result<Adapter> load_any_adapter(const std::string& path,
                                 const LoadRules& rules) {
  if (!is_folder(path)) return load_file(path, rules);
  if (!has_file(path, kPeftConfig) &&
      has_file(path, "adapter_fusion_config.json"))
    return invalid_input(fmt::format(
        "'{}': a fusion of AdapterHub's adapters, which fieldtune cannot "
        "honour; name the folder of one adapter",
        path));
  FT_TRY(const std::string config, read_text_file(file_in(path, kPeftConfig)));
  if (is_adapterhub(config)) return load_adapterhub(path, config, rules);
  FT_TRY(const auto tensors, read_tensors(file_in(path, kPeftTensors), rules));
  return from_peft(config, tensors, "'" + path + "'", rules);
}

std::string adapter_tensor_file(const std::string& path) {
  if (!is_folder(path)) return path;
  const bool hub = has_file(path, kAdapterHubTensors);
  return file_in(path, hub ? kAdapterHubTensors : kPeftTensors);
}

}  // namespace ft
