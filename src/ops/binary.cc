// Element-wise ops of two tensors with numpy broadcasting and a fused
// activation. Loops in kernels/binary/.
#include "kernels/binary/binary.h"

#include "kernels/binary/device_add.h"
#include "kernels/binary/linear_sum.h"
#include "ops/activation_bounds.h"
#include "ops/all_ops.h"
#include "ops/broadcast.h"
#include "ops/checks.h"
#include "ops/conv_common.h"
#include "ops/division.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/quantize_multiplier.h"
#include "ops/sum_to_shape.h"

namespace ft::ops {
namespace {

std::optional<int32_t> kind_of(const Attrs& attrs) {
  constexpr std::string_view kNames[] = {
      "add", "sub", "mul", "div", "maximum", "minimum", "squared_difference"};
  const auto* at = std::ranges::find(kNames, attrs.get_word("kind"));
  if (at == std::end(kNames)) return std::nullopt;
  return static_cast<int32_t>(at - kNames);
}

bool compares(int32_t kind) {
  return kind == FT_BINARY_MAXIMUM || kind == FT_BINARY_MINIMUM;
}

Status check_int8(const NodeView& node, int32_t kind) {
  FT_TRY_STATUS(check_wanted_quant(node));
  if (kind == FT_BINARY_DIV) return node.error("there is no int8 division");
  if (compares(kind) && node.in(0).quant != node.in(1).quant)
    return node.error("int8 operands must have the same quantizer");
  return ok_status();
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  const auto kind = kind_of(*node.attrs);
  if (!kind)
    return node.error(
        fmt::format("unknown kind '{}'", node.attrs->get_word("kind")));
  FT_TRY_STATUS(check_inputs_indexable(node));
  FT_TRY_STATUS(check_act(node));
  for (size_t i = 0; i < 2; ++i)
    FT_TRY_STATUS(check_real_or_per_tensor(node, i));
  FT_TRY_STATUS(check_same_dtype(node, 0, 1));
  const bool is_int8 = node.in(0).dtype == DType::kS8;
  if (is_int8) FT_TRY_STATUS(check_int8(node, *kind));
  const auto shape = broadcast_shape(node.shape(0), node.shape(1));
  if (!shape)
    return node.error(fmt::format("{} and {} do not broadcast",
                                  node.shape(0).to_string(),
                                  node.shape(1).to_string()));
  FT_TRY_STATUS(check_count(node, *shape));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype,
       .shape = *shape,
       .quant = is_int8 && compares(*kind) ? node.in(0).quant : QuantParams{}}};
}

// The reference brings both operands to twice the larger scale, with left_shift
// bits of head room; a product needs no common scale. It computes some factors
// in float32, and so does this.
void set_requantizers(const NodeView& node, ft_binary_params& p) {
  const float a = node.in(0).quant.scale[0], b = node.in(1).quant.scale[0];
  const float y = node.out(0).quant.scale[0];
  p.a_zero_point = node.in(0).quant.zero_point[0];
  p.b_zero_point = node.in(1).quant.zero_point[0];
  p.y_zero_point = node.out(0).quant.zero_point[0];
  double factor = static_cast<double>(a * b / y);
  if (p.kind != FT_BINARY_MUL) {
    const bool squares = p.kind == FT_BINARY_SQUARED_DIFFERENCE;
    p.left_shift = squares ? 7 : FT_BINARY_LEFT_SHIFT;
    const double common = 2.0 * static_cast<double>(std::max(a, b));
    const auto qa = quantize_multiplier(static_cast<double>(a) / common);
    const auto qb = quantize_multiplier(static_cast<double>(b) / common);
    p.a_multiplier = qa.multiplier;
    p.a_shift = qa.shift;
    p.b_multiplier = qb.multiplier;
    p.b_shift = qb.shift;
    factor = squares ? common * common / static_cast<double>((1 << 14) * y)
                     : common / static_cast<double>((1 << 20) * y);
  }
  const auto qy = quantize_multiplier(factor);
  p.y_multiplier = qy.multiplier;
  p.y_shift = qy.shift;
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  ft_binary_params p{};
  p.pair = strided_pair(node.shape(0), node.shape(1), node.out(0).shape);
  p.kind = *kind_of(*node.attrs);
  p.act = node.attrs->get_i("act");
  if (node.in(0).dtype == DType::kS8) {
    const ActivationBounds bounds = activation_bounds(p.act, node.out(0).quant);
    p.q_low = bounds.low;
    p.q_high = bounds.high;
    if (!compares(p.kind)) set_requantizers(node, p);
  }
  lowered.set_params(p);
  return ok_status();
}

// Emits the gradient rules of one node: `dy` is the gradient before the fused
// activation, the operands are real.
struct Rule {
  GradientBuilder& g;
  ValueId dy, a, b;

  ValueId binary(const char* kind, ValueId x, ValueId y) const {
    return g.emit(kBinary, {x, y}, {{"kind", kind}});
  }
  ValueId negated(ValueId x) const {
    return g.emit(kUnary, {x}, {{"kind", "neg"}});
  }
  // dy where a wins; equal elements count for b.
  ValueId where_a_wins(int32_t kind) const {
    const bool max = kind == FT_BINARY_MAXIMUM;
    return g.emit(kActivationGrad,
                  {dy, max ? binary("sub", a, b) : binary("sub", b, a)},
                  {{"act", FT_ACT_RELU}});
  }
  ValueId twice_difference() const {
    const ValueId d = binary("sub", a, b);
    return binary("add", d, d);
  }

  ValueId of_a(int32_t kind) const {
    switch (kind) {
      case FT_BINARY_MUL: return binary("mul", dy, b);
      case FT_BINARY_DIV: return binary("div", dy, b);
      case FT_BINARY_MAXIMUM:
      case FT_BINARY_MINIMUM: return where_a_wins(kind);
      case FT_BINARY_SQUARED_DIFFERENCE:
        return binary("mul", dy, twice_difference());
      default: return dy;
    }
  }
  ValueId of_b(int32_t kind) const {
    switch (kind) {
      case FT_BINARY_SUB: return negated(dy);
      case FT_BINARY_MUL: return binary("mul", dy, a);
      case FT_BINARY_DIV:  // -dy a / b^2
        return negated(
            binary("mul", binary("div", dy, b), binary("div", a, b)));
      case FT_BINARY_MAXIMUM:
      case FT_BINARY_MINIMUM: return binary("sub", dy, where_a_wins(kind));
      case FT_BINARY_SQUARED_DIFFERENCE:
        return negated(binary("mul", dy, twice_difference()));
      default: return dy;
    }
  }
};

void gradient(GradientBuilder& g) {
  const int32_t kind = *kind_of(g.attrs());
  const bool reads_operands = kind != FT_BINARY_ADD && kind != FT_BINARY_SUB;
  const Shape a = g.shape(g.input(0)), b = g.shape(g.input(1));
  Rule rule{g, emit_pre_activation_grad(g), g.input(0), g.input(1)};
  if (reads_operands) {
    // d a of a product needs only b, and the other way round.
    if (kind != FT_BINARY_MUL || g.needs_grad(1))
      rule.a = emit_real(g, g.input(0));
    if (kind != FT_BINARY_MUL || g.needs_grad(0))
      rule.b = emit_real(g, g.input(1));
  }
  if (g.needs_grad(0))
    g.set_input_grad(0, emit_sum_to_shape(g, rule.of_a(kind), a));
  if (g.needs_grad(1))
    g.set_input_grad(1, emit_sum_to_shape(g, rule.of_b(kind), b));
}

std::vector<OpExample> float_examples(const char* kind, float low, float high) {
  const auto example = [&](Shape a, Shape b, int64_t act) {
    return OpExample{.inputs = {f32(a), f32(b)},
                     .attrs = {{"kind", kind}, {"act", act}},
                     .low = low,
                     .high = high,
                     .note = kind};
  };
  return {example({2, 3, 5}, {2, 3, 5}, FT_ACT_NONE),
          example({2, 3, 5}, {5}, FT_ACT_RELU),
          example({4, 1, 3}, {2, 1}, FT_ACT_NONE),
          example({1}, {3, 7}, FT_ACT_RELU_N1)};
}

std::vector<OpExample> int8_examples(const char* kind, bool same_quant) {
  const auto example = [&](Shape a, Shape b, int64_t act) {
    OpExample e{.inputs = {s8(a, 0.05f, -3), s8(b, 0.031f, 11)},
                .attrs = {{"kind", kind}, {"act", act}},
                .out_quant = {QuantParams::per_tensor(0.06f, -20)},
                .note = kind};
    if (same_quant) {
      e.inputs[1].quant = e.inputs[0].quant;
      e.out_quant.clear();
    }
    return e;
  };
  return {example({3, 37}, {3, 37}, FT_ACT_NONE),
          example({2, 3, 5}, {5}, FT_ACT_RELU),
          example({2, 1, 4, 5}, {3, 1, 5}, FT_ACT_RELU6)};
}

// Scales whose ratios are no simple fractions: no sum lies half way.
OpExample line_example(const char* kind) {
  return {.inputs = {s8({3, 50}, 0.0537211f, -3), s8({3, 50}, 0.0312943f, 11)},
          .attrs = {{"kind", kind}, {"act", FT_ACT_RELU}},
          .out_quant = {QuantParams::per_tensor(0.0610123f, -20)},
          .note = kind};
}

std::vector<OpExample> examples() {
  std::vector<OpExample> all;
  const auto add = [&all](std::vector<OpExample> more) {
    all.insert(all.end(), more.begin(), more.end());
  };
  for (const char* kind : {"add", "sub", "mul", "squared_difference"}) {
    add(float_examples(kind, -1, 1));
    add(int8_examples(kind, false));
  }
  add({line_example("add"), line_example("sub")});
  for (const char* kind : {"maximum", "minimum"}) {
    add(float_examples(kind, -1, 1));
    add(int8_examples(kind, true));
  }
  add(float_examples("div", 0.5f, 3));
  return all;
}

bool accepts_hwy(const LowerContext&, const Lowered& lowered) {
  return ft_binary_s8_hwy_accepts(&lowered.params_as<ft_binary_params>()) != 0;
}

// The rows of microcontrollers.
bool accepts_device(const LowerContext& context, const Lowered& lowered) {
  return context.view.shape(0) == context.view.shape(1) &&
         ft_device_add_accepts(&lowered.params_as<ft_binary_params>()) != 0;
}

// Equal shapes whose sum is one rounded line of both (linear_sum.h).
bool accepts_line(const LowerContext&, const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_binary_params>();
  ft_linear_sum sum{};
  return p.pair.rank == 1 && p.pair.a_stride[0] == 1 &&
         p.pair.b_stride[0] == 1 && ft_find_linear_sum(&p, &sum) != 0;
}

Status prepare_line(const LowerContext&, Lowered& lowered) {
  ft_linear_sum sum{};
  ft_find_linear_sum(&lowered.params_as<ft_binary_params>(), &sum);
  lowered.add_aux<ft_linear_sum>({&sum, 1});
  return ok_status();
}

#if defined(__x86_64__)
bool available_vnni() { return ft_binary_s8_avx512vnni_available() != 0; }
#endif

constexpr KernelDef kKernels[] = {
    {"ft_binary_line_s8_helium", Isa::kHelium, "s8,s8->s8", nullptr,
     accepts_line, prepare_line},
    {"ft_binary_line_s8_armdsp", Isa::kArmDsp, "s8,s8->s8", nullptr,
     accepts_line, prepare_line},
    {"ft_binary_s8_helium", Isa::kHelium, "s8,s8->s8", nullptr, accepts_device},
    {"ft_binary_s8_armdsp", Isa::kArmDsp, "s8,s8->s8", nullptr, accepts_device},
#if defined(__x86_64__)
    {"ft_binary_s8_avx512vnni", Isa::kAvx512Vnni, "s8,s8->s8",
     &ft_binary_s8_avx512vnni, accepts_line, prepare_line, 0, available_vnni},
#endif
    {"ft_binary_f32_hwy", Isa::kHighway, "f32,f32->f32", &ft_binary_f32_hwy},
    {"ft_binary_s8_hwy", Isa::kHighway, "s8,s8->s8", &ft_binary_s8_hwy,
     accepts_hwy},
    {"ft_binary_f32_c99", Isa::kC99, "f32,f32->f32", &ft_binary_f32_c99},
    {"ft_binary_f64_c99", Isa::kC99, "f64,f64->f64", &ft_binary_f64_c99},
    {"ft_binary_s8_c99", Isa::kC99, "s8,s8->s8", &ft_binary_s8_c99},
};

// Elements where no axis is broadcast within.
Division divide_elements(const KernelDef& row, const NodeView& /*node*/,
                         const Lowered& lowered) {
  const auto& p = lowered.params_as<ft_binary_params>().pair;
  const bool divides =
      row.isa == Isa::kC99 || row.symbol == "ft_binary_s8_armdsp";
  if (!divides || p.rank != 1) return {};
  return in_units(p.dims[0]);
}

}  // namespace

constinit const OpDef kBinary = {.name = "binary",
                                 .min_inputs = 2,
                                 .max_inputs = 2,
                                 .infer = infer,
                                 .gradient = gradient,
                                 .lower = lower,
                                 .kernels = kKernels,
                                 .signature_inputs = 2,
                                 .inplace_input = 0,
                                 .divide = divide_elements,
                                 .examples = examples};

}  // namespace ft::ops
