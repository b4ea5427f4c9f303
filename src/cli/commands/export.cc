// fieldtune export: an adapter for other programs, or stored in other bits.
#include <fmt/format.h>

#include <numeric>
#include <optional>
#include <span>

#include "adapters/adapter_file.h"
#include "adapters/device_image.h"
#include "adapters/trust/signature.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/plain_text.h"
#include "cli/commands/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/policy_option.h"
#include "exchange/adapterhub.h"
#include "exchange/any_adapter.h"
#include "exchange/peft.h"
#include "exchange/peft_prompts.h"
#include "plan/parameters.h"
#include "train/adapted_model.h"
#include "train/step.h"

namespace ft::cli {
namespace {

struct Options {
  std::string adapter, format = "peft", out, base_name, model;
  std::string adapter_name = "fieldtune";
  std::string sign;
  std::string adapter_mode = "side";
  std::optional<uint32_t> adapter_version, adapter_number;
  PolicyOption policy;
  StorageOptions storage;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("adapter", adapter, "adapter file (.safetensors)")
        ->required();
    app.add_option("--to", format,
                   "peft: a folder that Hugging Face PEFT loads; adapterhub: "
                   "one that the adapters library loads; fieldtune: an adapter "
                   "file, stored as --adapter-dtype says; device-image: what a "
                   "microcontroller keeps in flash")
        ->capture_default_str();
    app.add_option("--out,-o", out, "folder or file to write")->required();
    policy.add_to(app);
    storage.add_to(app);
    app.add_option("--base-name", base_name,
                   "written as base_model_name_or_path or model_name");
    app.add_option("--adapter-name", adapter_name,
                   "AdapterHub's name of the adapter")
        ->capture_default_str();
    app.add_option("--model", model,
                   "base model: for device images, and for classifiers with "
                   "prompts, whose head PEFT keeps beside them");
    app.add_option("--sign", sign,
                   "key of 'fieldtune keygen' that signs the device image");
    app.add_option("--adapter-version", adapter_version,
                   "of the device image: a device refuses versions below the "
                   "highest that it had; default 1");
    app.add_option("--adapter-number", adapter_number,
                   "of the device image: which of the device's adapters it is "
                   "('compile --flash N' has 0 to N - 1); default 0");
    app.add_option("--adapter-mode", adapter_mode,
                   "of the device image: side: for 'compile', training or "
                   "not; int8: for 'compile --program infer --adapter-mode "
                   "int8'")
        ->check(CLI::IsMember({"side", "int8"}))
        ->capture_default_str();
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
  FT_TRY(const MappedFile parent,
         MappedFile::open(adapter_tensor_file(options.adapter)));
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

std::vector<std::byte> bytes_of(const std::string& text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Status write_files(const Options& options, const Adapter& adapter,
                   const FolderFiles& files) {
  FT_TRY_STATUS(write_folder(options.out, files));
  print_result({{"out", options.out},
                {"method", adapter.get("method")},
                {"tensors", adapter.tensors.size()},
                {"adapter_bytes", files[0].second.size()}},
               options.json);
  return ok_status();
}

// The configuration comes last: with it the folder is an adapter.
Status write_peft(const Options& options, Adapter adapter) {
  if (lacks_peft_head(adapter)) FT_TRY_STATUS(add_head(options.model, adapter));
  FT_TRY(PeftFiles files, to_peft(adapter, options.base_name));
  return write_files(options, adapter,
                     {{std::string(kPeftTensors), std::move(files.tensors)},
                      {std::string(kPeftConfig), bytes_of(files.config)}});
}

Status write_adapterhub(const Options& options, const Adapter& adapter) {
  FT_TRY(AdapterHubFiles files,
         to_adapterhub(adapter, options.adapter_name, options.base_name));
  FolderFiles all = {
      {std::string(kAdapterHubTensors), std::move(files.tensors)}};
  if (!files.head.empty()) {
    all.emplace_back(kAdapterHubHead, std::move(files.head));
    all.emplace_back(kAdapterHubHeadConfig, bytes_of(files.head_config));
  }
  all.emplace_back(kAdapterHubConfig, bytes_of(files.config));
  return write_files(options, adapter, all);
}

// Laid out as the C99 rows compute, which is what devices run.
Status write_image(const Options& options) {
  if (options.model.empty())
    return usage_error(
        "--to device-image lays the adapter out for a program: give the base "
        "model with --model");
  std::optional<SigningKey> key;
  if (!options.sign.empty()) {
    FT_TRY(SigningKey loaded, load_signing_key(options.sign));
    key.emplace(std::move(loaded));
  }
  FT_TRY(const LoadRules rules, options.policy.rules());
  const AdapterChoice choice{.path = options.adapter, .rules = rules};
  FT_TRY(const SideArithmetic sides,
         parse_side_arithmetic(options.adapter_mode));
  FT_TRY(const AdaptedModel model,
         load_adapted_model(options.model, std::span(&choice, 1),
                            {.exact = true, .c99_only = true}, 0, sides));
  const Program& program = model.step.program;
  FT_TRY(const auto payload, parameter_region(program));
  DeviceImage image{.version = options.adapter_version.value_or(1),
                    .parent = options.adapter_number.value_or(0),
                    .payload = payload};
  FT_TRY(image.base_hash, hash_prefix(model.base.sha256));
  FT_TRY(image.plan_hash, hash_prefix(plan_hash(program)));
  FT_TRY(const auto bytes,
         encode_device_image(image, key ? &key.value() : nullptr));
  FT_TRY_STATUS(write_file_atomically(options.out, bytes));
  print_result({{"out", options.out},
                {"method", model.adapters[0].adapter.get("method")},
                {"adapter_version", image.version},
                {"adapter_number", image.parent},
                {"image_bytes", bytes.size()},
                {"payload_bytes", payload.size()},
                {"base_sha256", model.base.sha256},
                {"plan_hash", plan_hash(program)},
                {"signed", key.has_value()},
                {"image_sha256", sha256_hex(bytes)}},
               options.json);
  return ok_status();
}

Status run(const Options& options) {
  const bool to_device = options.format == "device-image";
  const bool ours = options.format == "fieldtune";
  if (options.format != "peft" && options.format != "adapterhub" && !ours &&
      !to_device)
    return usage_error(
        fmt::format("--to '{}': there are: peft, adapterhub, fieldtune, "
                    "device-image",
                    options.format));
  if (!ours && options.storage.dtype != "f32")
    return usage_error(
        "--adapter-dtype needs --to fieldtune; other formats fix how values "
        "are stored");
  if (!to_device && !options.sign.empty())
    return usage_error("--sign needs --to device-image");
  if (!to_device && options.adapter_version)
    return usage_error("--adapter-version needs --to device-image");
  if (!to_device && options.adapter_number)
    return usage_error("--adapter-number needs --to device-image");
  if (!to_device && options.adapter_mode != "side")
    return usage_error("--adapter-mode needs --to device-image");
  if (to_device) return write_image(options);
  FT_TRY(const LoadRules rules, options.policy.rules());
  FT_TRY_STATUS(check_plain_text("--base-name", options.base_name));
  FT_TRY_STATUS(check_plain_text("--adapter-name", options.adapter_name));
  FT_TRY(Adapter adapter, load_any_adapter(options.adapter, rules));
  drop_signature(adapter.metadata);  // what is written is another file
  if (ours) return write_adapter(options, std::move(adapter));
  return options.format == "peft" ? write_peft(options, std::move(adapter))
                                  : write_adapterhub(options, adapter);
}

}  // namespace

void add_export(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "export",
      "Write an adapter in another program's format or for a device",
      "fieldtune export me.safetensors --to peft --out me\n"
      "  fieldtune export me.safetensors --to device-image --model "
      "model.tflite "
      "--sign release.key --adapter-version 2 --out me.img",
      run);
}

}  // namespace ft::cli
