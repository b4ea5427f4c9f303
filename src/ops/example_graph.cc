#include "ops/example_graph.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "ops/append.h"
#include "ops/updates_input.h"

namespace ft {
namespace {

constexpr size_t kGuard = 64;
constexpr std::byte kGuardByte{0xA5};

std::byte* aligned_start(std::byte* storage) {
  const auto at = reinterpret_cast<uintptr_t>(storage) + kGuard;
  return reinterpret_cast<std::byte*>(((at + 63) & ~uintptr_t{63}) + 16);
}

// Whether int32 inputs of the op are positions, which must stay in range.
bool holds_indices(const OpDef& op) {
  return op.name.starts_with("gather") || op.name.starts_with("attention") ||
         op.name.starts_with("sparse") || op.name == "sgd_update" ||
         op.name == "adamw_update" ||
         op.name.starts_with("softmax_cross_entropy");
}

// What random inputs of side_conv2d must be beside their types: rows of A
// padded with 0, and factors of 32 bits.
void settle_side(const OpExample& example, size_t i, GuardedBuffer& data) {
  if (i == 4)
    for (int32_t& v : data.as<int32_t>()) v *= 1 << 21;
  if (i != 3 || example.inputs[3].shape.rank() != 2) return;
  const Shape &w = example.inputs[1].shape, &a = example.inputs[3].shape;
  const int64_t k = w.num_elements() / std::max<int64_t>(w[0], 1);
  for (int64_t at = 0; at < a.num_elements(); ++at)
    if (at % a[1] >= k) data.as<int8_t>()[static_cast<size_t>(at)] = 0;
}

void fill_random(const TensorType& type, const OpExample& example, bool indices,
                 const Random& random, GuardedBuffer& buffer) {
  const auto n = static_cast<uint64_t>(type.shape.num_elements());
  const double low = static_cast<double>(example.low);
  const double range = static_cast<double>(example.high) - low;
  const auto limit =
      static_cast<uint32_t>(std::max(1.0, static_cast<double>(example.high)));
  for (uint64_t i = 0; i < n; ++i) {
    const double real = low + range * static_cast<double>(random.uniform(i));
    switch (type.dtype) {
      case DType::kF32: buffer.as<float>()[i] = static_cast<float>(real); break;
      case DType::kF64: buffer.as<double>()[i] = real; break;
      case DType::kS32:
        buffer.as<int32_t>()[i] =
            indices ? static_cast<int32_t>(random.below(i, limit))
                    : static_cast<int32_t>(random.below(i, 2001)) - 1000;
        break;
      default:
        for (size_t b = 0; b < size_of(type.dtype); ++b)
          buffer.as<uint8_t>()[i * size_of(type.dtype) + b] =
              static_cast<uint8_t>(random.bits(i) >> (8 * (b % 4)));
    }
  }
}

Status check_guards(const LowerContext& context, const KernelDef& row,
                    const Buffers& values, const GuardedBuffer& scratch) {
  if (!scratch.intact())
    return context.view.error(fmt::format(
        "{} writes beside its {} scratch bytes", row.symbol, scratch.size()));
  for (size_t id = 0; id < values.size(); ++id)
    if (!values[id].intact())
      return context.view.error(fmt::format(
          "{} writes beside value {} of {}", row.symbol, id,
          context.graph.value(static_cast<ValueId>(id)).type.to_string()));
  return ok_status();
}

}  // namespace

GuardedBuffer::GuardedBuffer(size_t bytes)
    : storage_(std::make_unique<std::byte[]>(bytes + 2 * kGuard + 80)),
      start_(aligned_start(storage_.get())),
      size_(bytes) {
  std::fill_n(start_ - kGuard, kGuard, kGuardByte);
  std::fill_n(start_ + size_, kGuard, kGuardByte);
  // What a kernel does not write is not 0 by luck.
  std::fill_n(start_, size_, std::byte{0x7B});
}

void GuardedBuffer::assign(std::span<const std::byte> bytes) {
  FT_CHECK(bytes.size() == size_);
  std::ranges::copy(bytes, start_);
}

bool GuardedBuffer::intact() const {
  const auto is_guard = [](std::byte b) { return b == kGuardByte; };
  return std::all_of(start_ - kGuard, start_, is_guard) &&
         std::all_of(start_ + size_, start_ + size_ + kGuard, is_guard);
}

Result<Example> build_example(const OpDef& op, const OpExample& example,
                              const ExampleOptions& options) {
  Example made;
  std::vector<ValueId> inputs;
  for (size_t i = 0; i < example.inputs.size(); ++i) {
    if (std::ranges::count(example.absent, static_cast<int>(i)) > 0) {
      inputs.push_back(kNone);
      continue;
    }
    TensorType type = example.inputs[i];
    if (type.dtype == DType::kF32) type.dtype = options.real;
    GuardedBuffer& data = made.values.emplace_back(type.num_bytes());
    fill_random(type, example, holds_indices(op),
                Random(options.seed, fmt::format("input{}", i)), data);
    if (op.name == "side_conv2d") settle_side(example, i, data);
    if (options.above_minus_128 && i > 0 && type.dtype == DType::kS8)
      for (int8_t& w : data.as<int8_t>()) w = std::max<int8_t>(w, -127);
    const std::string name = fmt::format("in{}", i);
    if (updates_input(op, i)) {
      inputs.push_back(made.graph.add_value(
          {.name = name, .type = type, .kind = ValueKind::kState}));
    } else if (options.constants && i > 0) {
      inputs.push_back(
          made.graph.add_constant(name, type, made.graph.own(data.bytes())));
    } else {
      inputs.push_back(made.graph.add_input(name, type));
    }
  }
  FT_TRY(made.graph.outputs,
         append_node(made.graph, op, inputs, example.attrs,
                     {.name = "example", .out_quant = example.out_quant}));
  fill_missing(made.graph, made.values, example, options.seed);
  return made;
}

void fill_missing(Graph& graph, Buffers& values, const OpExample& example,
                  uint64_t seed) {
  for (auto id = static_cast<ValueId>(values.size()); id < graph.num_values();
       ++id) {
    const Value& value = graph.value(id);
    GuardedBuffer& buffer = values.emplace_back(value.type.num_bytes());
    if (!value.data.empty()) {
      buffer.assign(value.data);
    } else if (value.kind == ValueKind::kInput) {
      fill_random(value.type, example, false,
                  Random(seed, fmt::format("value{}", id)), buffer);
    }
  }
}

const KernelDef* c99_row(const LowerContext& context, const Lowered& lowered) {
  const std::string signature = signature_of(context.view);
  const KernelDef* last = nullptr;
  for (const KernelDef& row : context.node.op->kernels)
    if (row.isa == Isa::kC99 && row.signature == signature &&
        (row.accepts == nullptr || row.accepts(context, lowered)))
      last = &row;
  return last;
}

namespace {

// A row that is ready to run.
struct PreparedRow {
  Lowered lowered;
  std::vector<GuardedBuffer> aux_data;
  std::vector<const void*> aux;
  std::vector<void*> in, out;
};

Result<PreparedRow> prepare_row(const LowerContext& context,
                                const KernelDef& row, Buffers& values) {
  const Node& node = context.node;
  PreparedRow r;
  FT_TRY_STATUS(node.op->lower(context, r.lowered));
  if (row.prepare) FT_TRY_STATUS(row.prepare(context, r.lowered));
  for (const AuxData& a : r.lowered.aux)
    r.aux_data.emplace_back(a.bytes.size()).assign(a.bytes);
  for (const GuardedBuffer& data : r.aux_data) r.aux.push_back(data.data());
  for (const ValueId id : node.inputs)
    r.in.push_back(id == kNone ? nullptr
                               : values[static_cast<size_t>(id)].data());
  // The ABI promises a NULL for every optional input.
  r.in.resize(std::max(r.in.size(), static_cast<size_t>(node.op->max_inputs)));
  for (const ValueId id : node.outputs)
    r.out.push_back(values[static_cast<size_t>(id)].data());
  return r;
}

Status run_part(const LowerContext& context, const KernelDef& row,
                const PreparedRow& r, const Buffers& values,
                const ft_part* part) {
  GuardedBuffer scratch(r.lowered.scratch_bytes);
  const ft_args args{r.in.data(), r.aux.data(), r.out.data(), scratch.data(),
                     part};
  row.run(r.lowered.params.data(), &args);
  return check_guards(context, row, values, scratch);
}

Status run_prepared(const LowerContext& context, const KernelDef& row,
                    const PreparedRow& r, const Buffers& values,
                    int64_t part_units) {
  if (part_units == 0) return run_part(context, row, r, values, nullptr);
  const Division d = division_of(row, context.view, r.lowered);
  for (int round = 0; round < d.rounds; ++round)
    for (int64_t first = 0; first < d.units; first += part_units) {
      const int64_t end = std::min(first + part_units, d.units);
      const ft_part part{.first = static_cast<int32_t>(first),
                         .end = static_cast<int32_t>(end),
                         .round = round,
                         .is_last = end == d.units && round + 1 == d.rounds};
      FT_TRY_STATUS(run_part(context, row, r, values, &part));
    }
  return ok_status();
}

}  // namespace

Status run_row(const LowerContext& context, const KernelDef& row,
               Buffers& values, bool in_place, int64_t part_units) {
  FT_TRY(PreparedRow r, prepare_row(context, row, values));
  if (in_place)
    r.out[0] = r.in[static_cast<size_t>(context.node.op->inplace_input)];
  return run_prepared(context, row, r, values, part_units);
}

Result<std::vector<std::byte>> run_overlapping(const LowerContext& context,
                                               const KernelDef& row,
                                               Buffers& values,
                                               int64_t part_units) {
  const OpDef& op = *context.node.op;
  FT_TRY(PreparedRow r, prepare_row(context, row, values));
  const Overlap overlap = op.overlap(row, context, r.lowered);
  if (overlap.input == kNone) return std::vector<std::byte>{};
  const auto position = static_cast<size_t>(overlap.input);
  const auto& in =
      values[static_cast<size_t>(context.node.inputs[position])].bytes();
  const size_t out_bytes = context.view.out(0).num_bytes();
  // Elements lie at multiples of their size, as the planner's offsets do.
  const ptrdiff_t distance = (overlap.distance + 7) & ~ptrdiff_t{7};
  const auto in_at = static_cast<size_t>(std::max<ptrdiff_t>(distance, 0));
  const auto out_at = static_cast<size_t>(std::max<ptrdiff_t>(-distance, 0));
  GuardedBuffer both(std::max(in_at + in.size(), out_at + out_bytes));
  std::ranges::copy(in, both.data() + in_at);
  r.in[position] = both.data() + in_at;
  r.out[0] = both.data() + out_at;
  FT_TRY_STATUS(run_prepared(context, row, r, values, part_units));
  if (!both.intact())
    return context.view.error("writes beside an overlapped buffer");
  return std::vector<std::byte>(both.data() + out_at,
                                both.data() + out_at + out_bytes);
}

Status evaluate(const Graph& graph, Buffers& values) {
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const Node& node = graph.node(id);
    if (node.op->is_view) {
      values[static_cast<size_t>(node.outputs[0])].assign(
          values[static_cast<size_t>(node.inputs[0])].bytes());
      continue;
    }
    const LowerContext context{graph, node, view_of(graph, node)};
    Lowered lowered;
    FT_TRY_STATUS(node.op->lower(context, lowered));
    const KernelDef* row = c99_row(context, lowered);
    if (row == nullptr)
      return context.view.error(
          fmt::format("no C99 row for {}", signature_of(context.view)));
    FT_TRY_STATUS(run_row(context, *row, values));
  }
  return ok_status();
}

double relative_difference(const TensorType& type,
                           std::span<const std::byte> got,
                           std::span<const std::byte> expected) {
  if (got.size() == expected.size() &&
      std::memcmp(got.data(), expected.data(), got.size()) == 0)
    return 0;
  if (type.dtype != DType::kF32 || got.size() != expected.size())
    return INFINITY;
  double difference = 0, largest = 0;
  for (size_t i = 0; i < got.size() / sizeof(float); ++i) {
    float a = 0, b = 0;
    std::memcpy(&a, got.data() + i * sizeof(float), sizeof(float));
    std::memcpy(&b, expected.data() + i * sizeof(float), sizeof(float));
    if (std::isnan(a) && std::isnan(b)) continue;
    const double d = std::fabs(static_cast<double>(a) - static_cast<double>(b));
    if (std::isnan(d)) return INFINITY;
    difference = std::max(difference, d);
    largest = std::max(largest, std::fabs(static_cast<double>(b)));
  }
  // Not 0: the bits differ, if only in the sign of a zero.
  return std::max(difference / std::max(largest, 1e-30), 1e-300);
}

}  // namespace ft
