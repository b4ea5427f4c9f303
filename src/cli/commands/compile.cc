// fieldtune compile: a folder of C99 that infers and trains on a device.
#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "cli/commands/commands.h"
#include "cli/compile_job.h"
#include "cli/cost_fields.h"
#include "cli/data_job.h"
#include "cli/merge_job.h"
#include "cli/output.h"
#include "cli/plan_file.h"
#include "formats/tflite/import.h"
#include "passes/stripes.h"
#include "train/adapted_model.h"

namespace ft::cli {
namespace {

// What a caller puts in and takes out, for tools that drive the code.
void add_interface(const codegen::DeviceModel& model, Json& fields) {
  const Program& program = model.train ? *model.train : *model.infer;
  const TensorType& input =
      (model.features ? *model.features : program).inputs[0].type;
  const bool is_real = model.infer->outputs.size() > 1;
  const TensorType& answer = model.infer->outputs[is_real ? 1 : 0].type;
  fields["input_dtype"] = name_of(input.dtype);
  fields["input_bytes"] = input.num_bytes();
  if (model.features) {
    fields["feature_layer"] = model.features->outputs[0].name;
    fields["feature_bytes"] = model.features->outputs[0].type.num_bytes();
  }
  fields["answer"] = is_real ? "ft_infer_answer" : "ft_infer_output";
  fields["answer_bytes"] = answer.num_bytes();
  if (!model.train) return;
  // Behind the model's inputs come the target and the optimizer's numbers.
  const Binding& target = program.inputs[program.inputs.size() - 2];
  fields["target_dtype"] = name_of(target.type.dtype);
  fields["target_bytes"] = target.type.num_bytes();
  fields["classes"] = target.name == "labels" ? answer.shape.back() : 0;
}

// How a step is cut, and the call that has the longest slice.
void add_slices(const Program& program, const codegen::Slices& slices,
                Json& fields) {
  const size_t longest = slices.longest();
  const KernelCall& call = program.calls[longest];
  const Node& node = program.graph.node(call.node);
  fields["slices"] = slices.count();
  fields["longest_slice"] = codegen::slice_cost(slices.calls[longest]);
  fields["slice_unit"] = slices.unit;
  fields["longest_slice_call"] =
      fmt::format("{} {}: {}", node.op->name, node.name, call.kernel->symbol);
}

Json fields_of(const CompileOptions& options, const Target& target,
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
      {"store_bytes", s.store_bytes},
      {"plan_hash", plan_hash(model.train ? *model.train : *model.infer)},
      {"infer_plan_hash", model.store.plan_hash},
      {"infer_macs", model.infer->macs},
      {"infer_patches", stripes_of(model.infer->graph)},
      {"flash_adapters", model.store.adapters},
      {"state_bytes",
       codegen::state_bytes(s.persistent_bytes, model.train != nullptr)}};
  if (model.steps_per_day > 0) fields["steps_per_day"] = model.steps_per_day;
  if (printed.slices) add_slices(*model.train, *printed.slices, fields);
  add_interface(model, fields);
  if (!options.costs) return fields;
  fields["calls"] = work_rows(*model.infer, "infer");
  if (model.train)
    for (Json& row : work_rows(*model.train, "train"))
      fields["calls"].push_back(std::move(row));
  return fields;
}

Status write(const CompileOptions& options, const Target& target,
             codegen::DeviceModel model) {
  Program printed_infer;  // if it is not all of model.infer
  if (!options.wants_real_output()) {
    FT_TRY(printed_infer,
           with_model_output(*model.infer, options.plan_for(target)));
    model.infer = &printed_infer;
  }
  FT_TRY_STATUS(
      options.layout.check({model.infer, model.train, model.features}));
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
Status write_inference(const CompileOptions& options, const Target& target) {
  FT_TRY(const auto choices, options.adapters.choices());
  const bool merges = options.adapter_mode == "merged";
  FT_TRY(const SideArithmetic sides,
         parse_side_arithmetic(merges ? "side" : options.adapter_mode));
  FT_TRY(const AdaptedModel model,
         load_adapted_model(options.model, choices, options.plan_for(target),
                            options.method.seq_len, sides));
  const auto print = [&](const codegen::DeviceModel& programs) -> Status {
    FT_TRY(codegen::DeviceModel device,
           device_model_of(options, target,
                           recorded(model.metadata(), "front_end"), programs));
    return write(options, target, std::move(device));
  };
  if (!merges)
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
  FT_TRY(const CompiledStep step,
         compile_base(merged.graph, options.plan_for(target)));
  return print({.infer = &step.program,
                .title = "for inference, adapter merged",
                .base_sha256 = sha256_hex(file)});
}

Status run(const CompileOptions& given) {
  CompileOptions options = given;
  if (!options.plan.empty()) {
    FT_TRY(const TrainingPlan plan, load_plan_for(options.model, options.plan));
    FT_TRY_STATUS(apply_plan(plan, true, options.method, options.optimizer));
    if (options.target.empty()) options.target = plan.target;
    options.steps_per_day = steps_per_day(plan);
  }
  FT_TRY_STATUS(options.check());
  Target target;
  if (!options.target.empty()) {
    FT_TRY(target, load_target(options.target));
    if (target.runs_linux)
      return usage_error(fmt::format(
          "--target {}: it runs Linux, where 'fieldtune train' and 'run' work "
          "themselves; C99 is printed for targets with a [compiler]",
          options.target));
  }
  if (options.program == "infer") return write_inference(options, target);
  FT_TRY(const DevicePrograms both, compile_training_for(options, target));
  FT_TRY(codegen::DeviceModel model, device_model_of(options, target, both));
  return write(options, target, std::move(model));
}

}  // namespace

void add_compile(CLI::App& app, Action& action) {
  add_command<CompileOptions>(
      app, action, "compile", "Print a model as C99 that trains on a device",
      "fieldtune compile kws.tflite --target cortex-m4 --method lora --rank 4 "
      "--precision integer --out kws_c\n"
      "  fieldtune compile kws.tflite --target cortex-m4 --classes 10 --flash "
      "2 "
      "--public-key release.key.pub --out kws_c",
      run);
}

}  // namespace ft::cli
