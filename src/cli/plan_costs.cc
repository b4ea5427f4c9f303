#include "cli/plan_costs.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>

#include "cli/compile_job.h"
#include "cli/cost_fields.h"
#include "codegen/size_report.h"
#include "codegen/source_closure.h"
#include "plan/cost.h"

namespace ft::cli {
namespace {

void append(Json& rows, Json more) {
  for (Json& row : more) rows.push_back(std::move(row));
}

struct Rows {
  Json classes = Json::array(), calls = Json::array();
};

// `rows`: nullptr where nobody wants them.
Status add_program(const Target& target, const Program& program,
                   const std::string& name, Rows* rows, Json& fields) {
  FT_TRY(const ProgramCost cost, cost_of(program, target));
  add_cost_fields(cost, target, name, fields);
  if (rows == nullptr) return ok_status();
  append(rows->classes, class_rows(cost, name));
  append(rows->calls, call_rows(program, cost, target, name));
  return ok_status();
}

// The deepest stack and the code of kernels are known for the architectures of
// targets/kernel_sizes.txt.
Status add_device_sizes(const Target& target, const Program& infer,
                        const Program& train, Json& fields) {
  const codegen::DeviceModel model{
      .infer = &infer, .train = &train, .target = target};
  FT_TRY(const codegen::DeviceSizes sizes, codegen::sizes_of(model));
  std::set<std::string> symbols;
  for (const Program* program : {&infer, &train})
    for (const KernelCall& call : program->calls)
      symbols.emplace(call.kernel->symbol);
  FT_TRY(const auto files, codegen::sources_of(symbols));
  fields["stack_bytes"] = sizes.stack_bytes;
  fields["device_ram_bytes"] = sizes.ram_bytes();
  fields["code_bytes"] = codegen::code_bytes(model, files);
  return ok_status();
}

}  // namespace

Status add_costs(const Target& target, const BaseModel& single,
                 const StepSettings& settings, const CompiledStep& step,
                 bool with_rows, Json& fields) {
  FT_TRY(const CompiledStep side,
         compile_inference(single.graph, settings.method, settings.plan,
                           settings.precision, settings.storage));
  FT_TRY(const Program infer, with_model_output(side.program, settings.plan));
  fields["target"] = target.name;
  fields["part"] = target.costs ? target.costs->part : "";
  Rows rows;
  Rows* wanted = with_rows ? &rows : nullptr;
  FT_TRY_STATUS(add_program(target, step.program, "step", wanted, fields));
  FT_TRY_STATUS(add_program(target, infer, "infer", wanted, fields));
  FT_TRY(const MethodDef* method, find_method(settings.method.method));
  if (method->merge != nullptr) {
    // A folded adapter leaves the base's own arithmetic.
    FT_TRY(const CompiledStep base, compile_base(single.graph, settings.plan));
    FT_TRY(const Program merged,
           with_model_output(base.program, settings.plan));
    FT_TRY_STATUS(add_program(target, merged, "merged_infer", wanted, fields));
  }
  if (!target.runs_linux)
    FT_TRY_STATUS(add_device_sizes(target, infer, step.program, fields));
  if (!with_rows) return ok_status();
  fields["classes"] = std::move(rows.classes);
  fields["calls"] = std::move(rows.calls);
  return ok_status();
}

}  // namespace ft::cli
