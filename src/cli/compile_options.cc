#include "cli/compile_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>

#include "cli/plan_file.h"
#include "plan/cost.h"

namespace ft::cli {
namespace {

Status check_adapters(const CompileOptions& options) {
  const bool merged = options.adapter_mode == "merged";
  if (merged && (options.program != "infer" || options.adapters.paths.empty()))
    return usage_error(
        "--adapter-mode merged needs --program infer and an --adapter; on the "
        "device weights are constants, so nothing is merged there");
  if (merged && options.flash_adapters > 0)
    return usage_error(
        "--flash: a merged adapter cannot be swapped; use --adapter-mode side");
  if (options.adapter_mode == "int8" &&
      (options.program != "infer" || options.adapters.paths.empty()))
    return usage_error(
        "--adapter-mode int8 needs --program infer and an --adapter; what is "
        "being trained is used as it is trained");
  const bool has_key = !options.public_key.empty();
  if (options.flash_adapters == 0 && (has_key || options.takes_unsigned))
    return usage_error("--public-key and --unsigned are of --flash");
  if (options.flash_adapters > 0 && has_key == options.takes_unsigned)
    return usage_error(
        "--flash takes adapters from outside: give either --public-key "
        "KEY.pub, for those that its owner has signed, or --unsigned");
  return ok_status();
}

void add_front_end(CLI::App& app, CompileOptions& options) {
  app.add_option("--front-end", options.front_end,
                 "audio in front of the model's input, as in training: "
                 "mlperf-kws, or a TOML file with kind \"mfcc\"; none: the "
                 "input as it is; default: that of --adapter or "
                 "--init-adapter where it is an \"mfcc\"");
  app.add_option("--front-end-arithmetic", options.arithmetic,
                 "float, fixed (no floating point at all) or auto: fixed "
                 "where --precision is integer or the target has no FPU")
      ->capture_default_str();
}

void add_slices(CLI::App& app, CompileOptions& options) {
  app.add_flag("--rtos", options.sliced,
               "training in slices: ft_train_poll does a bounded part of a "
               "step (--slice), and inference may come in between");
  app.add_option("--slice", options.slice,
                 "of --rtos: most that a slice takes, in instructions as the "
                 "target's costs predict them (multiply-accumulates without "
                 "a --target that states costs): longer kernel calls are done "
                 "in parts, to the same bits; 0: whole calls")
      ->needs("--rtos")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_flag("--feature-cache", options.on_features,
               "training reads what the frozen layers in front answered: "
               "ft_features computes it once for each sample, to be kept in "
               "flash, and no step computes it again; same bits");
}

void add_flash(CLI::App& app, CompileOptions& options) {
  app.add_option("--flash", options.flash_adapters,
                 "ft_store.h keeps this many adapters (and training states) "
                 "in flash: takes images of 'fieldtune export --to "
                 "device-image' that the owner of --public-key has signed, "
                 "swaps and resumes, safe against power cuts")
      ->check(CLI::Range(1, 64));
  app.add_option("--public-key", options.public_key,
                 "of --flash: KEY.pub of 'fieldtune keygen'");
  app.add_flag("--unsigned", options.takes_unsigned,
               "of --flash: take images that nobody has signed");
}

}  // namespace

void CompileOptions::add_to(CLI::App& app) {
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
  add_plan_file(app, plan);
  adapters.add_to(app);
  app.add_option("--adapter-mode", adapter_mode,
                 "of --program infer: side: the adapter computes beside the "
                 "base as it was trained and can be swapped; int8: the same "
                 "in integers, which is several times faster and rounds a "
                 "little differently (LoRA beside int8 layers; 'eval "
                 "--adapter-mode int8' says how well); merged: it is folded "
                 "into the weights, as 'fieldtune merge' does")
      ->check(CLI::IsMember({"side", "int8", "merged"}))
      ->capture_default_str();
  app.add_option("--init-adapter", init_adapter,
                 "training starts from the values of this adapter: of its "
                 "layers, ranks and classes where no option of the method is "
                 "given");
  add_front_end(app, *this);
  app.add_option("--seed", seed, "of everything random")->capture_default_str();
  app.add_option("--steps", steps,
                 "training steps after which --schedule cosine or linear "
                 "reaches 0")
      ->check(CLI::NonNegativeNumber);
  add_slices(app, *this);
  add_flash(app, *this);
  layout.add_to(app);
  app.add_flag("--costs", costs,
               "in the JSON, what each call has to do: how rows of kernels are "
               "priced (see plan --costs)");
  app.add_flag("--json", json, "one JSON object on stdout");
}

Status CompileOptions::check() const {
  FT_TRY_STATUS(check_adapters(*this));
  if (program != "train" && program != "infer")
    return usage_error(
        fmt::format("--program '{}': there are: train, infer", program));
  if (!output.empty() && output != "model" && output != "real")
    return usage_error(
        fmt::format("--output '{}': there are: model, real", output));
  if (trains() && !adapters.paths.empty())
    return usage_error(
        "--adapter is of --program infer; training starts from --init-adapter");
  if (!trains() && (sliced || on_features || !init_adapter.empty()))
    return usage_error(
        "--rtos, --feature-cache and --init-adapter are of --program train");
  if (arithmetic != "float" && arithmetic != "fixed" && arithmetic != "auto")
    return usage_error(fmt::format(
        "--front-end-arithmetic '{}': there are: float, fixed, auto",
        arithmetic));
  if (method.new_head)
    return usage_error(
        "--new-head needs data to count classes; give --classes N");
  if (trains() && optimizer.settings.schedule != "constant" && steps == 0)
    return usage_error(fmt::format(
        "--schedule {} falls over the whole training: give its --steps",
        optimizer.settings.schedule));
  std::error_code ignored;
  if (std::filesystem::exists(out, ignored) &&
      !std::filesystem::is_empty(out, ignored))
    return usage_error(fmt::format("--out {} exists and is not empty", out));
  return check_optimizer(optimizer.settings);
}

PlanOptions CompileOptions::plan_for(const Target& device) const {
  return plan_on(device, layout.plan({}));
}

}  // namespace ft::cli
