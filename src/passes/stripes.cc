#include "passes/stripes.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "ops/all_ops.h"
#include "ops/append.h"

namespace ft {
namespace {

using Ints = std::vector<int64_t>;

// Where rows may begin in a buffer: what kernels expect of their arguments.
constexpr int64_t kRowAlignment = 16;

struct Rows {
  int64_t begin, end;
  bool operator==(const Rows&) const = default;
};

// A value in the making is an image of one sample; constants are not.
bool is_made(const Graph& graph, ValueId v) {
  const ValueKind kind = graph.value(v).kind;
  return kind == ValueKind::kInput || kind == ValueKind::kActivation;
}

bool is_image(const Graph& graph, ValueId v) {
  const Shape& s = graph.value(v).type.shape;
  return s.rank() == 4 && s[0] == 1;
}

int64_t rows_of(const Graph& graph, ValueId v) {
  return graph.value(v).type.shape[1];
}

bool is_convolution(const Node& node) {
  return node.op == &ops::kConv2d || node.op == &ops::kDepthwiseConv2d ||
         node.op == &ops::kBfpSideConv2d ||
         node.op == &ops::kBfpSideDepthwiseConv2d;
}

bool has_window(const Node& node) {
  return is_convolution(node) || node.op == &ops::kAvgPool2d ||
         node.op == &ops::kMaxPool2d;
}

bool is_elementwise(const Node& node) {
  return node.op == &ops::kBinary || node.op == &ops::kUnary ||
         node.op == &ops::kResidualAdd || node.op == &ops::kQuantize ||
         node.op == &ops::kDequantize;
}

// A factor for all rows alike, if a constant: its own rows count from behind.
bool is_same_in_all_rows(const Graph& graph, ValueId v) {
  const Shape& s = graph.value(v).type.shape;
  return s.rank() < 3 || s[s.rank() - 3] == 1;
}

// Row r of the output needs only the rows of images around r.
bool keeps_rows(const Graph& graph, const Node& node) {
  const bool window = has_window(node);
  if (!window && !is_elementwise(node)) return false;
  if (node.outputs.size() != 1 || !is_image(graph, node.outputs[0]))
    return false;
  if (is_convolution(node) &&
      graph.value(node.inputs[1]).type.shape.rank() != 4)
    return false;
  const int64_t rows = rows_of(graph, node.outputs[0]);
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId v = node.inputs[i];
    if (v == kNone) continue;
    if (!is_made(graph, v)) {
      if (!window && !is_same_in_all_rows(graph, v)) return false;
      continue;
    }
    if (!is_image(graph, v)) return false;
    if (window && i == 0) continue;
    const bool is_low_rank = node.op == &ops::kConv2d && i == 3;
    if ((window && !is_low_rank) || rows_of(graph, v) != rows) return false;
  }
  return true;
}

// The rows of the image that output rows need, and what of the padding.
struct Window {
  Rows rows;
  int64_t pad_top, pad_bottom;
};

Window window_of(const Graph& graph, const Node& node, const Rows& out) {
  const int64_t size = is_convolution(node)
                           ? graph.value(node.inputs[1]).type.shape[1]
                           : node.attrs.get_int("filter_h", 1);
  const int64_t extent = (size - 1) * node.attrs.get_int("dilation_h", 1) + 1;
  const int64_t stride = node.attrs.get_int("stride_h", 1);
  const int64_t height = rows_of(graph, node.inputs[0]);
  const int64_t begin = out.begin * stride - node.attrs.get_int("pad_top");
  const int64_t end = begin + (out.end - out.begin - 1) * stride + extent;
  return {{std::max<int64_t>(begin, 0), std::min(end, height)},
          std::max<int64_t>(-begin, 0),
          std::max<int64_t>(end - height, 0)};
}

class StripeWriter {
 public:
  StripeWriter(Graph& graph, const StripeRegion& region)
      : graph_(graph), region_(region) {
    for (NodeId n = 0; n < graph.num_nodes(); ++n)
      (n < region.end ? region_nodes_ : rest_).push_back(graph.node(n));
    graph_.set_nodes({});
  }

  Status write(int64_t stripes) {
    std::vector<ValueId> parts;
    for (int64_t s = 0; s < stripes; ++s) {
      const Rows rows{region_.rows * s / stripes,
                      region_.rows * (s + 1) / stripes};
      FT_TRY(const ValueId part, write_stripe(s, rows));
      parts.push_back(part);
    }
    Attrs attrs{{"axis", int64_t{1}}, {"stripes", stripes}};
    if (are_aligned(parts)) attrs.set("in_place", int64_t{1});
    graph_.add_node({.op = &ops::kConcat,
                     .name = graph_.value(region_.output).name + "/stripes",
                     .inputs = std::move(parts),
                     .outputs = {region_.output},
                     .attrs = std::move(attrs)});
    for (Node& node : rest_) graph_.add_node(std::move(node));
    return ok_status();
  }

 private:
  // What of a value is there in the stripe at hand.
  struct Held {
    ValueId value;
    Rows rows;
  };

  int64_t row_bytes(ValueId v) const {
    const Value& value = graph_.value(v);
    return static_cast<int64_t>(value.type.num_bytes()) / value.type.shape[1];
  }

  bool are_aligned(const std::vector<ValueId>& parts) const {
    return std::all_of(parts.begin(), parts.end() - 1, [&](ValueId v) {
      return graph_.value(v).type.num_bytes() % kRowAlignment == 0;
    });
  }

  // Rows of each value, from the last node to the first: what all its readers
  // need together.
  Status find_rows(const Rows& rows) {
    wanted_.clear();
    wanted_[region_.output] = rows;
    for (auto node = region_nodes_.rbegin(); node != region_nodes_.rend();
         ++node) {
      const Rows out = wanted_.at(node->outputs[0]);
      for (size_t i = 0; i < node->inputs.size(); ++i) {
        const ValueId v = node->inputs[i];
        if (v == kNone || !is_made(graph_, v)) continue;
        FT_TRY(const Rows in, rows_read(*node, i, out));
        const auto [at, is_new] = wanted_.try_emplace(v, in);
        if (!is_new)
          at->second = {std::min(at->second.begin, in.begin),
                        std::max(at->second.end, in.end)};
      }
    }
    return ok_status();
  }

  Result<Rows> rows_read(const Node& node, size_t input, const Rows& out) {
    if (input != 0 || !has_window(node)) return out;
    const Rows in = window_of(graph_, node, out).rows;
    if (in.begin < in.end) return in;
    return invalid_input(
        fmt::format("'{}': rows {} to {} lie in the padding alone", node.name,
                    out.begin, out.end));
  }

  Result<ValueId> write_stripe(int64_t stripe, const Rows& rows) {
    FT_TRY_STATUS(find_rows(rows));
    held_.clear();
    taken_.clear();
    suffix_ = fmt::format("/rows{}", stripe);
    for (const Node& node : region_nodes_) FT_TRY_STATUS(write_node(node));
    return held_.at(region_.output).value;
  }

  Status write_node(const Node& node) {
    const ValueId out = node.outputs[0];
    const Rows rows = wanted_.at(out);
    Attrs attrs = node.attrs;
    std::vector<ValueId> inputs = node.inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i] == kNone || !is_made(graph_, inputs[i])) continue;
      FT_TRY(const Rows in, rows_read(node, i, rows));
      FT_TRY(inputs[i], take(inputs[i], in));
    }
    if (has_window(node)) {
      const Window window = window_of(graph_, node, rows);
      attrs.set("pad_top", window.pad_top);
      attrs.set("pad_bottom", window.pad_bottom);
    }
    const Value whole = graph_.value(out);
    FT_TRY(const ValueId made,
           append(graph_, *node.op, std::move(inputs), std::move(attrs),
                  {.name = node.name + suffix_,
                   .out_quant = {whole.type.quant},
                   .output_names = {whole.name + suffix_}}));
    held_[out] = {made, rows};
    return ok_status();
  }

  // Rows of a value of the region, or of what it begins with.
  Result<ValueId> take(ValueId v, const Rows& rows) {
    const auto [at, is_whole] =
        held_.try_emplace(v, Held{v, {0, rows_of(graph_, v)}});
    const Held held = at->second;
    if (held.rows == rows) return held.value;
    const auto key = std::tuple(v, rows.begin, rows.end);
    if (const auto found = taken_.find(key); found != taken_.end())
      return found->second;
    const Shape shape = graph_.value(held.value).type.shape;
    const int64_t first = rows.begin - held.rows.begin;
    Attrs attrs{{"begin", Ints{0, first, 0, 0}},
                {"size", Ints{1, rows.end - rows.begin, shape[2], shape[3]}}};
    if (first * row_bytes(held.value) % kRowAlignment == 0)
      attrs.set("in_place", int64_t{1});
    FT_TRY(const ValueId part,
           append(graph_, ops::kSlice, {held.value}, std::move(attrs),
                  {.name = graph_.value(v).name + suffix_ + "/part"}));
    taken_[key] = part;
    return part;
  }

  Graph& graph_;
  const StripeRegion region_;
  std::vector<Node> region_nodes_, rest_;
  std::map<ValueId, Rows> wanted_;
  std::map<ValueId, Held> held_;
  std::map<std::tuple<ValueId, int64_t, int64_t>, ValueId> taken_;
  std::string suffix_;
};

// The last node that reads each value; the number of nodes: behind the end.
std::vector<NodeId> last_readers(const Graph& graph) {
  std::vector<NodeId> last(static_cast<size_t>(graph.num_values()), kNone);
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    for (const ValueId v : graph.node(n).inputs)
      if (v != kNone) last[static_cast<size_t>(v)] = n;
  for (const ValueId v : graph.outputs)
    last[static_cast<size_t>(v)] = graph.num_nodes();
  return last;
}

}  // namespace

std::vector<StripeRegion> stripe_regions(const Graph& graph) {
  std::vector<StripeRegion> regions;
  const std::vector<NodeId> last = last_readers(graph);
  std::set<ValueId> alive;  // of what the region has read and made
  for (NodeId n = 0; n < graph.num_nodes(); ++n) {
    const Node& node = graph.node(n);
    if (!keeps_rows(graph, node)) break;
    for (const ValueId v : node.inputs)
      if (v != kNone && is_made(graph, v)) alive.insert(v);
    const ValueId out = node.outputs[0];
    alive.insert(out);
    std::erase_if(alive,
                  [&](ValueId v) { return last[static_cast<size_t>(v)] <= n; });
    const int64_t rows = rows_of(graph, out);
    if (n > 0 && rows > 1 && alive == std::set<ValueId>{out})
      regions.push_back({n + 1, out, rows});
  }
  return regions;
}

Status compute_in_stripes(Graph& graph, const StripeRegion& region,
                          int64_t stripes) {
  if (stripes < 2 || stripes > std::min(region.rows, kMostStripes))
    return usage_error(fmt::format(
        "{} stripes of an activation of {} rows: there may be 2 to {}", stripes,
        region.rows, std::min(region.rows, kMostStripes)));
  return StripeWriter(graph, region).write(stripes);
}

int64_t stripes_of(const Graph& graph) {
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    if (graph.node(n).op == &ops::kConcat)
      if (const int64_t stripes = graph.node(n).attrs.get_int("stripes"))
        return stripes;
  return 0;
}

bool has_no_call(const Node& node) {
  return node.op->is_view ||
         ((node.op == &ops::kSlice || node.op == &ops::kConcat) &&
          node.attrs.get_int("in_place") != 0);
}

}  // namespace ft
