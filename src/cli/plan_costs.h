// `fieldtune plan --target`: what training and inference cost on a device.
#pragma once

#include "cli/output.h"
#include "plan/target.h"
#include "train/base_model.h"
#include "train/step.h"

namespace ft::cli {

// Adds to `fields` what `step` costs on the target, and inference with the
// adapter beside the base and folded into it; of a microcontroller also its
// RAM with the stack, and its flash with the code. `single`: the base for one
// sample. `with_rows`: by class of op and by call too.
Status add_costs(const Target& target, const BaseModel& single,
                 const StepSettings& settings, const CompiledStep& step,
                 bool with_rows, Json& fields);

}  // namespace ft::cli
