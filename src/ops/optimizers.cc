// Parameter updates, in place: SGD, AdamW with PyTorch's formulas, and AdamW
// with 8-bit state. They have no outputs; the caller writes `hyper` before each
// run: {lr, 1 / (1 - beta1^t), 1 / (1 - beta2^t), hold} with t counted from 1.
// Where hold is not 0 an update does nothing: the run only adds gradients up.
// SGD and AdamW may get the positions of a gradient that holds a few entries
// (top_gradient): nothing else of the parameter and its states changes then.
#include "kernels/adamw8bit_update/adamw8bit_update.h"
#include "kernels/adamw_update/adamw_update.h"
#include "kernels/sgd_update/sgd_update.h"
#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/division.h"
#include "ops/example_types.h"
#include "ops/outer_updates.h"
#include "ops/top_gradient.h"

namespace ft::ops {
namespace {

// Before the last one, `positions`, all inputs are like input 0, but for
// `hyper` and a gradient of a few entries.
Result<std::vector<TensorType>> check(const NodeView& node, size_t hyper,
                                      size_t positions) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  for (size_t i = 1; i < std::min(node.num_inputs(), positions); ++i) {
    if (!node.has(i) || i == hyper) continue;
    FT_TRY_STATUS(check_same_dtype(node, 0, i));
    if (i > 1) FT_TRY_STATUS(check_same_shape(node, 0, i));
  }
  FT_TRY_STATUS(check_gradient(node, 1, positions));
  FT_TRY_STATUS(check_hyper(node, hyper));
  return std::vector<TensorType>{};
}

Result<std::vector<TensorType>> infer_sgd(const NodeView& node) {
  if (!node.has(3) && node.attrs->get_real("momentum") != 0)
    return node.error("momentum needs a state");
  return check(node, 2, 4);
}

int32_t gradient_count(const NodeView& node) {
  return static_cast<int32_t>(node.shape(1).num_elements());
}

// For rows that run through all of a parameter.
template <size_t positions>
bool no_positions(const LowerContext& context, const Lowered&) {
  return !context.view.has(positions);
}

Status lower_sgd(const LowerContext& context, Lowered& lowered) {
  const Attrs& attrs = *context.view.attrs;
  lowered.set_params(ft_sgd_update_params{
      .count = static_cast<int32_t>(context.view.shape(0).num_elements()),
      .momentum = static_cast<float>(attrs.get_real("momentum")),
      .weight_decay = static_cast<float>(attrs.get_real("weight_decay")),
      .nesterov = attrs.get_i("nesterov"),
      .kept = gradient_count(context.view)});
  return ok_status();
}

std::vector<OpExample> sgd_examples() {
  return {{.inputs = {f32({5, 7}), f32({5, 7}), f32({4})}},
          {.inputs = {f32({37}), f32({37}), f32({4}), f32({37})},
           .attrs = {{"momentum", 0.9}, {"weight_decay", 0.01}}},
          {.inputs = {f32({3, 3}), f32({3, 3}), f32({4}), f32({3, 3})},
           .attrs = {{"momentum", 0.9}, {"nesterov", 1}}},
          {.inputs = {f32({5, 7}), f32({9}), f32({4}), f32({5, 7}), s32({9})},
           .attrs = {{"momentum", 0.9}},
           .high = 35},
          {.inputs = {f32({37}), f32({1}), f32({4}), f32({37}), s32({1})},
           .attrs = {{"weight_decay", 0.01}},
           .high = 37,
           .absent = {3}}};
}

// Inputs: param, dy, x, hyper at `hyper`, and states like the parameter.
Result<std::vector<TensorType>> check_outer(const NodeView& node,
                                            size_t hyper) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, 0));
  const int64_t rows = node.shape(1).num_elements();
  const int64_t cols = node.shape(2).num_elements();
  if (rows < 1 || node.shape(0).rank() < 1 || node.shape(0)[0] != rows ||
      node.shape(0).num_elements() != rows * cols)
    return node.error(fmt::format("a parameter {} for {} times {} values",
                                  node.shape(0).to_string(), rows, cols));
  for (size_t i = 1; i < node.num_inputs(); ++i) {
    if (!node.has(i) || i == hyper) continue;
    FT_TRY_STATUS(check_same_dtype(node, 0, i));
    if (i > 2) FT_TRY_STATUS(check_same_shape(node, 0, i));
  }
  FT_TRY_STATUS(check_hyper(node, hyper));
  return std::vector<TensorType>{};
}

Result<std::vector<TensorType>> infer_outer_sgd(const NodeView& node) {
  if (!node.has(4) && node.attrs->get_real("momentum") != 0)
    return node.error("momentum needs a state");
  return check_outer(node, 3);
}

Result<std::vector<TensorType>> infer_outer_adamw(const NodeView& node) {
  return check_outer(node, 5);
}

Status prepare_outer_hwy(const LowerContext& context, Lowered& lowered) {
  lowered.scratch_bytes +=
      static_cast<size_t>(context.view.shape(2).num_elements()) * sizeof(float);
  return ok_status();
}

std::vector<OpExample> outer_sgd_examples() {
  const auto inputs = [](Shape s) {
    return std::vector<TensorType>{f32(s), f32({s[0]}), f32({s[1]}), f32({4})};
  };
  OpExample heavy{.inputs = inputs({5, 7}),
                  .attrs = {{"momentum", 0.9}, {"nesterov", 1}}};
  heavy.inputs.push_back(f32({5, 7}));
  return {{.inputs = inputs({12, 64})},
          {.inputs = inputs({6, 5}), .note = "rows and columns are left"},
          {.inputs = inputs({5, 7}), .attrs = {{"weight_decay", 0.01}}},
          heavy};
}

std::vector<OpExample> outer_adamw_examples() {
  const TensorType w = f32({5, 37});
  return {{.inputs = {w, f32({5}), f32({37}), w, w, f32({4})},
           .attrs = {{"beta1", 0.8}, {"beta2", 0.99}, {"weight_decay", 0.01}},
           .low = 0.01f}};
}

Result<std::vector<TensorType>> infer_adamw(const NodeView& node) {
  return check(node, 4, 5);
}

Status check_state(const NodeView& node, size_t i, const TensorType& want) {
  if (node.in(i).dtype == want.dtype && node.shape(i) == want.shape)
    return ok_status();
  return node.error(fmt::format("input {} must be {}, got {}", i,
                                want.to_string(), node.in(i).to_string()));
}

Result<std::vector<TensorType>> infer_adamw8bit(const NodeView& node) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  if (node.in(0).dtype != DType::kF32)
    return node.error("the parameter must be float32");
  FT_TRY_STATUS(check_state(node, 1, f32(node.shape(0))));
  const int32_t blocks =
      ft_8bit_blocks(static_cast<int32_t>(node.shape(0).num_elements()));
  for (const size_t i : {2u, 3u})
    FT_TRY_STATUS(check_state(
        node, i, {.dtype = DType::kU8, .shape = node.shape(0), .quant = {}}));
  for (const size_t i : {4u, 5u})
    FT_TRY_STATUS(check_state(node, i, f32({blocks})));
  FT_TRY_STATUS(check_hyper(node, 6));
  return std::vector<TensorType>{};
}

Status lower_adamw(const LowerContext& context, Lowered& lowered) {
  const Attrs& attrs = *context.view.attrs;
  const double beta1 = attrs.get_real("beta1", 0.9);
  const double beta2 = attrs.get_real("beta2", 0.999);
  lowered.set_params(ft_adamw_update_params{
      .count = static_cast<int32_t>(context.view.shape(0).num_elements()),
      .one_minus_beta1 = static_cast<float>(1 - beta1),
      .beta2 = static_cast<float>(beta2),
      .one_minus_beta2 = static_cast<float>(1 - beta2),
      .eps = static_cast<float>(attrs.get_real("eps", 1e-8)),
      .weight_decay = static_cast<float>(attrs.get_real("weight_decay")),
      .kept = gradient_count(context.view)});
  return ok_status();
}

// Random inputs would make v negative, so the range is that of v.
std::vector<OpExample> adamw_examples() {
  const auto inputs = [](Shape s) {
    return std::vector<TensorType>{f32(s), f32(s), f32(s), f32(s), f32({4})};
  };
  return {{.inputs = inputs({5, 7}), .low = 0.01f},
          {.inputs = inputs({37}),
           .attrs = {{"beta1", 0.8}, {"beta2", 0.99}, {"weight_decay", 0.01}},
           .low = 0.01f},
          {.inputs = {f32({37}), f32({8}), f32({37}), f32({37}), f32({4}),
                      s32({8})},
           .attrs = {{"weight_decay", 0.01}},
           .low = 0.01f,
           .high = 37}};
}

std::vector<OpExample> adamw8bit_examples() {
  const auto inputs = [](Shape s, int64_t blocks) {
    const TensorType codes{.dtype = DType::kU8, .shape = s, .quant = {}};
    return std::vector<TensorType>{f32(s),        f32(s),        codes,   codes,
                                   f32({blocks}), f32({blocks}), f32({4})};
  };
  return {{.inputs = inputs({5, 7}, 1), .low = 0.01f},
          {.inputs = inputs({600}, 3),
           .attrs = {{"beta1", 0.8}, {"beta2", 0.99}, {"weight_decay", 0.01}},
           .low = 0.01f}};
}

int64_t macs(const NodeView& node) { return node.shape(1).num_elements(); }

int64_t macs_outer(const NodeView& node) {
  return 2 * node.shape(0).num_elements();
}

constexpr KernelDef kOuterSgdKernels[] = {
    {"ft_outer_sgd_update_f32_armdsp", Isa::kArmDsp, "f32->", nullptr},
    {"ft_outer_sgd_update_f32_hwy", Isa::kHighway, "f32->",
     &ft_outer_sgd_update_f32_hwy, nullptr, prepare_outer_hwy},
    {"ft_outer_sgd_update_f32_c99", Isa::kC99, "f32->",
     &ft_outer_sgd_update_f32_c99},
    {"ft_outer_sgd_update_f64_c99", Isa::kC99, "f64->",
     &ft_outer_sgd_update_f64_c99},
};

constexpr KernelDef kOuterAdamwKernels[] = {
    {"ft_outer_adamw_update_f32_hwy", Isa::kHighway, "f32->",
     &ft_outer_adamw_update_f32_hwy, nullptr, prepare_outer_hwy},
    {"ft_outer_adamw_update_f32_c99", Isa::kC99, "f32->",
     &ft_outer_adamw_update_f32_c99},
    {"ft_outer_adamw_update_f64_c99", Isa::kC99, "f64->",
     &ft_outer_adamw_update_f64_c99},
};

constexpr KernelDef kSgdKernels[] = {
    {"ft_sgd_update_f32_hwy", Isa::kHighway, "f32->", &ft_sgd_update_f32_hwy,
     no_positions<4>},
    {"ft_sgd_update_f32_c99", Isa::kC99, "f32->", &ft_sgd_update_f32_c99},
    {"ft_sgd_update_f64_c99", Isa::kC99, "f64->", &ft_sgd_update_f64_c99},
};

constexpr KernelDef kAdamwKernels[] = {
    {"ft_adamw_update_f32_hwy", Isa::kHighway, "f32->",
     &ft_adamw_update_f32_hwy, no_positions<5>},
    {"ft_adamw_update_f32_c99", Isa::kC99, "f32->", &ft_adamw_update_f32_c99},
    {"ft_adamw_update_f64_c99", Isa::kC99, "f64->", &ft_adamw_update_f64_c99},
};

constexpr KernelDef kAdamw8bitKernels[] = {
    {"ft_adamw8bit_update_f32u8_c99", Isa::kC99, "f32->",
     &ft_adamw8bit_update_f32u8_c99},
};

Division divide_values(const KernelDef& /*row*/, const NodeView& node,
                       const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_adamw_update_params>();
  return in_units(node.has(5) ? p.kept : p.count);
}

}  // namespace

// param, grad, hyper, momentum state (optional), positions (optional)
constinit const OpDef kSgdUpdate = {.name = "sgd_update",
                                    .cost_class = CostClass::kUpdate,
                                    .min_inputs = 3,
                                    .max_inputs = 5,
                                    .infer = infer_sgd,
                                    .lower = lower_sgd,
                                    .kernels = kSgdKernels,
                                    .mutates = 1u << 0 | 1u << 3,
                                    .macs = macs,
                                    .examples = sgd_examples};

constinit const OpDef kOuterSgdUpdate = {.name = "outer_sgd_update",
                                         .cost_class = CostClass::kUpdate,
                                         .min_inputs = 4,
                                         .max_inputs = 5,
                                         .infer = infer_outer_sgd,
                                         .lower = lower_sgd,
                                         .kernels = kOuterSgdKernels,
                                         .mutates = 1u << 0 | 1u << 4,
                                         .macs = macs_outer,
                                         .examples = outer_sgd_examples};

constinit const OpDef kOuterAdamwUpdate = {
    .name = "outer_adamw_update",
    .cost_class = CostClass::kUpdate,
    .min_inputs = 6,
    .max_inputs = 6,
    .infer = infer_outer_adamw,
    .lower = lower_adamw,
    .kernels = kOuterAdamwKernels,
    .mutates = 1u << 0 | 1u << 3 | 1u << 4,
    .macs = macs_outer,
    .examples = outer_adamw_examples};

// param, grad, m, v, hyper, positions (optional)
constinit const OpDef kAdamwUpdate = {.name = "adamw_update",
                                      .cost_class = CostClass::kUpdate,
                                      .min_inputs = 5,
                                      .max_inputs = 6,
                                      .infer = infer_adamw,
                                      .lower = lower_adamw,
                                      .kernels = kAdamwKernels,
                                      .divide = divide_values,
                                      .mutates = 1u << 0 | 1u << 2 | 1u << 3,
                                      .macs = macs,
                                      .examples = adamw_examples};

// param, grad, m and v as codes, absmax of m and of v by block, hyper
constinit const OpDef kAdamw8bitUpdate = {
    .name = "adamw8bit_update",
    .cost_class = CostClass::kUpdate,
    .min_inputs = 7,
    .max_inputs = 7,
    .infer = infer_adamw8bit,
    .lower = lower_adamw,
    .kernels = kAdamw8bitKernels,
    .mutates = 1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5,
    .macs = macs,
    .examples = adamw8bit_examples};

}  // namespace ft::ops
