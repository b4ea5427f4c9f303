#include "train/adapter_storage.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ops/all_ops.h"
#include "ops/append.h"
#include "quant/quantize.h"

namespace ft {
namespace {

std::vector<int64_t> dims_of(const Shape& shape) {
  return {shape.dims().begin(), shape.dims().end()};
}

bool has_file_order(const AdapterTensor& tensor) {
  std::vector<float> order(static_cast<size_t>(tensor.view.num_elements()));
  std::iota(order.begin(), order.end(), 0.0f);
  AdapterTensor plain = tensor;
  plain.offset.clear();
  return to_file_layout(plain, order) == order;
}

// Groups of the file's tensor as groups of the parameter; false where they
// interleave, so that the parameter has to be put in the file's order first.
bool find_groups(const Quantizer& quantizer, const AdapterTensor& tensor,
                 QuantGroups& groups) {
  groups = groups_of(quantizer, tensor.file_shape());
  if (groups.groups == 1 || has_file_order(tensor)) return true;
  if (quantizer.per != Quantizer::Per::kChannel || tensor.flat.rank() > 0)
    return false;
  // The file's axis is an axis of the parameter too, with another stride.
  const Shape file = tensor.file_shape();
  int64_t inner = file.num_elements();
  int axis = 0;
  for (; axis < file.rank(); ++axis) {
    inner /= file[axis];
    if (inner == groups.row && file[axis] == groups.groups) break;
  }
  groups.row = 1;
  for (int d = tensor.perm[static_cast<size_t>(axis)] + 1;
       d < tensor.view.rank(); ++d)
    groups.row *= tensor.view[d];
  groups.block = groups.row;
  return true;
}

// Appends the nodes between one parameter and its readers.
class Rewriter {
 public:
  Rewriter(Graph& graph, const AdapterTensor& tensor,
           const AdapterStorage& storage)
      : graph_(graph), tensor_(tensor), storage_(storage) {}

  LearnedSteps learned;

  // The value that takes the parameter's place.
  Result<ValueId> run() {
    const Quantizer& q = storage_.quantizer;
    if (!q.is_integer())
      return append(graph_, ops::kRoundFloat, {tensor_.param},
                    {{"to", q.dtype_name()}}, named("stored"));
    QuantGroups groups;
    if (find_groups(q, tensor_, groups)) return quantize(tensor_.param, groups);
    FT_TRY(ValueId x, reshaped(tensor_.param, tensor_.view, "view"));
    FT_TRY(x, transposed(x, tensor_.perm, "file_order"));
    FT_TRY(x, quantize(x, groups));
    std::vector<int> back(tensor_.perm.size());
    for (size_t i = 0; i < back.size(); ++i)
      back[static_cast<size_t>(tensor_.perm[i])] = static_cast<int>(i);
    FT_TRY(x, transposed(x, back, "own_order"));
    return reshaped(x, graph_.value(tensor_.param).type.shape, "as_read");
  }

 private:
  AppendOptions named(const char* what) const {
    return {.name = tensor_.name + "/" + what};
  }

  Result<ValueId> reshaped(ValueId x, const Shape& shape, const char* what) {
    return append(graph_, ops::kReshape, {x}, {{"shape", dims_of(shape)}},
                  named(what));
  }

  Result<ValueId> transposed(ValueId x, const std::vector<int>& perm,
                             const char* what) {
    const std::vector<int64_t> axes(perm.begin(), perm.end());
    return append(graph_, ops::kTranspose, {x}, {{"perm", axes}}, named(what));
  }

  ValueId step_param(const char* what, int64_t groups) {
    const TensorType type{.dtype = DType::kF32, .shape = {groups}, .quant = {}};
    return graph_.add_owned(
        ValueKind::kParam, tensor_.name + "/" + what, type,
        std::vector<float>(static_cast<size_t>(groups), 0.0f));
  }

  Result<ValueId> quantize(ValueId x, const QuantGroups& groups) {
    const Quantizer& q = storage_.quantizer;
    const bool learn = storage_.learn_steps;
    // PyTorch's and the paper's factor, for the size of the step's gradient
    // against that of the values.
    const double per_group =
        static_cast<double>(graph_.value(x).type.shape.num_elements()) /
        static_cast<double>(groups.groups);
    const Attrs attrs{
        {"row", groups.row},
        {"block", groups.block},
        {"groups", groups.groups},
        {"qmin", int64_t{q.qmin()}},
        {"qmax", int64_t{q.qmax()}},
        {"symmetric", int64_t{q.symmetric}},
        {"saturates", int64_t{learn}},
        {"grad_scale", learn ? 1 / std::sqrt(per_group * q.qmax()) : 1.0}};
    if (learn) {
      learned.tensor = tensor_.name;
      learned.log_ratio = step_param("log_ratio", groups.groups);
      if (!q.symmetric) learned.shift = step_param("shift", groups.groups);
    }
    FT_TRY(std::vector<ValueId> inputs,
           append_node(graph_, ops::kMinmaxQuantizer,
                       {x, learned.log_ratio, learned.shift}, attrs,
                       named("steps")));
    inputs.insert(inputs.begin(), x);
    return append(graph_, ops::kFakeQuantize, inputs, attrs, named("stored"));
  }

  Graph& graph_;
  const AdapterTensor& tensor_;
  const AdapterStorage& storage_;
};

// Moves the nodes from `first` on in front of node `before`.
void move_nodes(Graph& graph, NodeId first, NodeId before) {
  std::vector<Node> nodes;
  for (NodeId n = 0; n < graph.num_nodes(); ++n) nodes.push_back(graph.node(n));
  std::rotate(nodes.begin() + before, nodes.begin() + first, nodes.end());
  graph.set_nodes(std::move(nodes));
}

}  // namespace

Result<std::vector<bool>> quantized_tensors(
    std::span<const AdapterTensor> tensors, const AdapterStorage& storage) {
  std::vector<std::string> names;
  const auto is_last = [&](const AdapterTensor& t) {
    return t.adapter == tensors.back().adapter;
  };
  for (const AdapterTensor& t : tensors)
    if (is_last(t)) names.push_back(t.name);
  for (const std::string& pattern : storage.keep_f32)
    if (std::ranges::none_of(names, [&](const std::string& name) {
          return matches_module(pattern, name);
        }))
      return usage_error(
          fmt::format("no adapter tensor matches '{}'; there are: {}", pattern,
                      fmt::join(names, ", ")));
  std::vector<bool> chosen;
  for (const AdapterTensor& t : tensors) {
    const bool kept =
        std::ranges::any_of(storage.keep_f32, [&](const std::string& pattern) {
          return matches_module(pattern, t.name);
        });
    chosen.push_back(is_last(t) && !kept && t.fixed.empty() &&
                     (storage.vectors || t.file_shape().rank() > 1));
    if (chosen.back() && !t.offset.empty())
      return usage_error(fmt::format(
          "adapter tensor '{}' holds a sum with the base's own values, which "
          "only float32 keeps; leave it out with --adapter-f32",
          t.name));
  }
  if (std::ranges::find(chosen, true) == chosen.end())
    return usage_error(fmt::format(
        "nothing of this adapter would be stored as {}: it has only vectors, "
        "or --adapter-f32 names all of it (--adapter-vectors includes them)",
        storage.quantizer.dtype_name()));
  return chosen;
}

Result<std::vector<LearnedSteps>> quantize_adapter(
    Graph& graph, const AdaptedGraph& adapted, const AdapterStorage& storage) {
  std::vector<LearnedSteps> learned;
  if (storage.is_f32()) return learned;
  FT_TRY(const auto chosen, quantized_tensors(adapted.tensors, storage));
  for (size_t i = 0; i < chosen.size(); ++i) {
    const AdapterTensor& t = adapted.tensors[i];
    if (!chosen[i]) continue;
    const auto readers = graph.readers(t.param);
    if (readers.empty()) continue;
    const NodeId first = graph.num_nodes();
    Rewriter rewriter(graph, t, storage);
    FT_TRY(const ValueId stored, rewriter.run());
    for (const NodeId n : readers)
      std::ranges::replace(graph.node(n).inputs, t.param, stored);
    move_nodes(graph, first, *std::ranges::min_element(readers));
    if (rewriter.learned.log_ratio != kNone)
      learned.push_back(rewriter.learned);
  }
  return learned;
}

namespace {

void store(const Quantizer& quantizer, Steps steps, AdapterEntry& entry) {
  entry.quantizer = quantizer;
  entry.values = quantized_values(quantizer, entry.shape, entry.values, steps);
  entry.scale = std::move(steps.scale);
  entry.zero_point = std::move(steps.zero_point);
}

}  // namespace

void quantize_entry(const Quantizer& quantizer,
                    std::span<const float> log_ratio,
                    std::span<const float> shift, AdapterEntry& entry) {
  Steps steps;
  if (quantizer.is_integer())
    steps =
        minmax_steps(quantizer, entry.shape, entry.values, log_ratio, shift);
  store(quantizer, std::move(steps), entry);
}

void quantize_integer_entry(const Quantizer& quantizer, AdapterEntry& entry) {
  store(quantizer, power_of_two_steps(quantizer, entry.shape, entry.values),
        entry);
}

}  // namespace ft
