// fieldtune export: an adapter for other programs.
#include <fmt/format.h>

#include <filesystem>

#include "adapters/adapter_file.h"
#include "base/file.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "train/peft.h"

namespace ft::cli {
namespace {

struct Options {
  std::string adapter, format = "peft", out, base_name;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("adapter", adapter, "adapter file (.safetensors)")
        ->required();
    app.add_option("--to", format,
                   "peft: a folder that Hugging Face PEFT loads")
        ->capture_default_str();
    app.add_option("--out,-o", out, "folder to write")->required();
    app.add_option("--base-name", base_name,
                   "written as base_model_name_or_path");
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status run(const Options& options) {
  if (options.format != "peft")
    return usage_error(
        fmt::format("--to '{}': there is only peft", options.format));
  FT_TRY(const Adapter adapter, load_any_adapter(options.adapter));
  FT_TRY(const PeftFiles files, to_peft(adapter, options.base_name));
  const std::filesystem::path folder = options.out;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    return io_error(fmt::format("cannot make folder '{}': {}", options.out,
                                error.message()));
  // The configuration last: with it the folder is an adapter.
  FT_TRY_STATUS(
      write_file_atomically(peft_tensor_file(options.out), files.tensors));
  FT_TRY_STATUS(
      write_file_atomically(peft_config_file(options.out), files.config));
  print_result({{"out", options.out},
                {"method", adapter.get("method")},
                {"tensors", adapter.tensors.size()},
                {"adapter_bytes", files.tensors.size()}},
               options.json);
  return ok_status();
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "export", "Write an adapter in another program's format",
      "fieldtune export me.safetensors --to peft --out me", run);
}

}  // namespace ft::cli
