#include "cli/merge_job.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "cli/evaluate_job.h"
#include "formats/tflite/import.h"
#include "train/adapted_model.h"
#include "train/merge_adapted.h"
#include "train/merge_folder.h"

namespace ft::cli {
namespace {

// The data if it was named or is still where training found it.
bool data_at_hand(const MergeJob& job, const Metadata& metadata) {
  if (!job.data.path.empty()) return true;
  const auto path = metadata.find("data_path");
  return path != metadata.end() && !path->second.empty() &&
         std::filesystem::exists(path->second);
}

Result<Evaluation> evaluate_model(const TfliteModel& model,
                                  const EvaluationData& data,
                                  const MergeJob& job) {
  FT_TRY(const CompiledStep step,
         compile_base(model.graph, job.kernels.plan()));
  return evaluate_program(step.program, data, job.data.threads);
}

Status measure(const MergeJob& job, const AdaptedModel& model,
               const MergeInput& input, std::span<const std::byte> file,
               MergeOutcome& outcome) {
  FT_TRY(const EvaluationData data,
         load_evaluation_data(job.data, model.metadata()));
  FT_TRY(outcome.unmerged,
         evaluate_program(model.step.program, data, job.data.threads));
  FT_TRY(const TfliteModel in_float, merged_float_model(job.model, input));
  FT_TRY(outcome.merged_f32, evaluate_model(in_float, data, job));
  FT_TRY(const TfliteModel merged,
         import_tflite(file, {.dynamic_range = true, .batch = 1}));
  FT_TRY(outcome.merged_file, evaluate_model(merged, data, job));
  outcome.classes = data.data->set.classes;
  const bool int8 =
      merged.graph.value(merged.graph.inputs[0]).type.dtype == DType::kS8;
  outcome.fields.update(evaluation_fields(*outcome.unmerged, data, ""));
  const auto add = [&](const Evaluation& e, const char* suffix) {
    const Json f = evaluation_fields(e, data, suffix);
    for (const auto& [key, value] : f.items())
      if (key.ends_with(suffix)) outcome.fields[key] = value;
  };
  add(*outcome.merged_f32, "_merged_f32");
  add(*outcome.merged_file, int8 ? "_int8" : "_merged");
  return ok_status();
}

Result<MergeOutcome> merge_folder(const MergeJob& job,
                                  const AdaptedModel& model,
                                  const MergeInput& input) {
  std::error_code ignored;
  if (std::filesystem::equivalent(job.model, job.out, ignored))
    return usage_error("--out is the base model's own folder");
  FT_TRY(const FolderFiles files,
         merged_huggingface(job.model, model.base.graph, input));
  FT_TRY_STATUS(write_folder(job.out, files));
  FT_TRY(const BaseModel merged, load_base(job.out, Precision::kF32, 1));
  MergeOutcome outcome;
  outcome.fields["merged"] = job.out;
  outcome.fields["file_bytes"] = merged.file_bytes;
  outcome.fields["sha256"] = merged.sha256;
  return outcome;
}

Result<std::vector<std::byte>> merged_file(const std::string& path,
                                           const AdaptedModel& model,
                                           const MergeInput& input) {
  if (takes_tokens(model.base.graph))
    return usage_error(
        "merge writes .tflite files and Hugging Face folders, no llama2.c "
        "checkpoints");
  return merged_tflite_file(path, input);
}

}  // namespace

Result<std::vector<std::byte>> merged_file(const std::string& path,
                                           const AdaptedModel& model) {
  FT_TRY(const MergeInput input, merge_input(model.adapters));
  return merged_file(path, model, input);
}

Result<MergeOutcome> run_merge_job(const MergeJob& job) {
  FT_TRY(const auto choices, job.adapters.choices());
  if (choices.empty()) return usage_error("no --adapter FILE was given");
  if (job.out.empty()) return usage_error("no --out FILE was given");
  FT_TRY(const AdaptedModel model,
         load_adapted_model(job.model, choices, job.kernels.plan()));
  FT_TRY(const MergeInput input, merge_input(model.adapters));
  if (std::filesystem::is_directory(job.model))
    return merge_folder(job, model, input);
  FT_TRY(const auto file, merged_file(job.model, model, input));
  MergeOutcome outcome;
  if (data_at_hand(job, model.metadata()))
    FT_TRY_STATUS(measure(job, model, input, file, outcome));
  FT_TRY_STATUS(write_file_atomically(job.out, file));
  outcome.fields["merged"] = job.out;
  outcome.fields["file_bytes"] = file.size();
  outcome.fields["sha256"] = sha256_hex(file);
  return outcome;
}

}  // namespace ft::cli
