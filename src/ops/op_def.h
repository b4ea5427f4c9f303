// What an op is to the compiler: one OpDef in one file, src/ops/<op>.cc.
//
// Shape rule, gradient rule (as new graph nodes), kernel rows, how a node is
// lowered to a kernel's parameters, cost, and examples that the generic tests
// enumerate. Listed once in all_ops.cc. Nothing here knows of devices' memory
// or of execution order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "kernels/kernel.h"

namespace ft {

// Instruction sets of kernel rows. A target lists those it has.
enum class Isa : uint8_t {
  kC99,         // the definition and oracle; runs everywhere
  kHighway,     // SIMD of the host, x86-64 and AArch64 from one source
  kAvx512Vnni,  // x86-64 with AVX-512 VNNI
  kOneDnn,      // oneDNN, for large products
  kArmDsp,      // Armv7E-M / Armv8-M DSP
  kHelium,      // Armv8.1-M MVE
};
std::string_view name_of(Isa isa);

// A node seen by an op's rules. Input types are nullptr where an optional input
// is absent.
struct NodeView {
  const OpDef* op;
  std::string_view name;
  std::vector<const TensorType*> inputs;
  std::vector<const TensorType*> outputs;  // empty while inferring shapes
  const Attrs* attrs;
  // Quantizers that the caller asks for, by output; may be empty.
  std::span<const QuantParams> wanted_quant;

  size_t num_inputs() const { return inputs.size(); }
  bool has(size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  const TensorType& in(size_t i) const { return *inputs[i]; }
  const TensorType& out(size_t i) const { return *outputs[i]; }
  const Shape& shape(size_t i) const { return inputs[i]->shape; }
  // "conv2d 'block1/pw': x has 3 channels, w has 4", as kInvalidInput.
  Status error(const std::string& sentence) const;
};
NodeView view_of(const Graph& graph, const Node& node);

// The name of a C struct, out of "... [with T = ft_conv_params; ...]".
template <class T>
constexpr std::string_view c_type_name() {
  std::string_view name = __PRETTY_FUNCTION__;
  name.remove_prefix(name.find("T = ") + 4);
  return name.substr(0, name.find_first_of(";]"));
}

// A derived constant. Packed layouts of mixed types are uint8.
struct AuxData {
  std::vector<std::byte> bytes;
  DType dtype = DType::kU8;
};

template <class T>
constexpr DType aux_dtype() {
  if (std::is_same_v<T, float>) return DType::kF32;
  if (std::is_same_v<T, double>) return DType::kF64;
  if (std::is_same_v<T, int32_t>) return DType::kS32;
  if (std::is_same_v<T, int16_t>) return DType::kS16;
  return std::is_same_v<T, int8_t> ? DType::kS8 : DType::kU8;
}

// What a row needs to run one node: filled by OpDef::lower, then by the row's
// own prepare. `params` holds the op's ft_<op>_params.
struct Lowered {
  std::vector<std::byte> params;
  std::string_view params_type;  // "ft_conv_params", for generated code
  std::vector<AuxData> aux;      // derived constants, in ABI order
  size_t scratch_bytes = 0;

  template <class P>
  void set_params(const P& p) {
    params.resize(sizeof(P));
    std::memcpy(params.data(), &p, sizeof(P));
    params_type = c_type_name<P>();
  }
  template <class P>
  const P& params_as() const {
    return *reinterpret_cast<const P*>(params.data());
  }
  template <class T>
  void add_aux(std::span<const T> values) {
    const auto bytes = std::as_bytes(values);
    aux.push_back({{bytes.begin(), bytes.end()}, aux_dtype<T>()});
  }
};

// Lowering sees the graph too: a constant's data may be folded or packed.
struct LowerContext {
  const Graph& graph;
  const Node& node;
  NodeView view;
  // The bytes of input i if it is a frozen constant, else empty.
  std::span<const std::byte> constant(size_t i) const;
};

struct KernelDef {
  std::string_view symbol;  // "ft_conv2d_f32_c99"
  Isa isa;
  std::string_view signature;  // "f32,f32->f32", see signature_of()
  ft_kernel_fn run;            // nullptr: device only
  // Optional. False: this row does not do these parameters.
  bool (*accepts)(const LowerContext& context,
                  const Lowered& lowered) = nullptr;
  // Optional. Adds the row's own scratch_bytes or aux (packed weights).
  Status (*prepare)(const LowerContext& context, Lowered& lowered) = nullptr;
  // Largest |row - c99| allowed, relative to max |c99| of the output; 0: equal
  // bits. Deselected by --exact unless 0.
  double tolerance = 0;
  // Optional: true if the CPU that this process runs on has what it takes.
  bool (*available)() = nullptr;
};

// How a row may write output 0 over an input that nobody reads afterwards: the
// input begins at least `distance` bytes behind the output (negative: at most
// that many before it). `input` kNone: they may not overlap.
struct Overlap {
  int input = kNone;
  ptrdiff_t distance = 0;
};

// How a call may be done in parts (ft_part): `units` of which a part does a
// run, a multiple of `grain` where it is not the last, in each of `rounds`. A
// round takes at most `share` of what the whole call does.
struct Division {
  int64_t units = 1;  // 1: as a whole only
  int grain = 1;
  int rounds = 1;
  double share = 1;
};

// One example node of an op, for the generic tests.
struct OpExample {
  std::vector<TensorType> inputs;  // dtype float32 or int8 (with quant)
  Attrs attrs = {};
  std::vector<QuantParams> out_quant = {};
  float low = -1, high = 1;      // range of random float inputs
  std::vector<int> absent = {};  // positions of optional inputs left out
  std::string note = {};
};

class GradientBuilder;  // ops/gradient.h

// What a kernel call of an op mostly does: targets state cycles and energy per
// class (docs/decisions/023-cost-model.md).
enum class CostClass : uint8_t {
  kMatrix,       // products that reuse what they read
  kDepthwise,    // products that do not
  kElementwise,  // one result per element
  kReduction,    // sums, maxima, pooling
  kNonlinear,    // exponentials, roots, losses
  kMovement,     // copies
  kUpdate,       // optimizers
};
constexpr size_t kNumCostClasses = 7;
std::string_view name_of(CostClass cost_class);

struct OpDef {
  std::string_view name;
  CostClass cost_class = CostClass::kElementwise;
  int min_inputs = 1;  // required inputs; optional ones follow
  int max_inputs = 1;
  // Output types. Where an int8 output's quantizer is not implied by the
  // inputs, leave `quant` empty: the caller's wanted_quant is used.
  Result<std::vector<TensorType>> (*infer)(const NodeView& node) = nullptr;
  // nullptr: not differentiable; `gradient_is_zero` ops stop gradients instead.
  void (*gradient)(GradientBuilder& g) = nullptr;
  // Fills params and aux that all rows of the op share.
  Status (*lower)(const LowerContext& context, Lowered& lowered) = nullptr;
  std::span<const KernelDef> kernels = {};
  // How many leading inputs make the kernel signature (see signature_of).
  int signature_inputs = 1;
  // Output 0 shares the bytes of input 0 and there is no kernel (reshape).
  bool is_view = false;
  // Output 0 may be written over this input if nobody needs it any more; every
  // row must then allow out[0] == in[inplace_input]. kNone: never.
  int inplace_input = kNone;
  // Optional. What a row's order of reads and writes allows (ops/overlap.h),
  // given what the row was prepared with; nullptr: no row overlaps.
  Overlap (*overlap)(const KernelDef& row, const LowerContext& context,
                     const Lowered& lowered) = nullptr;
  // Optional. How calls of rows that devices have may be done in parts;
  // nullptr: as a whole only. Callers use division_of().
  Division (*divide)(const KernelDef& row, const NodeView& node,
                     const Lowered& lowered) = nullptr;
  // Inputs that the node writes (parameters and states of an optimizer), as a
  // bit mask of positions.
  uint32_t mutates = 0;
  // Multiply-accumulates of a node, for cost; nullptr: one per output element.
  int64_t (*macs)(const NodeView& node) = nullptr;
  std::vector<OpExample> (*examples)() = nullptr;
};

// How a call of `row` may be done in parts. Only `lowered.params` is read.
Division division_of(const KernelDef& row, const NodeView& node,
                     const Lowered& lowered);

// "s8,s8->s8": dtypes of the first `signature_inputs` inputs ("-" where
// absent) and of output 0 ("" where there is none). Names: f32 f64 s8 u8 s16
// s32 s64 bool.
std::string signature_of(const NodeView& node);
std::string_view short_name_of(DType dtype);

}  // namespace ft
