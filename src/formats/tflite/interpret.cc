#include "formats/tflite/interpret.h"

#include <fmt/format.h>

#include <cstring>

#include "ops/op_def.h"

namespace ft {
namespace {

constexpr size_t kAlignment = 16;

// Bytes at an address that kernels accept.
class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t size) : storage_(size + kAlignment), size_(size) {}
  std::byte* data() {
    const auto at = reinterpret_cast<uintptr_t>(storage_.data());
    return storage_.data() + (kAlignment - at % kAlignment) % kAlignment;
  }
  size_t size() const { return size_; }

 private:
  std::vector<std::byte> storage_;
  size_t size_ = 0;
};

class Interpreter {
 public:
  explicit Interpreter(const Graph& graph)
      : graph_(graph), buffers_(static_cast<size_t>(graph.num_values())) {
    for (ValueId id = 0; id < graph.num_values(); ++id) {
      const Value& value = graph.value(id);
      at(id) = Buffer(value.type.num_bytes());
      std::memset(at(id).data(), 0, at(id).size());
      if (!value.data.empty())
        std::memcpy(at(id).data(), value.data.data(), value.data.size());
    }
  }

  Buffer& at(ValueId id) { return buffers_[static_cast<size_t>(id)]; }

  Status run(const Node& node) {
    const NodeView view = view_of(graph_, node);
    if (node.op->is_view) {
      std::memcpy(at(node.outputs[0]).data(), at(node.inputs[0]).data(),
                  at(node.outputs[0]).size());
      return ok_status();
    }
    const LowerContext context{.graph = graph_, .node = node, .view = view};
    Lowered lowered;
    FT_TRY_STATUS(node.op->lower(context, lowered));
    for (const KernelDef& row : node.op->kernels) {
      if (row.isa != Isa::kC99 || row.signature != signature_of(view)) continue;
      if (row.accepts != nullptr && !row.accepts(context, lowered)) continue;
      if (row.prepare != nullptr) FT_TRY_STATUS(row.prepare(context, lowered));
      call(row, node, lowered);
      return ok_status();
    }
    return view.error(fmt::format("no C99 row for {}", signature_of(view)));
  }

 private:
  void call(const KernelDef& row, const Node& node, Lowered& lowered) {
    std::vector<void*> in, out;
    std::vector<const void*> aux;
    for (const ValueId id : node.inputs)
      in.push_back(id == kNone ? nullptr : at(id).data());
    // Optional inputs that the node leaves out are NULL too.
    in.resize(static_cast<size_t>(node.op->max_inputs), nullptr);
    for (const ValueId id : node.outputs) out.push_back(at(id).data());
    for (const AuxData& a : lowered.aux) aux.push_back(a.bytes.data());
    Buffer scratch(lowered.scratch_bytes);
    const ft_args args{.in = in.data(),
                       .aux = aux.data(),
                       .out = out.data(),
                       .scratch = scratch.data(),
                       .part = nullptr};
    row.run(lowered.params.data(), &args);
  }

  const Graph& graph_;
  std::vector<Buffer> buffers_;
};

}  // namespace

Result<std::vector<std::vector<std::byte>>> interpret(
    const Graph& graph, const std::vector<std::vector<std::byte>>& inputs) {
  if (inputs.size() != graph.inputs.size())
    return usage_error(fmt::format("{} inputs for a graph of {}", inputs.size(),
                                   graph.inputs.size()));
  Interpreter machine(graph);
  for (size_t i = 0; i < inputs.size(); ++i) {
    Buffer& buffer = machine.at(graph.inputs[i]);
    if (inputs[i].size() != buffer.size())
      return usage_error(fmt::format("input {} has {} bytes, needs {}", i,
                                     inputs[i].size(), buffer.size()));
    std::memcpy(buffer.data(), inputs[i].data(), buffer.size());
  }
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    FT_TRY_STATUS(machine.run(graph.node(n)));
  std::vector<std::vector<std::byte>> outputs;
  for (const ValueId id : graph.outputs) {
    Buffer& buffer = machine.at(id);
    outputs.emplace_back(buffer.data(), buffer.data() + buffer.size());
  }
  return outputs;
}

}  // namespace ft
