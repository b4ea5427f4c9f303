#include "train/merge_folder.h"

#include <fmt/format.h>

#include "methods/head.h"

namespace ft {
namespace {

// Collects the edits of one folder.
class FolderMerger {
 public:
  explicit FolderMerger(const Graph& base) : base_(base) {}

  Status add(const MergedModule& m) {
    for (NodeId n = 0; n < base_.num_nodes(); ++n) {
      if (base_.node(n).name != m.module) continue;
      FT_TRY_STATUS(add_tensor(n, 1, m.weight));
      return add_tensor(n, 2, m.bias);
    }
    return internal_error("merge: no module '" + m.module + "'");
  }

  HuggingFaceEdits edits;

 private:
  Status add_tensor(NodeId n, size_t input, const std::vector<float>& values) {
    if (values.empty()) return ok_status();
    const Node& node = base_.node(n);
    if (node.inputs.size() <= input || node.inputs[input] == kNone)
      return invalid_input(
          fmt::format("merge: '{}' has no {} in the folder, but the adapter "
                      "brings one",
                      node.name, input == 1 ? "weight" : "bias"));
    const ValueId id = node.inputs[input];
    for (const NodeId other : base_.readers(id))
      if (other != n)
        return usage_error(fmt::format(
            "merge: '{}' shares '{}' with '{}', so it cannot change alone; "
            "train without it, or run the base with --adapter instead",
            node.name, base_.value(id).name, base_.node(other).name));
    FT_TRY(Shape shape, new_shape(n, id, values.size()));
    edits.tensors[base_.value(id).name] = {
        {shape.dims().begin(), shape.dims().end()}, values};
    return ok_status();
  }

  // As it was, or with the classes of a new head.
  Result<Shape> new_shape(NodeId n, ValueId id, size_t count) {
    Shape shape = base_.value(id).type.shape;
    const auto elements = static_cast<int64_t>(count);
    if (elements == shape.num_elements()) return shape;
    const bool classifier = base_.node(n).name == "classifier";
    const int64_t row = shape.num_elements() / shape[0];
    if (!classifier || elements % row != 0)
      return invalid_input(fmt::format(
          "merge: '{}' has {} values in the folder and {} in the adapter",
          base_.value(id).name, shape.num_elements(), elements));
    shape.set(0, elements / row);
    edits.num_labels = static_cast<int>(shape[0]);
    return shape;
  }

  const Graph& base_;
};

}  // namespace

Result<FolderFiles> merged_huggingface(const std::string& folder,
                                       const Graph& base,
                                       const MergeInput& input) {
  FT_TRY(const auto modules, merge_adapters(base, input.adapters));
  FolderMerger merger(base);
  for (const MergedModule& m : modules) FT_TRY_STATUS(merger.add(m));
  return rewrite_huggingface(folder, merger.edits);
}

}  // namespace ft
