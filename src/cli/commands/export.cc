// fieldtune export: an adapter for other programs, or stored in other bits.
#include <fmt/format.h>

#include <filesystem>
#include <numeric>

#include "adapters/adapter_file.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/commands/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "train/peft.h"
#include "train/peft_prompts.h"
#include "train/step.h"

namespace ft::cli {
namespace {

struct Options {
  std::string adapter, format = "peft", out, base_name, model;
  StorageOptions storage;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("adapter", adapter, "adapter file (.safetensors)")
        ->required();
    app.add_option("--to", format,
                   "peft: a folder that Hugging Face PEFT loads; fieldtune: "
                   "an adapter file, stored as --adapter-dtype says")
        ->capture_default_str();
    app.add_option("--out,-o", out, "folder or file to write")->required();
    storage.add_to(app);
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

// The same adapter in other bits. Quantizing what was not trained for it costs
// accuracy; 'train --adapter-dtype' costs less.
Status write_adapter(const Options& options, Adapter adapter) {
  FT_TRY(const AdapterStorage storage, options.storage.storage());
  std::vector<AdapterTensor> tensors;
  for (AdapterEntry& t : adapter.tensors) {
    std::vector<int> order(static_cast<size_t>(t.shape.rank()));
    std::iota(order.begin(), order.end(), 0);
    tensors.push_back({.name = t.name, .view = t.shape, .perm = order});
    quantize_entry({}, {}, {}, t);
  }
  if (!storage.is_f32()) {
    FT_TRY(const auto chosen, quantized_tensors(tensors, storage));
    for (size_t i = 0; i < chosen.size(); ++i)
      if (chosen[i])
        quantize_entry(storage.quantizer, {}, {}, adapter.tensors[i]);
  }
  const bool folder = std::filesystem::is_directory(options.adapter);
  FT_TRY(const MappedFile parent,
         MappedFile::open(folder ? peft_tensor_file(options.adapter)
                                 : options.adapter));
  adapter.metadata["parent_sha256"] = sha256_hex(parent.bytes());
  FT_TRY(const auto bytes, encode_adapter(adapter));
  FT_TRY_STATUS(write_file_atomically(options.out, bytes));
  print_result({{"out", options.out},
                {"method", adapter.get("method")},
                {"tensors", adapter.tensors.size()},
                {"adapter_dtype", storage.quantizer.to_string()},
                {"adapter_bytes", bytes.size()},
                {"adapter_sha256", sha256_hex(bytes)}},
               options.json);
  return ok_status();
}

Status write_peft(const Options& options, Adapter adapter) {
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

Status run(const Options& options) {
  if (options.format != "peft" && options.format != "fieldtune")
    return usage_error(
        fmt::format("--to '{}': there are: peft, fieldtune", options.format));
  if (options.format == "peft" && options.storage.dtype != "f32")
    return usage_error(
        "PEFT's adapters are float32; --adapter-dtype needs --to fieldtune");
  FT_TRY(Adapter adapter, load_any_adapter(options.adapter));
  return options.format == "peft" ? write_peft(options, std::move(adapter))
                                  : write_adapter(options, std::move(adapter));
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "export", "Write an adapter in another program's format",
      "fieldtune export me.safetensors --to peft --out me", run);
}

}  // namespace ft::cli
