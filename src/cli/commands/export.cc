// fieldtune export: an adapter for other programs.
#include <fmt/format.h>

#include <filesystem>

#include "adapters/adapter_file.h"
#include "base/file.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "train/peft.h"
#include "train/peft_prompts.h"
#include "train/step.h"

namespace ft::cli {
namespace {

struct Options {
  std::string adapter, format = "peft", out, base_name, model;
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
    app.add_option("--model", model,
                   "base model, for classifiers with prompts: PEFT keeps the "
                   "head beside them");
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status add_head(const std::string& model, Adapter& adapter) {
  if (model.empty())
    return usage_error(
        "PEFT keeps the head of a classifier beside its prompts, and this "
        "adapter has none: give the base model with --model");
  FT_TRY(const BaseModel base, load_base(model, Precision::kMixed, 1));
  FT_TRY_STATUS(check_base(adapter, base.sha256));
  return add_peft_head(base.graph, adapter);
}

Status run(const Options& options) {
  if (options.format != "peft")
    return usage_error(
        fmt::format("--to '{}': there is only peft", options.format));
  FT_TRY(Adapter adapter, load_any_adapter(options.adapter));
  if (lacks_peft_head(adapter)) FT_TRY_STATUS(add_head(options.model, adapter));
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
