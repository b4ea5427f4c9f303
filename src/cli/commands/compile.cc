// fieldtune compile: a folder of C99 that infers and trains on a device.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "adapters/signing_key.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/commands/commands.h"
#include "cli/merge_job.h"
#include "cli/options.h"
#include "cli/output.h"
#include "codegen/device_model.h"
#include "codegen/size_report.h"
#include "data/front_end.h"
#include "formats/tflite/import.h"
#include "passes/dead_code.h"
#include "plan/target.h"
#include "train/adapted_model.h"

namespace ft::cli {
namespace {

struct Options {
  std::string model, out, target, program = "train", init_adapter, output;
  std::string front_end, arithmetic = "auto";
  MethodOptions method;
  OptimizerOptions optimizer;
  AdapterOptions adapters;
  uint64_t seed = 0;
  int64_t steps = 0;
  std::string adapter_mode = "side";
  int flash_adapters = 0;
  std::string public_key;
  bool sliced = false, takes_unsigned = false, json = false;

  void add_to(CLI::App& app) {
    optimizer.settings.schedule = "constant";  // a device may learn for years
    app.add_option("model", model,
                   "model file (.tflite, llama2.c .bin) or Hugging Face folder")
        ->required();
    app.add_option("--out,-o", out, "folder to write")->required();
    app.add_option("--target", target,
                   "device that it is for: its kernels are used and its memory "
                   "is the limit (" +
                       fmt::format("{}", fmt::join(target_names(), ", ")) +
                       ", or a .toml file); default: any C99 compiler");
    app.add_option("--program", program,
                   "train: inference and training of --method; infer: "
                   "inference, with the adapters of --adapter")
        ->capture_default_str();
    app.add_option("--output", output,
                   "what inference gives: model: the model's own output, int8 "
                   "with its scale and zero point where it has these; real: "
                   "also its logits or prediction in real units, which take "
                   "memory; default: model for --program infer, else real");
    method.add_to(app);
    optimizer.add_to(app);
    adapters.add_to(app);
    app.add_option("--adapter-mode", adapter_mode,
                   "of --program infer: side: the adapter computes beside the "
                   "base and can be swapped; merged: it is folded into the "
                   "weights, as 'fieldtune merge' does")
        ->check(CLI::IsMember({"side", "merged"}))
        ->capture_default_str();
    app.add_option("--init-adapter", init_adapter,
                   "training starts from the values of this adapter");
    app.add_option("--front-end", front_end,
                   "audio in front of the model's input, as in training: "
                   "mlperf-kws, or a TOML file with kind \"mfcc\"");
    app.add_option("--front-end-arithmetic", arithmetic,
                   "float, fixed (no floating point at all) or auto: fixed "
                   "where --precision is integer or the target has no FPU")
        ->capture_default_str();
    app.add_option("--seed", seed, "of everything random")
        ->capture_default_str();
    app.add_option("--steps", steps,
                   "training steps after which --schedule cosine or linear "
                   "reaches 0")
        ->check(CLI::NonNegativeNumber);
    app.add_flag("--rtos", sliced,
                 "training in slices: ft_train_poll does a bounded part of a "
                 "step, and inference may come in between");
    app.add_option("--flash", flash_adapters,
                   "ft_store.h keeps this many adapters (and training states) "
                   "in flash: takes images of 'fieldtune export --to "
                   "device-image' that the owner of --public-key has signed, "
                   "swaps and resumes, safe against power cuts")
        ->check(CLI::Range(1, 64));
    app.add_option("--public-key", public_key,
                   "of --flash: KEY.pub of 'fieldtune keygen'");
    app.add_flag("--unsigned", takes_unsigned,
                 "of --flash: take images that nobody has signed");
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

// Exact rows only: the device computes what this machine would.
PlanOptions plan_for(const Target& target) {
  return {.device = target.kernels, .exact = true};
}

Status check_adapters(const Options& options) {
  const bool merged = options.adapter_mode == "merged";
  if (merged && (options.program != "infer" || options.adapters.paths.empty()))
    return usage_error(
        "--adapter-mode merged needs --program infer and an --adapter; on the "
        "device weights are constants, so nothing is merged there");
  if (merged && options.flash_adapters > 0)
    return usage_error(
        "--flash: a merged adapter cannot be swapped; use --adapter-mode side");
  const bool has_key = !options.public_key.empty();
  if (options.flash_adapters == 0 && (has_key || options.takes_unsigned))
    return usage_error("--public-key and --unsigned are of --flash");
  if (options.flash_adapters > 0 && has_key == options.takes_unsigned)
    return usage_error(
        "--flash takes adapters from outside: give either --public-key "
        "KEY.pub, for those that its owner has signed, or --unsigned");
  return ok_status();
}

Result<codegen::StoreSettings> store_of(const Options& options,
                                        const Program& infer) {
  codegen::StoreSettings store{.adapters = options.flash_adapters,
                               .plan_hash = plan_hash(infer)};
  if (store.adapters > 0 && infer.persistent_bytes == 0)
    return usage_error(
        "--flash: this inference reads no adapter; give one with --adapter");
  if (options.public_key.empty()) return store;
  FT_TRY(store.public_key, load_public_key(options.public_key));
  return store;
}

Status check(const Options& options) {
  FT_TRY_STATUS(check_adapters(options));
  if (options.program != "train" && options.program != "infer")
    return usage_error(fmt::format("--program '{}': there are: train, infer",
                                   options.program));
  const bool train = options.program == "train";
  if (!options.output.empty() && options.output != "model" &&
      options.output != "real")
    return usage_error(
        fmt::format("--output '{}': there are: model, real", options.output));
  if (train && !options.adapters.paths.empty())
    return usage_error(
        "--adapter is of --program infer; training starts from --init-adapter");
  if (!train && (options.sliced || !options.init_adapter.empty()))
    return usage_error("--rtos and --init-adapter are of --program train");
  if (options.arithmetic != "float" && options.arithmetic != "fixed" &&
      options.arithmetic != "auto")
    return usage_error(fmt::format(
        "--front-end-arithmetic '{}': there are: float, fixed, auto",
        options.arithmetic));
  if (options.method.new_head)
    return usage_error(
        "--new-head needs data to count classes; give --classes N");
  if (train && options.optimizer.settings.schedule != "constant" &&
      options.steps == 0)
    return usage_error(fmt::format(
        "--schedule {} falls over the whole training: give its --steps",
        options.optimizer.settings.schedule));
  std::error_code ignored;
  if (std::filesystem::exists(options.out, ignored) &&
      !std::filesystem::is_empty(options.out, ignored))
    return usage_error(
        fmt::format("--out {} exists and is not empty", options.out));
  return check_optimizer(options.optimizer.settings);
}

// The front end that was asked for, in the arithmetic that suits the device.
Result<std::optional<codegen::AudioFrontEnd>> chosen_front_end(
    const Options& options, const Target& target) {
  std::optional<codegen::AudioFrontEnd> out;
  if (options.front_end.empty()) return out;
  FT_TRY(const FrontEnd front_end, load_front_end(options.front_end));
  if (front_end.kind != FrontEnd::Kind::kMfcc)
    return usage_error(
        fmt::format("--front-end {}: only those of kind \"mfcc\" are printed",
                    options.front_end));
  const bool no_fpu = !target.name.empty() && !target.has_fpu;
  const bool fixed = options.arithmetic == "fixed" ||
                     (options.arithmetic == "auto" &&
                      (no_fpu || options.method.precision == "integer"));
  out = {.config = front_end.mfcc, .fixed_point = fixed};
  return out;
}

// The programs of a training, with the values that it starts from.
struct Compiled {
  CompiledStep train, infer;
  std::string base_sha256;
  bool integer = false;
};

Result<Compiled> compile_both(const Options& options, const Target& target,
                              size_t ram_bytes) {
  const PlanOptions plan = plan_for(target);
  Compiled out;
  FT_TRY(const Precision precision, parse_precision(options.method.precision));
  out.integer = precision == Precision::kInteger;
  FT_TRY(MethodSettings method, options.method.settings(0, options.seed));
  fill_total_updates(method, options.steps);
  FT_TRY(const BaseModel base,
         load_base(options.model, precision, options.method.batch,
                   options.method.seq_len));
  out.base_sha256 = base.sha256;
  FT_TRY_STATUS(read_init_text(base, method));
  FT_TRY(StepSettings settings,
         options.method.step(base.graph, method, options.optimizer.settings,
                             plan));
  settings.ram_bytes = ram_bytes;
  FT_TRY(out.train, compile_training(base.graph, settings));
  FT_TRY(const BaseModel single,
         load_base(options.model, precision, 1, options.method.seq_len));
  FT_TRY(out.infer, compile_inference(single.graph, settings.method, plan,
                                      precision, settings.storage));
  if (options.init_adapter.empty()) return out;
  FT_TRY(LoadedAdapter start, open_adapter({options.init_adapter}));
  FT_TRY_STATUS(fit_to_base(base, start));
  FT_TRY_STATUS(install_adapter(start.adapter, out.train));
  FT_TRY_STATUS(install_adapter(start.adapter, out.infer));
  return out;
}

bool wants_real_output(const Options& options) {
  return options.output.empty() ? options.program == "train"
                                : options.output == "real";
}

// Inference that computes the model's own output only.
Result<Program> with_model_output(const Program& infer,
                                  const PlanOptions& plan) {
  Graph graph = infer.graph.clone();
  graph.outputs.resize(1);
  remove_dead_nodes(graph);
  return build_program(std::move(graph), plan);
}

// With what the options put around the programs.
Result<codegen::DeviceModel> complete(const Options& options,
                                      const Target& target,
                                      codegen::DeviceModel model) {
  model.title = fmt::format(
      "{} {}", std::filesystem::path(options.model).filename().string(),
      model.title);
  if (!target.name.empty()) model.title += " for " + target.name;
  model.target = target;
  FT_TRY(model.store, store_of(options, *model.infer));
  FT_TRY(model.front_end, chosen_front_end(options, target));
  return model;
}

Result<codegen::DeviceModel> training_model(const Options& options,
                                            const Target& target,
                                            const Compiled& both) {
  return complete(
      options, target,
      {.infer = &both.infer.program,
       .train = &both.train.program,
       .schedule = schedule_of(options.optimizer.settings, options.steps),
       .seed = options.seed,
       .integer = both.integer,
       .sliced = options.sliced,
       .title = fmt::format("with {} in {}", options.method.method,
                            options.method.precision),
       .base_sha256 = both.base_sha256});
}

// With as much computed again as --ram and the target's memory ask for. What
// inference, slices and the stack need on top is known once a step is planned.
Result<Compiled> compile_training_for(const Options& options,
                                      const Target& target) {
  FT_TRY(const size_t budget, options.method.ram_bytes());
  const uint64_t has = target.memory_bytes("ram");
  const size_t limit = has > 0 ? std::min<size_t>(budget, has) : budget;
  FT_TRY(Compiled both, compile_both(options, target, SIZE_MAX));
  for (int rounds = 3;; --rounds) {
    FT_TRY(const codegen::DeviceModel model,
           training_model(options, target, both));
    FT_TRY(const codegen::DeviceSizes sizes, codegen::sizes_of(model));
    const size_t on_top = sizes.ram_bytes() - both.train.program.ram_bytes();
    if (sizes.ram_bytes() <= limit) return both;
    auto tighter = on_top < limit && rounds > 0
                       ? compile_both(options, target, limit - on_top)
                       : does_not_fit("it needs more");
    if (tighter.ok()) {
      both = std::move(*tighter);
      continue;
    }
    if (tighter.status().code() != Code::kDoesNotFit) return tighter;
    if (sizes.ram_bytes() <= budget) return both;  // the printer has a table
    return does_not_fit(fmt::format(
        "--ram: {}, and inference, slices and the stack {} bytes on top of it",
        tighter.status().message(), on_top));
  }
}

// What a caller puts in and takes out, for tools that drive the code.
void add_interface(const codegen::DeviceModel& model, Json& fields) {
  const Program& program = model.train ? *model.train : *model.infer;
  const TensorType& input = program.inputs[0].type;
  const bool is_real = model.infer->outputs.size() > 1;
  const TensorType& answer = model.infer->outputs[is_real ? 1 : 0].type;
  fields["input_dtype"] = name_of(input.dtype);
  fields["input_bytes"] = input.num_bytes();
  fields["answer"] = is_real ? "ft_infer_answer" : "ft_infer_output";
  fields["answer_bytes"] = answer.num_bytes();
  if (!model.train) return;
  // Behind the model's inputs come the target and the optimizer's numbers.
  const Binding& target = program.inputs[program.inputs.size() - 2];
  fields["target_dtype"] = name_of(target.type.dtype);
  fields["target_bytes"] = target.type.num_bytes();
  fields["classes"] = target.name == "labels" ? answer.shape.back() : 0;
}

Json fields_of(const Options& options, const Target& target,
               const codegen::DeviceModel& model,
               const codegen::PrintedModel& printed) {
  const codegen::DeviceSizes& s = printed.sizes;
  Json fields = {
      {"out", options.out},
      {"target", target.name},
      {"program", options.program},
      {"files", printed.files.size()},
      {"arena_bytes", s.arena_bytes},
      {"persistent_bytes", s.persistent_bytes},
      {"adapter_bytes", s.adapter_bytes},
      {"scratch_bytes", s.scratch_bytes},
      {"model_bytes", s.model_bytes},
      {"stack_bytes", s.stack_bytes},
      {"ram_bytes", s.ram_bytes()},
      {"front_end_bytes", s.front_end_bytes},
      {"constant_bytes", s.constant_bytes},
      {"code_bytes", s.code_bytes},
      {"plan_hash", plan_hash(model.train ? *model.train : *model.infer)},
      {"infer_plan_hash", model.store.plan_hash},
      {"flash_adapters", model.store.adapters},
      {"state_bytes",
       codegen::state_bytes(s.persistent_bytes, model.train != nullptr)}};
  add_interface(model, fields);
  return fields;
}

Status write(const Options& options, const Target& target,
             codegen::DeviceModel model) {
  Program printed_infer;  // if it is not all of model.infer
  if (!wants_real_output(options)) {
    FT_TRY(printed_infer, with_model_output(*model.infer, plan_for(target)));
    model.infer = &printed_infer;
  }
  FT_TRY(const codegen::PrintedModel printed,
         codegen::print_device_model(model));
  FolderFiles files;
  for (const codegen::OutputFile& f : printed.files) {
    const auto bytes = std::as_bytes(std::span(f.text));
    files.emplace_back(f.path, std::vector(bytes.begin(), bytes.end()));
  }
  FT_TRY_STATUS(write_folder(options.out, files));
  print_result(fields_of(options, target, model, printed), options.json);
  return ok_status();
}

// Inference with the adapters beside the base, or folded into it.
Status write_inference(const Options& options, const Target& target) {
  FT_TRY(const auto choices, options.adapters.choices());
  FT_TRY(const AdaptedModel model,
         load_adapted_model(options.model, choices, plan_for(target),
                            options.method.seq_len));
  const auto print = [&](const codegen::DeviceModel& programs) -> Status {
    FT_TRY(codegen::DeviceModel device, complete(options, target, programs));
    return write(options, target, std::move(device));
  };
  if (options.adapter_mode == "side")
    return print({.infer = &model.step.program,
                  .title = "for inference",
                  .base_sha256 = model.base.sha256});
  if (std::filesystem::is_directory(options.model))
    return usage_error(
        "--adapter-mode merged is for .tflite models; run 'fieldtune merge' "
        "and compile what it writes");
  FT_TRY(const auto file, merged_file(options.model, model));
  FT_TRY(const TfliteModel merged,
         import_tflite(file, {.dynamic_range = true, .batch = 1}));
  FT_TRY(const CompiledStep step, compile_base(merged.graph, plan_for(target)));
  return print({.infer = &step.program,
                .title = "for inference, adapter merged",
                .base_sha256 = sha256_hex(file)});
}

Status run(const Options& options) {
  FT_TRY_STATUS(check(options));
  Target target;
  if (!options.target.empty()) {
    FT_TRY(target, load_target(options.target));
  }
  if (options.program == "infer") return write_inference(options, target);
  FT_TRY(const Compiled both, compile_training_for(options, target));
  FT_TRY(codegen::DeviceModel model, training_model(options, target, both));
  return write(options, target, std::move(model));
}

}  // namespace

void add_compile(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "compile", "Print a model as C99 that trains on a device",
      "fieldtune compile kws.tflite --target cortex-m4 --method lora --rank 4 "
      "--precision integer --out kws_c\n"
      "  fieldtune compile kws.tflite --target cortex-m4 --classes 10 --flash "
      "2 "
      "--public-key release.key.pub --out kws_c",
      run);
}

}  // namespace ft::cli
