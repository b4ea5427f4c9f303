// Programs for a device, with what is printed around them.
#pragma once

#include "cli/compile_options.h"
#include "codegen/device_model.h"
#include "plan/target.h"
#include "train/step.h"

namespace ft::cli {

// The programs of a training, with the values that it starts from.
struct DevicePrograms {
  CompiledStep train, infer;
  std::optional<Program> features;  // of --feature-cache
  std::string base_sha256;
  std::string front_end;  // that the adapter records, as TOML; or none
  bool integer = false;
};

// Training with as much computed again as --ram and the target's memory ask
// for.
Result<DevicePrograms> compile_training_for(const CompileOptions& options,
                                            const Target& target);

// `programs` with title, target, store and front end; `front_end`: what the
// adapter records, which --front-end goes before.
Result<codegen::DeviceModel> device_model_of(const CompileOptions& options,
                                             const Target& target,
                                             const std::string& front_end,
                                             codegen::DeviceModel programs);
Result<codegen::DeviceModel> device_model_of(const CompileOptions& options,
                                             const Target& target,
                                             const DevicePrograms& programs);

// Inference that computes the model's own output only.
Result<Program> with_model_output(const Program& infer,
                                  const PlanOptions& plan);

}  // namespace ft::cli
