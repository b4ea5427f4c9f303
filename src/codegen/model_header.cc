// ft_model.h: what a program on the device sees.
#include "codegen/model_header.h"

#include <fmt/format.h>

#include "codegen/c_text.h"

namespace ft::codegen {
namespace {

constexpr std::string_view kTop = R"(/* {title}.
 *
 * Everything is planned: no heap, no recursion, no globals but constants. One
 * ft_model is all RAM that it needs besides the stack; several may be used at
 * once, and none may be moved in memory after ft_init. */
#ifndef FT_MODEL_H_
#define FT_MODEL_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define FT_ARENA_BYTES {arena}
#define FT_PERSISTENT_BYTES {persistent}
#define FT_ADAPTER_BYTES {adapter} /* the first of them */
#define FT_SCRATCH_BYTES {scratch}
{stack}#define FT_BASE_SHA256 "{base}"
#define FT_PLAN_HASH "{plan}" /* of ft_infer, as in device images */
{train_plan}{output}
#define FT_ALIGNED __attribute__((aligned(16)))

typedef enum {{
  FT_OK = 0,
  FT_BUSY,       /* the training step is not done yet */
  FT_NOT_FINITE, /* the loss is not finite: load the last good state */
  FT_BAD_STATE,  /* of another model, or not a state: nothing was changed */
  FT_BAD_ADDRESS /* not aligned to 16 bytes: nothing was changed */
}} ft_status;

typedef struct {{
{members}  int64_t step;                 /* training steps done */
  uint32_t next_call;           /* of an unfinished training step */
}} ft_model;
{as_planned}
void ft_init(ft_model *m);

)";

constexpr std::string_view kSwap =
    R"(/* Inference with the values at `adapter`, FT_ADAPTER_BYTES aligned to 16 bytes
 * (flash will do), from now on; with 0 those that are being trained. */
ft_status ft_swap_adapter(ft_model *m, const void *adapter);

)";

constexpr std::string_view kFeatures = R"(
/* What the layers that training leaves as they are answer to the sample in the
 * features' input: FT_FEATURE_BYTES of output, which stay the same for good.
 * Keep them (flash will do) and copy them to ft_train_input for each step. */
#define FT_FEATURE_BYTES {bytes}
void ft_features(ft_model *m);
)";

constexpr std::string_view kTraining = R"(
/* One step of training on the sample in the training inputs, which it
 * overwrites. */
ft_status ft_train_step(ft_model *m);

/* Training begins anew, from the values that ft_infer uses. */
void ft_start_training(ft_model *m);

/* Everything that training needs to go on later, to the same bits. Between two
 * steps only: FT_BUSY within one, whose updates are half done. */
#define FT_STATE_BYTES (32 + FT_PERSISTENT_BYTES)
ft_status ft_save_state(const ft_model *m, unsigned char *to);
ft_status ft_load_state(ft_model *m, const unsigned char *from);
)";

constexpr std::string_view kSliced = R"(
/* Does slices of a step until `budget` is used, one slice at least: FT_BUSY until
 * the step is done. ft_infer may come in between. The longest slice has
 * FT_LONGEST_SLICE. Of all three the unit is {unit}{predicted}. */
#define FT_LONGEST_SLICE {longest}
ft_status ft_train_poll(ft_model *m, uint32_t budget);
)";

std::string print_sliced(const Slices& slices) {
  return fmt::format(
      kSliced, fmt::arg("longest", slice_cost(slices.calls[slices.longest()])),
      fmt::arg("unit", slices.unit == "instructions" ? "an instruction"
                                                     : "a multiply-accumulate"),
      fmt::arg("predicted", slices.unit == "instructions"
                                ? ", as predicted\n * for this device"
                                : ""));
}

std::string describe(const Binding& b) {
  const QuantParams& q = b.type.quant;
  std::string text =
      fmt::format("{}{}", name_of(b.type.dtype), b.type.shape.to_string());
  if (q.scale.size() == 1)
    text += fmt::format(", real = {} * (q - {})", q.scale[0],
                        q.zero_point.empty() ? 0 : q.zero_point[0]);
  return text;
}

std::string print_stack(const DeviceSizes& sizes, const Target& target) {
  if (sizes.stack_bytes == 0) return "";
  return fmt::format(
      "#define FT_MODEL_BYTES {} /* of ft_model on {} */\n"
      "#define FT_STACK_BYTES {} /* below a call of any function here */\n"
      "#define FT_RAM_BYTES (FT_MODEL_BYTES + {}FT_STACK_BYTES)\n",
      sizes.model_bytes, target.name, sizes.stack_bytes,
      sizes.front_end_bytes > 0
          ? fmt::format("{} /* of ft_frontend */ + ", sizes.front_end_bytes)
          : "");
}

// Other compilers may align in other ways; then the plan is not what runs.
constexpr std::string_view kAsPlanned =
    "typedef char ft_model_is_as_planned[sizeof(ft_model) == FT_MODEL_BYTES ? "
    "1 "
    ": -1];\n";

// Where an output has one quantizer: real = scale * (q - zero point).
std::string quantizer_of(const Binding& b) {
  const QuantParams& q = b.type.quant;
  if (q.scale.size() != 1) return "";
  return fmt::format(
      "#define FT_OUTPUT_SCALE {}\n#define FT_OUTPUT_ZERO_POINT {}\n",
      c_literal(q.scale[0]), q.zero_point.empty() ? 0 : q.zero_point[0]);
}

std::string about_training(const DeviceModel& model) {
  if (model.train == nullptr) return "";
  std::string text = fmt::format("#define FT_TRAIN_PLAN_HASH \"{}\"\n",
                                 plan_hash(*model.train));
  if (model.steps_per_day > 0)
    text += fmt::format(
        "#define FT_STEPS_PER_DAY {} /* that the plan's energy pays for */\n",
        model.steps_per_day);
  return text;
}

std::string region(const char* name, size_t bytes) {
  if (bytes == 0) return "";
  return fmt::format("  FT_ALIGNED unsigned char {}[{}];\n", name, bytes);
}

}  // namespace

std::string accessor_prototype(const Accessor& a) {
  return fmt::format("{}{} *{}(ft_model *m)", a.is_input ? "" : "const ",
                     c_type(a.binding->type.dtype), a.name);
}

std::vector<Accessor> accessors(const Program& program,
                                const std::string& prefix, bool training) {
  std::vector<Accessor> all;
  const size_t model_inputs = program.inputs.size() - (training ? 2 : 0);
  for (size_t i = 0; i + (training ? 1 : 0) < program.inputs.size(); ++i) {
    std::string name = i < model_inputs ? "input" : "target";
    if (name == "input" && i > 0) name += fmt::format("_{}", i);
    all.push_back({prefix + "_" + name, &program.inputs[i], true});
  }
  const char* const kNames[] = {training ? "loss" : "output", "answer",
                                "answer_exponent"};
  for (size_t i = 0; i < program.outputs.size() && i < std::size(kNames); ++i)
    all.push_back({prefix + "_" + kNames[i], &program.outputs[i], false});
  return all;
}

std::string print_model_header(const DeviceModel& model,
                               const DeviceSizes& sizes,
                               const std::optional<Slices>& slices) {
  const std::string adapter =
      sizes.adapter_bytes > 0
          ? "  const unsigned char *adapter; /* values that ft_infer uses */\n"
          : "";
  std::string text = fmt::format(
      kTop, fmt::arg("title", model.title),
      fmt::arg("arena", sizes.arena_bytes),
      fmt::arg("persistent", sizes.persistent_bytes),
      fmt::arg("adapter", sizes.adapter_bytes),
      fmt::arg("scratch", sizes.scratch_bytes),
      fmt::arg("stack", print_stack(sizes, model.target)),
      fmt::arg("base", model.base_sha256),
      fmt::arg("plan", model.store.plan_hash),
      fmt::arg("train_plan", about_training(model)),
      fmt::arg("as_planned", sizes.stack_bytes > 0 ? kAsPlanned : ""),
      fmt::arg("output", quantizer_of(model.infer->outputs[0])),
      fmt::arg("members", region("arena", sizes.arena_bytes) +
                              region("persistent", sizes.persistent_bytes) +
                              region("scratch", sizes.scratch_bytes) +
                              adapter));
  if (sizes.adapter_bytes > 0) text += kSwap;
  text +=
      "/* Inputs are filled before each run, which overwrites them; outputs "
      "are valid\n * until the next one. */\n";
  text += "void ft_infer(ft_model *m);\n";
  const auto add = [&text](const std::vector<Accessor>& all) {
    for (const Accessor& a : all)
      text += fmt::format("{}; /* {} */\n", accessor_prototype(a),
                          describe(*a.binding));
  };
  add(accessors(*model.infer, "ft_infer", false));
  if (model.features) {
    text += fmt::format(
        kFeatures,
        fmt::arg("bytes", model.features->outputs[0].type.num_bytes()));
    add(accessors(*model.features, "ft_features", false));
  }
  if (model.train) {
    text += kTraining;
    add(accessors(*model.train, "ft_train", true));
  }
  if (slices) text += print_sliced(*slices);
  return text + "\n#ifdef __cplusplus\n}\n#endif\n#endif /* FT_MODEL_H_ */\n";
}

}  // namespace ft::codegen
