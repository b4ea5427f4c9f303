// What the ops on block floating point share: types, checks, and their float
// twins.
//
// A tensor of block floating point is two values: int16 mantissas and an int32
// exponent, real = mantissa * 2^exponent * factor. The factor is known when
// compiling and stands in the mantissas' QuantParams as the scale, from 1 up to
// 2 in what these ops make; operands in int8 have their scale as the factor and
// no exponent. An op that has a float twin (bfp_conv2d: conv2d) takes its shape
// rule, its geometry and its attributes from it.
#pragma once

#include <cmath>
#include <vector>

#include "ops/checks.h"
#include "ops/quantize_multiplier.h"

namespace ft::ops {

// value = factor * 2^exponent, 1 <= factor < 2.
struct SplitFactor {
  float factor = 1;
  int32_t exponent = 0;
};
SplitFactor split_factor(double value);

// real = multiplier * 2^exponent with 2^30 <= multiplier < 2^31; 0: {0, 0}.
struct FixedFactor {
  int32_t multiplier = 0, exponent = 0;
};
FixedFactor fixed_factor(double real);

TensorType bfp_type(const Shape& shape, float factor);
TensorType exponent_type();
// A vector of which each value has a unit of its own.
TensorType with_units(TensorType vector, std::vector<float> units);

// Input i: int16 with one positive factor, and input `exponent` int32[1].
Status check_bfp(const NodeView& node, size_t i, size_t exponent);
// Scales of an int16 vector: one, or one for each value, positive. The values
// then have units of their own beside the exponent that they share.
Status check_units(const NodeView& node, const TensorType& type);
// As check_bfp, of a tensor or of a vector with units.
Status check_bfp_units(const NodeView& node, size_t i, size_t exponent);
// The same as check_bfp, or int8 with one scale and no exponent.
Status check_operand(const NodeView& node, size_t i, size_t exponent);
// Input i is int32[1] where present.
Status check_state(const NodeView& node, size_t i);
// Input i is int32[FT_BFP_HYPER].
Status check_bfp_hyper(const NodeView& node, size_t i);
// The scale of a per-tensor int8 operand, or the factor of an int16 one.
double factor_of(const NodeView& node, size_t i);

#if defined(__x86_64__)
// For rows of kernels/bfp/row.h.
bool has_avx512vnni();
#endif

// h, its exponent, lora_b and its exponent, from input `i` on, of a layer with
// `rows` output pixels: all or none. Attribute lora_scaling.
Status check_bfp_side(const NodeView& node, size_t i, int64_t rows,
                      int64_t out_c);
// Input i and its exponent behind it: [out_c].
Status check_bfp_vector(const NodeView& node, size_t i, const char* what,
                        const Shape& shape);
// Two more aux of a layer with int8 x (input 0) and w (1): from a side whose
// factor is `factor`, in units of x and w or of w only, to the accumulator's
// unit, for each output channel.
void add_accumulator_scales(const NodeView& node, int64_t out_c, double factor,
                            bool side_in_x_units, Lowered& lowered);

// The view that the twin's rules see: chosen inputs, as float32 of the same
// shape, or int32 where they are indices.
class TwinView {
 public:
  TwinView(const NodeView& node, std::vector<size_t> inputs);
  Result<Shape> infer(const OpDef& twin);
  // The twin's parameters for `output`.
  template <class P>
  Result<P> params(const OpDef& twin, const LowerContext& context,
                   const Shape& output) {
    FT_TRY_STATUS(lower(twin, context, output));
    return lowered_.params_as<P>();
  }

 private:
  Status lower(const OpDef& twin, const LowerContext& context,
               const Shape& output);
  std::vector<TensorType> types_;
  TensorType output_;
  NodeView view_;
  Lowered lowered_;
};

}  // namespace ft::ops
