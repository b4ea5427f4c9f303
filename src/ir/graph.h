// The program before it is planned: values and nodes, in execution order.
//
// Invariants (ops/verify.h checks them after every pass): nodes stand in an
// order in which every activation is produced before it is read; a value has at
// most one producer; shapes and dtypes are those that the op's shape rule
// gives; a value that a node updates in place (a parameter, optimizer state) is
// not read by any later node. Constants are views: the bytes belong to the
// mapped model file or to the graph's own storage, which lives as long as the
// graph. Not for: devices, offsets, kernels (see plan/).
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/attrs.h"
#include "ir/types.h"

namespace ft {

struct OpDef;  // ops/op_def.h: all that the compiler knows of an op

using ValueId = int;
using NodeId = int;
constexpr int kNone = -1;  // absent optional input; value without a producer

enum class ValueKind {
  kInput,       // written by the caller before each run, in the arena
  kConstant,    // frozen: a view into the model file or graph storage
  kParam,       // trainable, persistent; `data` is its initial value
  kState,       // optimizer state or step scalars, persistent; empty `data`: 0
  kActivation,  // produced by a node, in the arena
};

struct Value {
  std::string name;
  TensorType type;
  ValueKind kind = ValueKind::kActivation;
  std::span<const std::byte> data = {};
  NodeId producer = kNone;
};

struct Node {
  const OpDef* op = nullptr;
  std::string name;
  std::vector<ValueId> inputs;  // kNone where an optional input is absent
  std::vector<ValueId> outputs;
  Attrs attrs;
};

class Graph {
 public:
  Graph() = default;
  Graph(Graph&&) = default;
  Graph& operator=(Graph&&) = default;
  // Copying would leave views into the other graph's storage: clone() shares
  // the storage instead.
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;
  Graph clone() const;

  ValueId add_value(Value value);
  ValueId add_input(std::string name, TensorType type);
  // `data` must outlive the graph: a view into the mapped file or own().
  ValueId add_constant(std::string name, TensorType type,
                       std::span<const std::byte> data);
  template <class T>
  ValueId add_owned(ValueKind kind, std::string name, TensorType type,
                    const std::vector<T>& data) {
    return add_value({.name = std::move(name),
                      .type = std::move(type),
                      .kind = kind,
                      .data = own(std::as_bytes(std::span(data)))});
  }
  // Copies bytes into storage that lives as long as the graph.
  std::span<const std::byte> own(std::span<const std::byte> bytes);
  // Keeps whatever a view needs alive, e.g. the mapped file.
  void keep_alive(std::shared_ptr<const void> owner) {
    owners_.push_back(std::move(owner));
  }

  // Appends a node whose output values exist already; sets their producer.
  // Shape inference happens in ops/append.h, which callers use.
  NodeId add_node(Node node);

  Value& value(ValueId id) { return values_[static_cast<size_t>(id)]; }
  const Value& value(ValueId id) const {
    return values_[static_cast<size_t>(id)];
  }
  Node& node(NodeId id) { return nodes_[static_cast<size_t>(id)]; }
  const Node& node(NodeId id) const { return nodes_[static_cast<size_t>(id)]; }
  int num_values() const { return static_cast<int>(values_.size()); }
  int num_nodes() const { return static_cast<int>(nodes_.size()); }

  // Room for so many nodes and values in all, so that they are allocated once.
  void reserve(size_t nodes, size_t values) {
    nodes_.reserve(nodes);
    values_.reserve(values);
  }
  size_t node_capacity() const { return nodes_.capacity(); }
  size_t value_capacity() const { return values_.capacity(); }

  // Replaces the node list (a pass that drops or reorders nodes) and renews
  // the producers. Values keep their ids.
  void set_nodes(std::vector<Node> nodes);
  // Every node input equal to `from` reads `to` instead, from node `first` on;
  // graph outputs too.
  void replace_uses(ValueId from, ValueId to, NodeId first = 0);
  std::vector<NodeId> readers(ValueId id) const;
  // kNone where no value has this name.
  ValueId find_value(std::string_view name) const;

  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;

 private:
  std::vector<Value> values_;
  std::vector<Node> nodes_;
  std::vector<std::shared_ptr<const std::vector<std::byte>>> storage_;
  std::vector<std::shared_ptr<const void>> owners_;
};

// The elements of a constant as T; the value must have data of that dtype.
template <class T>
std::span<const T> data_of(const Value& value) {
  return {reinterpret_cast<const T*>(value.data.data()),
          value.data.size() / sizeof(T)};
}

}  // namespace ft
