#include "serving/held_bytes.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace ft {
namespace {

// A block has a header of eight bytes, and sixteen or more of them are one
// unit.
size_t block(size_t bytes) {
  return bytes == 0 ? 0 : std::max<size_t>(32, (bytes + 8 + 15) / 16 * 16);
}

size_t heap(const std::string& text) {
  const std::string here;
  return text.capacity() <= here.capacity() ? 0 : block(text.capacity() + 1);
}

template <class T>
size_t heap(const std::vector<T>& list) {
  return block(list.capacity() * sizeof(T));
}

size_t heap(const TensorType& type) {
  return heap(type.quant.scale) + heap(type.quant.zero_point);
}

size_t heap(const std::pair<std::string, Attr>& attr) {
  size_t bytes = heap(attr.first);
  if (const auto* ints = std::get_if<std::vector<int64_t>>(&attr.second))
    bytes += heap(*ints);
  if (const auto* word = std::get_if<std::string>(&attr.second))
    bytes += heap(*word);
  return bytes;
}

size_t heap(const KernelCall& call) {
  return heap(call.params) + heap(call.in) + heap(call.aux) + heap(call.out);
}

size_t heap(const Binding& binding) {
  return heap(binding.name) + heap(binding.type);
}

size_t heap(const ArenaBuffer& buffer) { return heap(buffer.name); }

size_t heap(const AlignedBytes& derived) {
  return block(derived.bytes().size());
}

size_t heap(const AdapterTensor& tensor) {
  return heap(tensor.name) + heap(tensor.perm) + heap(tensor.offset) +
         heap(tensor.fixed);
}

size_t heap(const Metadata& metadata) {
  constexpr size_t kLinks = 4 * sizeof(void*);  // of a node of the tree
  size_t bytes = 0;
  for (const auto& entry : metadata)
    bytes +=
        block(kLinks + sizeof(entry)) + heap(entry.first) + heap(entry.second);
  return bytes;
}

// With what each element has beside the list.
template <class T>
size_t deep(const std::vector<T>& list) {
  size_t bytes = heap(list);
  for (const T& element : list) bytes += heap(element);
  return bytes;
}

size_t lists_of(const Graph& graph) {
  size_t bytes = block(graph.node_capacity() * sizeof(Node)) +
                 block(graph.value_capacity() * sizeof(Value)) +
                 heap(graph.inputs) + heap(graph.outputs);
  for (ValueId id = 0; id < graph.num_values(); ++id)
    bytes += heap(graph.value(id).name) + heap(graph.value(id).type);
  for (NodeId id = 0; id < graph.num_nodes(); ++id) {
    const Node& node = graph.node(id);
    bytes += heap(node.name) + heap(node.inputs) + heap(node.outputs) +
             deep(node.attrs.all());
  }
  return bytes;
}

// Where files are mapped. A graph does not tell which constants are its own:
// those that no file is behind.
class FileMappings {
 public:
  FileMappings() {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      unsigned long long begin = 0, end = 0, inode = 0;
      if (std::sscanf(line.c_str(), "%llx-%llx %*s %*s %*s %llu", &begin, &end,
                      &inode) == 3 &&
          inode != 0)
        ranges_[begin] = end;
    }
  }
  bool have(std::span<const std::byte> bytes) const {
    const auto at = reinterpret_cast<uintptr_t>(bytes.data());
    const auto next = ranges_.upper_bound(at);
    return next != ranges_.begin() && at < std::prev(next)->second;
  }

 private:
  std::map<uintptr_t, uintptr_t> ranges_;
};

// Each block once, and none of `shared`.
size_t constants_of(const Graph& graph, const Graph* shared) {
  // Beside the bytes: a vector with the counts of its owners, and a pointer to
  // both in the graph's list.
  constexpr size_t kBeside =
      2 * sizeof(int) + sizeof(void*) + sizeof(std::vector<std::byte>);
  std::set<const std::byte*> seen;
  for (ValueId id = 0; shared != nullptr && id < shared->num_values(); ++id)
    seen.insert(shared->value(id).data.data());
  const FileMappings files;
  size_t bytes = 0;
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    const auto data = graph.value(id).data;
    if (data.empty() || files.have(data) || !seen.insert(data.data()).second)
      continue;
    bytes += block(data.size()) + block(kBeside) + 2 * sizeof(void*);
  }
  return bytes;
}

}  // namespace

size_t held_bytes(const Graph& graph) {
  return lists_of(graph) + constants_of(graph, nullptr);
}

size_t held_bytes(const CompiledStep& step, const Graph* base) {
  const Program& program = step.program;
  return lists_of(program.graph) + constants_of(program.graph, base) +
         deep(program.calls) + deep(program.inputs) + deep(program.outputs) +
         deep(program.persistent) + deep(program.arena) +
         deep(program.derived) + deep(step.adapted.tensors) +
         heap(step.adapted.metadata) + heap(step.learned);
}

}  // namespace ft
