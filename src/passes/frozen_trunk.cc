#include "passes/frozen_trunk.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "ops/op_def.h"
#include "passes/dead_code.h"

namespace ft {
namespace {

// What a value is computed from.
struct Origin {
  bool sample = false, parameter = false;
};

class CutFinder {
 public:
  CutFinder(const Graph& base, const Graph& adapted)
      : base_(base),
        graph_(adapted),
        origins_(static_cast<size_t>(adapted.num_values())),
        last_reader_(static_cast<size_t>(adapted.num_values()), kNone) {
    for (NodeId n = 0; n < graph_.num_nodes(); ++n)
      for (const ValueId in : graph_.node(n).inputs)
        if (in != kNone) last_reader_[static_cast<size_t>(in)] = n;
    for (const ValueId out : graph_.outputs)
      last_reader_[static_cast<size_t>(out)] = graph_.num_nodes();
  }

  // Walks the nodes until one needs both sample and parameters; what is read
  // from there on is open, and a cut is where one value alone is.
  Result<ValueId> last_cut() {
    const ValueId input = graph_.inputs[0];
    origins_[static_cast<size_t>(input)].sample = true;
    ValueId cut = input;
    std::set<ValueId> open = {input};
    std::string first_trained = "the model's output";
    for (NodeId n = 0; n < graph_.num_nodes(); ++n) {
      const Node& node = graph_.node(n);
      const Origin origin = origin_of(node);
      if (origin.sample && origin.parameter) {
        first_trained = "'" + node.name + "'";
        break;
      }
      if (!origin.sample) continue;
      for (const ValueId out : node.outputs) open.insert(out);
      std::erase_if(open, [&](ValueId v) {
        return last_reader_[static_cast<size_t>(v)] <= n;
      });
      if (open.size() == 1 && fits(*open.begin())) cut = *open.begin();
    }
    if (cut != input) return cut;
    return invalid_input(fmt::format(
        "there are no features to keep: no layer lies in front of {}, the "
        "first that training changes; adapt fewer layers (--target-modules)",
        first_trained));
  }

 private:
  Origin origin_of(const Node& node) {
    Origin origin{.sample = false, .parameter = node.op->mutates != 0};
    for (const ValueId in : node.inputs) {
      if (in == kNone) continue;
      const Origin& of = origins_[static_cast<size_t>(in)];
      const ValueKind kind = graph_.value(in).kind;
      origin.sample |= of.sample;
      origin.parameter |= of.parameter || kind == ValueKind::kParam ||
                          kind == ValueKind::kState;
    }
    for (const ValueId out : node.outputs)
      origins_[static_cast<size_t>(out)] = origin;
    return origin;
  }

  // One of the base's own, with as many rows as the input has.
  bool fits(ValueId v) const {
    if (v >= base_.num_values()) return false;
    const TensorType& type = graph_.value(v).type;
    const Shape& input = graph_.value(graph_.inputs[0]).type.shape;
    return type.shape.rank() > 0 && type.shape[0] == input[0] &&
           (type.dtype == DType::kF32 || type.dtype == DType::kS8);
  }

  const Graph& base_;
  const Graph& graph_;
  std::vector<Origin> origins_;
  std::vector<NodeId> last_reader_;
};

}  // namespace

Result<SplitModel> split_frozen_trunk(const Graph& base, const Graph& adapted) {
  const TensorType& input = base.value(base.inputs[0]).type;
  if (base.inputs.size() != 1 || input.dtype == DType::kS32)
    return invalid_input(
        "features are kept of models with one input of real numbers or int8, "
        "not of those that read tokens");
  FT_TRY(const ValueId cut, CutFinder(base, adapted).last_cut());
  SplitModel split{.trunk = base.clone(),
                   .rest = base.clone(),
                   .feature = base.value(cut).name,
                   .type = base.value(cut).type};
  split.trunk.outputs = {cut};
  remove_dead_nodes(split.trunk);
  split.rest.inputs = {cut};
  split.rest.value(cut).kind = ValueKind::kInput;
  std::vector<Node> nodes;
  for (NodeId n = 0; n < base.num_nodes(); ++n)
    if (n != base.value(cut).producer) nodes.push_back(base.node(n));
  split.rest.set_nodes(std::move(nodes));
  remove_dead_nodes(split.rest);
  return split;
}

}  // namespace ft
