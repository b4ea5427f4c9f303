// The recurrent half of an LSTM as one node over the whole sequence, and its
// gradient through time. The loops live in kernels/lstm/.
//
// x W + b of all steps is a fully_connected node in front, so that it is one
// large product and a layer like any other; the recurrent weights are input 1
// (docs/decisions/009-recurrent.md). Outputs: gates, h, c, where gates and c
// are what the gradient needs; gates may lie over the input.
// Attributes: time_major, coupled (no input gate), cell_clip (0: none).
#include "kernels/lstm/lstm.h"

#include <cfloat>

#include "ops/all_ops.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/example_types.h"
#include "ops/gradient.h"

namespace ft::ops {
namespace {

bool is_coupled(const NodeView& node) {
  return node.attrs->get_int("coupled") != 0;
}

// gates [b, t, G h] or [t, b, G h], and r [G h, h].
Status check_sequence(const NodeView& node, size_t gates, size_t r) {
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_real(node, gates));
  const Shape &a = node.shape(gates), &w = node.shape(r);
  const int64_t num_gates = is_coupled(node) ? 3 : 4;
  if (a.rank() != 3 || a.num_elements() == 0)
    return node.error(
        fmt::format("gates {} are not [rows, rows, gates]", a.to_string()));
  if (w.rank() != 2 || w[1] < 1 || w[0] != a[2] || w[0] != num_gates * w[1])
    return node.error(fmt::format("r {} is not [{} h, h] beside gates {}",
                                  w.to_string(), num_gates, a.to_string()));
  const double clip = node.attrs->get_real("cell_clip", 0);
  if (!(clip >= 0 && clip <= static_cast<double>(FLT_MAX)))
    return node.error(fmt::format("cell_clip is {}", clip));
  for (size_t i = 0; i < node.num_inputs(); ++i)
    if (node.has(i)) FT_TRY_STATUS(check_same_dtype(node, 0, i));
  return ok_status();
}

TensorType with_columns(TensorType type, int64_t columns) {
  type.shape.set(2, columns);
  return type;
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_sequence(node, 0, 1));
  const TensorType h = with_columns(node.in(0), node.shape(1)[1]);
  return std::vector<TensorType>{node.in(0), h, h};
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY_STATUS(check_sequence(node, 0, 2));
  const Shape wide = node.shape(0);
  const Shape narrow = with_columns(node.in(0), node.shape(2)[1]).shape;
  const Shape* wanted[] = {&wide, &narrow, nullptr, &narrow, &wide, &narrow};
  for (size_t i = 0; i < node.num_inputs(); ++i)
    if (node.has(i) && wanted[i] != nullptr && node.shape(i) != *wanted[i])
      return node.error(fmt::format("input {} is {}, needs {}", i,
                                    node.shape(i).to_string(),
                                    wanted[i]->to_string()));
  return std::vector<TensorType>{node.in(0)};
}

ft_lstm_params params_of(const NodeView& node, const Shape& r) {
  const Shape& gates = node.shape(0);
  const bool time_major = node.attrs->get_int("time_major") != 0;
  return {
      .batch = static_cast<int32_t>(gates[time_major ? 1 : 0]),
      .time = static_cast<int32_t>(gates[time_major ? 0 : 1]),
      .hidden = static_cast<int32_t>(r[1]),
      .coupled = is_coupled(node),
      .time_major = time_major,
      .cell_clip = static_cast<float>(node.attrs->get_real("cell_clip", 0))};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  lowered.set_params(params_of(context.view, context.view.shape(1)));
  return ok_status();
}

Status lower_grad(const LowerContext& context, Lowered& lowered) {
  const ft_lstm_params p = params_of(context.view, context.view.shape(2));
  lowered.set_params(p);
  lowered.scratch_bytes = static_cast<size_t>(ft_lstm_grad_scratch(&p)) *
                          size_of(context.view.in(0).dtype);
  return ok_status();
}

// h one step later, with zeros before the first.
ValueId emit_h_before(GradientBuilder& g, ValueId h, int time_axis) {
  std::vector<int64_t> none(3, 0), one(3, 0);
  one[static_cast<size_t>(time_axis)] = 1;
  const Shape all = g.shape(h);
  std::vector<int64_t> size(all.dims().begin(), all.dims().end());
  --size[static_cast<size_t>(time_axis)];
  const ValueId cut = g.emit(kSlice, {h}, {{"begin", none}, {"size", size}});
  return g.emit(kPad, {cut}, {{"before", one}, {"after", none}});
}

// da through time, then dr = sum over steps of da[t]^T h[t-1].
void gradient(GradientBuilder& g) {
  const ValueId r = g.input(1), h = g.output(1);
  const ValueId da = g.emit(kLstmGrad,
                            {g.output(0), g.output(2), r, g.output_grad(1),
                             g.output_grad(0), g.output_grad(2)},
                            g.attrs());
  g.set_input_grad(0, da);
  const int time_axis = g.attrs().get_int("time_major") != 0 ? 0 : 1;
  const Shape rows = g.shape(h);
  // A single step does not read r: h before it is zero.
  if (da == kNone || !g.needs_grad(1) || rows[time_axis] < 2) return;
  const Shape wide = g.shape(r);
  const ValueId before = emit_reshape(g, emit_h_before(g, h, time_axis),
                                      {rows[0] * rows[1], rows[2]});
  const ValueId da_rows = emit_reshape(g, da, {rows[0] * rows[1], wide[0]});
  g.set_input_grad(1, g.emit(kMatmul, {da_rows, before}, {{"trans_a", 1}}));
}

int64_t macs(const NodeView& node) {
  return node.shape(0).num_elements() * node.out(0).shape.back() /
         (is_coupled(node) ? 3 : 4);
}

std::vector<OpExample> examples() {
  return {
      {.inputs = {f32({2, 4, 12}), f32({12, 3})}},
      {.inputs = {f32({4, 2, 12}), f32({12, 3})}, .attrs = {{"time_major", 1}}},
      {.inputs = {f32({1, 5, 15}), f32({15, 5})},
       .attrs = {{"coupled", 1}},
       .low = -2,
       .high = 2},
      {.inputs = {f32({2, 3, 8}), f32({8, 2})},
       .attrs = {{"cell_clip", 0.3}},
       .low = -2,
       .high = 2},
      {.inputs = {f32({3, 1, 8}), f32({8, 2})}, .note = "one step"},
      {.inputs = {f32({3, 2, 72}), f32({72, 18})}}};
}

std::vector<OpExample> grad_examples() {
  const auto inputs = [](int64_t b, int64_t t, int64_t h) {
    return std::vector<TensorType>{f32({b, t, 4 * h}), f32({b, t, h}),
                                   f32({4 * h, h}),    f32({b, t, h}),
                                   f32({b, t, 4 * h}), f32({b, t, h})};
  };
  return {
      {.inputs = inputs(2, 4, 3), .absent = {4, 5}},
      {.inputs = inputs(4, 2, 3), .attrs = {{"time_major", 1}}},
      {.inputs = {f32({2, 3, 6}), f32({2, 3, 2}), f32({6, 2}), f32({2, 3, 2})},
       .attrs = {{"coupled", 1}, {"cell_clip", 0.5}}},
      {.inputs = inputs(3, 2, 18), .absent = {4, 5}}};
}

bool has_constant_r(const LowerContext& context, const Lowered&) {
  return !context.constant(1).empty();
}

Status prepare_swapped(const LowerContext& context, Lowered& lowered) {
  const std::span<const std::byte> bytes = context.constant(1);
  std::vector<float> r(bytes.size() / sizeof(float)), swapped(r.size());
  std::memcpy(r.data(), bytes.data(), bytes.size());
  ft_lstm_swap_axes(&lowered.params_as<ft_lstm_params>(), r.data(),
                    swapped.data());
  lowered.add_aux<float>(swapped);
  return ok_status();
}

Status prepare_hwy(const LowerContext& context, Lowered& lowered) {
  lowered.scratch_bytes = context.view.in(1).num_bytes();
  return ok_status();
}

constexpr KernelDef kKernels[] = {
    {"ft_lstm_f32_hwy_swapped", Isa::kHighway, "f32,f32->f32",
     &ft_lstm_f32_hwy_swapped, has_constant_r, prepare_swapped},
    {"ft_lstm_f32_hwy", Isa::kHighway, "f32,f32->f32", &ft_lstm_f32_hwy,
     nullptr, prepare_hwy},
    {"ft_lstm_f32_c99", Isa::kC99, "f32,f32->f32", &ft_lstm_f32_c99},
    {"ft_lstm_f64_c99", Isa::kC99, "f64,f64->f64", &ft_lstm_f64_c99},
};
constexpr KernelDef kGradKernels[] = {
    {"ft_lstm_grad_f32_hwy", Isa::kHighway, "f32->f32", &ft_lstm_grad_f32_hwy},
    {"ft_lstm_grad_f32_c99", Isa::kC99, "f32->f32", &ft_lstm_grad_f32_c99},
    {"ft_lstm_grad_f64_c99", Isa::kC99, "f64->f64", &ft_lstm_grad_f64_c99},
};

}  // namespace

// gates_x, r -> gates, h, c
constinit const OpDef kLstm = {.name = "lstm",
                               .cost_class = CostClass::kMatrix,
                               .min_inputs = 2,
                               .max_inputs = 2,
                               .infer = infer,
                               .gradient = gradient,
                               .lower = lower,
                               .kernels = kKernels,
                               .signature_inputs = 2,
                               .inplace_input = 0,
                               .macs = macs,
                               .examples = examples};

// gates, c, r, dh, dgates, dc (the last three optional) -> da
constinit const OpDef kLstmGrad = {.name = "lstm_grad",
                                   .cost_class = CostClass::kMatrix,
                                   .min_inputs = 3,
                                   .max_inputs = 6,
                                   .infer = infer_grad,
                                   .lower = lower_grad,
                                   .kernels = kGradKernels,
                                   .inplace_input = 0,
                                   .macs = nullptr,
                                   .examples = grad_examples};

}  // namespace ft::ops
