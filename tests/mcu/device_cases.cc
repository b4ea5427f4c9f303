// Prints kernel calls as C for tests/mcu/kernel_cases.c: the examples of ops
// with random inputs, and what the host's C99 row makes of them.
//
//   device_cases OUT.c SEED ISA SIGNATURES OP...
// ISA: the rows to call ("c99", "armdsp", "helium"). SIGNATURES: "s8" for those
// without float, "all". OP: names, or none for every op. Prints the symbols of
// the called kernels, one a line.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "ops/all_ops.h"
#include "ops/bfp_common.h"
#include "ops/bfp_ops.h"
#include "ops/example_graph.h"
#include "ops/example_types.h"
#include "ops/linear_examples.h"
#include "ops/side_ops.h"

namespace ft {
namespace {

struct Printer {
  std::string text;
  std::string table;
  std::set<std::string> symbols;
  int num_cases = 0, num_arrays = 0;

  // The name of an array with these bytes, aligned to 16.
  std::string array(std::span<const std::byte> bytes) {
    std::string name = fmt::format("d{}", num_arrays++);
    text += fmt::format("ALIGNED static const uint8_t {}[] = {{", name);
    for (size_t i = 0; i < bytes.size(); ++i)
      text += fmt::format("{}{},", i % 20 == 0 ? "\n" : "",
                          std::to_integer<int>(bytes[i]));
    if (bytes.empty()) text += "0";
    text += "};\n";
    return name;
  }
  std::string buffer(std::span<const std::byte> bytes) {
    return fmt::format("{{{}, {}}}, ", array(bytes), bytes.size());
  }
  std::string list(const std::string& buffers) {
    std::string name = fmt::format("b{}", num_arrays++);
    text += fmt::format("static const ft_case_buffer {}[] = {{{}{{0, 0}}}};\n",
                        name, buffers);
    return name;
  }
};

// The ABI promises a NULL for every optional input; no op has more than a few.
size_t num_inputs(const Node& node) {
  constexpr size_t kMostOptional = 16;
  return std::max(
      node.inputs.size(),
      std::min(static_cast<size_t>(node.op->max_inputs), kMostOptional));
}

std::string inputs_of(Printer& out, const Example& e) {
  std::string all;
  const std::vector<ValueId>& inputs = e.node().inputs;
  for (const ValueId id : inputs)
    all += id == kNone ? "{0, 0}, "
                       : out.buffer(e.values[static_cast<size_t>(id)].bytes());
  for (size_t i = inputs.size(); i < num_inputs(e.node()); ++i)
    all += "{0, 0}, ";
  return out.list(all);
}

Status print_case(Printer& out, const KernelDef& row, const Lowered& lowered,
                  Example& e, const std::string& label) {
  const OpDef& op = *e.node().op;
  const KernelDef* c99 = c99_row(e.context(), lowered);
  if (c99 == nullptr) return internal_error(label + ": no C99 row");
  const Overlap overlap =
      op.overlap ? op.overlap(row, e.context(), lowered) : Overlap{};
  const Division d = division_of(row, e.context().view, lowered);
  // Three parts, in as many units as the row computes at a time.
  const int64_t part = ((d.units + 2) / 3 + d.grain - 1) / d.grain * d.grain;
  const std::string before = inputs_of(out, e);
  FT_TRY_STATUS(run_row(e.context(), *c99, e.values));
  const std::string after = inputs_of(out, e);
  std::string aux, results;
  for (const AuxData& a : lowered.aux) aux += out.buffer(a.bytes);
  for (const ValueId id : e.node().outputs)
    results += out.buffer(e.values[static_cast<size_t>(id)].bytes());
  const std::string params = out.array(lowered.params);
  aux = out.list(aux);
  results = out.list(results);
  out.table += fmt::format(
      "  {{\"{}\", {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, "
      "{}}},\n",
      label, row.symbol, params, num_inputs(e.node()), lowered.aux.size(),
      e.node().outputs.size(), before, after, aux, results,
      lowered.scratch_bytes, op.inplace_input, overlap.input, overlap.distance,
      d.units, part, d.rounds);
  out.symbols.insert(std::string(row.symbol));
  ++out.num_cases;
  return ok_status();
}

struct Choice {
  uint64_t seed;
  std::string isa;
  bool integers_only;
};

bool is_wanted(const KernelDef& row, const Choice& choice) {
  const bool has_float = row.signature.find('f') != std::string_view::npos;
  return name_of(row.isa) == choice.isa &&
         row.signature.find("f64") == std::string_view::npos &&
         !(has_float && choice.integers_only);
}

Status print_example(Printer& out, const OpDef& op, const OpExample& example,
                     const std::string& label, const Choice& choice) {
  for (const KernelDef& row : op.kernels) {
    if (!is_wanted(row, choice)) continue;
    // Device rows pack weights, so these must be constants.
    FT_TRY(Example e, build_example(op, example,
                                    {.seed = choice.seed,
                                     .constants = !row.run,
                                     .above_minus_128 = !row.run}));
    if (row.signature != signature_of(e.context().view)) continue;
    Lowered lowered;
    FT_TRY_STATUS(op.lower(e.context(), lowered));
    if (row.accepts && !row.accepts(e.context(), lowered)) continue;
    if (row.prepare) FT_TRY_STATUS(row.prepare(e.context(), lowered));
    FT_TRY_STATUS(print_case(out, row, lowered, e,
                             fmt::format("{} {}", row.symbol, label)));
  }
  return ok_status();
}

const Attrs kSame{
    {"pad_top", 1}, {"pad_left", 1}, {"pad_bottom", 1}, {"pad_right", 1}};

OpExample int8_layer(const TensorType& x, const TensorType& w, int64_t out_c,
                     const Attrs& attrs, float y_scale) {
  return {.inputs = {x, w, s32({out_c})},
          .attrs = attrs,
          .out_quant = quant_of_output(y_scale, -128)};
}

OpExample side_layer(const TensorType& x, const TensorType& w, int64_t rank,
                     const Attrs& attrs, float y_scale) {
  OpExample layer = int8_layer(x, w, w.shape[0], attrs, y_scale);
  const int64_t k = w.shape.num_elements() / w.shape[0];
  layer.inputs.push_back(s8({rank, (k + 15) / 16 * 16}, 1, 0));
  layer.inputs.push_back(s32({rank}));
  layer.inputs.push_back(
      {.dtype = DType::kS16, .shape = {w.shape[0], rank}, .quant = {}});
  return layer;
}

TensorType weights(const Shape& shape, int axis) {
  return s8_per_channel(shape, axis);
}

// 3 x 3, with 16-bit weights.
OpExample wide_layer(const Shape& x, const Attrs& attrs) {
  const int64_t padded = (x[3] + 3) / 4 * 4;
  OpExample wide = int8_layer(s8(x, 0.05f, -128), weights({padded, 9}, 0), x[3],
                              attrs, 60.0f);
  wide.inputs[1].dtype = DType::kS16;
  wide.attrs.set("k_h", int64_t{3});
  wide.attrs.set("k_w", int64_t{3});
  return wide;
}

// Small layers of every width that a device row has a loop of its own for.
std::vector<OpExample> small_layers_of(const OpDef& op) {
  Attrs relu6 = kSame;
  relu6.set("act", int64_t{FT_ACT_RELU6});
  const auto pointwise = [](int64_t in_c, int64_t out_c) {
    return int8_layer(s8({1, 3, 3, in_c}, 0.05f, 9),
                      weights({out_c, 1, 1, in_c}, 0), out_c, {}, 0.4f);
  };
  const auto depthwise = [](const Shape& x, const Attrs& attrs) {
    return int8_layer(s8(x, 0.05f, 7), weights({1, 3, 3, x[3]}, 3), x[3], attrs,
                      0.1f);
  };
  const auto with = [](OpExample layer, const std::vector<TensorType>& more) {
    layer.inputs.insert(layer.inputs.end(), more.begin(), more.end());
    return layer;
  };
  if (&op == &ops::kConv2d)
    return {{.inputs = {s8({1, 7, 5, 3}, 0.02f, 11), f32({8, 3, 2, 3})},
             .attrs = kSame},
            with(pointwise(40, 7), {f32({1, 3, 3, 4}), f32({7, 4})}),
            pointwise(8, 16),
            pointwise(30, 12),
            pointwise(33, 4),
            pointwise(128, 8),
            pointwise(170, 8),
            int8_layer(s8({1, 7, 6, 3}, 0.05f, -9), weights({8, 3, 3, 3}, 0), 8,
                       relu6, 0.04f)};
  if (&op == &ops::kWideDepthwiseConv2d)
    return {wide_layer({1, 7, 5, 8}, kSame), wide_layer({1, 4, 3, 12}, relu6),
            wide_layer({1, 3, 6, 5}, kSame)};
  if (&op == &ops::kSideConv2d) {
    const auto side = [](const Shape& x, int64_t out_c, int64_t rank) {
      return side_layer(s8(x, 0.05f, 9), weights({out_c, 1, 1, x[3]}, 0), rank,
                        {{"act", FT_ACT_RELU}}, 2.0f);
    };
    return {side({1, 3, 3, 8}, 16, 4),   side({1, 2, 5, 30}, 12, 2),
            side({1, 3, 3, 128}, 8, 4),  side({1, 1, 7, 33}, 4, 4),
            side({1, 3, 3, 16}, 6, 8),   side({1, 3, 2, 64}, 8, 8),
            side({1, 3, 5, 170}, 4, 12), side({1, 3, 3, 16}, 8, 16),
            side({1, 1, 1, 40}, 12, 8),  side({1, 1, 3, 16}, 8, 4)};
  }
  if (&op == &ops::kDepthwiseConv2d)
    return {with(depthwise({1, 4, 5, 12}, kSame), {f32({1, 3, 3, 12})}),
            depthwise({1, 4, 7, 8}, kSame), depthwise({2, 3, 9, 4}, relu6),
            depthwise({1, 5, 5, 24}, kSame), depthwise({1, 6, 1, 8}, kSame)};
  return {};
}

// Layers of the MLPerf Tiny models, whole, for counting and for rows that no
// small example reaches.
std::vector<OpExample> layers_of(const OpDef& op) {
  const TensorType x = s8({1, 25, 5, 64}, 0.05f, -128);
  if (&op == &ops::kConv2d)
    return {int8_layer(x, weights({64, 1, 1, 64}, 0), 64, {}, 0.9f),
            int8_layer(s8({1, 9, 7, 64}, 0.05f, 3), weights({64, 3, 3, 64}, 0),
                       64, kSame, 4.0f)};
  const TensorType e = ops::exponent_type();
  const TensorType dy = ops::bfp_type({1, 25, 5, 64}, 1.3f);
  if (&op == &ops::kBfpConv2dInputGrad)
    return {{.inputs = {dy, e, weights({64, 1, 1, 64}, 0)},
             .attrs = {{"in_h", 25}, {"in_w", 5}, {"groups", 1}}},
            {.inputs = {ops::bfp_type({1, 9, 7, 32}, 1.3f), e,
                        weights({32, 3, 3, 32}, 0)},
             .attrs = {{"in_h", 9},
                       {"in_w", 7},
                       {"groups", 1},
                       {"pad_top", 1},
                       {"pad_left", 1},
                       {"pad_bottom", 1},
                       {"pad_right", 1}}}};
  if (&op == &ops::kBfpConv2dWeightGrad)
    return {{.inputs = {x, ops::bfp_type({1, 25, 5, 4}, 1.3f), e},
             .attrs = {{"k_h", 1}, {"k_w", 1}, {"groups", 1}}},
            {.inputs = {s8({1, 10, 10, 32}, 0.05f, 3),
                        ops::bfp_type({1, 10, 10, 4}, 1.3f), e},
             .attrs = {{"k_h", 3},
                       {"k_w", 3},
                       {"groups", 1},
                       {"pad_top", 1},
                       {"pad_left", 1},
                       {"pad_bottom", 1},
                       {"pad_right", 1}}}};
  if (&op == &ops::kSideConv2d)
    return {side_layer(x, weights({64, 1, 1, 64}, 0), 4, {}, 2.0f),
            side_layer(s8({1, 9, 7, 64}, 0.05f, 3), weights({64, 3, 3, 64}, 0),
                       4, kSame, 4.0f),
            side_layer(x, weights({64, 1, 1, 64}, 0), 2, {}, 2.0f),
            side_layer(x, weights({64, 1, 1, 64}, 0), 8, {}, 2.0f),
            side_layer(x, weights({64, 1, 1, 64}, 0), 16, {}, 2.0f)};
  if (&op == &ops::kWideDepthwiseConv2d)
    return {wide_layer({1, 25, 5, 64}, kSame)};
  if (&op == &ops::kBinary)
    return {{.inputs = {s8({1, 16, 16, 16}, 0.05f, -128),
                        s8({1, 16, 16, 16}, 0.03f, 4)},
             .attrs = {{"kind", "add"}},
             .out_quant = quant_of_output(0.06f, -128)}};
  if (&op == &ops::kDepthwiseConv2d)
    return {int8_layer(x, weights({1, 3, 3, 64}, 3), 64, kSame, 0.4f)};
  if (&op == &ops::kFullyConnected)
    return {
        int8_layer(s8({1, 64}, 0.05f, 5), weights({12, 64}, 0), 12, {}, 0.9f),
        int8_layer(s8({3, 637}, 0.05f, 5), weights({7, 637}, 0), 7, {}, 2.0f)};
  return {};
}

Status print_op(Printer& out, const OpDef& op, const Choice& choice) {
  if (op.examples == nullptr || op.is_view) return ok_status();
  const std::vector<OpExample> small = op.examples(), whole = layers_of(op);
  const auto print_all = [&](const std::vector<OpExample>& all,
                             std::string_view kind) -> Status {
    for (size_t i = 0; i < all.size(); ++i)
      FT_TRY_STATUS(print_example(out, op, all[i],
                                  fmt::format("{} {}", kind, i), choice));
    return ok_status();
  };
  FT_TRY_STATUS(print_all(small, "example"));
  FT_TRY_STATUS(print_all(small_layers_of(op), "small"));
  return print_all(whole, "layer");
}

bool write_file(const char* path, const Printer& out) {
  std::string head =
      "#include \"mcu/kernel_cases.h\"\n"
      "#define ALIGNED __attribute__((aligned(16)))\n";
  for (const std::string& symbol : out.symbols)
    head += fmt::format("void {}(const void*, const ft_args*);\n", symbol);
  const std::string tail = fmt::format(
      "const ft_case ft_cases[] = {{\n{}}};\nconst uint32_t ft_num_cases = "
      "{};\n",
      out.table, out.num_cases);
  FILE* file = std::fopen(path, "w");
  if (file == nullptr) return false;
  const bool written = std::fputs((head + out.text + tail).c_str(), file) >= 0;
  return std::fclose(file) == 0 && written;
}

int run(int argc, char** argv) {
  if (argc < 5) {
    fmt::print(stderr, "usage: device_cases OUT.c SEED ISA s8|all [OP...]\n");
    return 2;
  }
  const Choice choice{std::strtoull(argv[2], nullptr, 10), argv[3],
                      std::string_view(argv[4]) == "s8"};
  const std::vector<std::string_view> names(argv + 5, argv + argc);
  Printer out;
  for (const OpDef* op : ops::all_ops()) {
    if (!names.empty() && std::ranges::count(names, op->name) == 0) continue;
    const Status status = print_op(out, *op, choice);
    if (!status.ok()) {
      fmt::print(stderr, "device_cases: {}\n", status.message());
      return 1;
    }
  }
  if (out.num_cases == 0 || !write_file(argv[1], out)) {
    fmt::print(stderr, "device_cases: no case, or {} cannot be written\n",
               argv[1]);
    return 5;
  }
  for (const std::string& symbol : out.symbols) fmt::print("{}\n", symbol);
  return 0;
}

}  // namespace
}  // namespace ft

int main(int argc, char** argv) { return ft::run(argc, argv); }
