// The import in progress: one Importer per file, one OpImport per operator.
//
// The functions in importers_*.cc translate one operator each; they see the
// file only through OpImport, which turns tensors into graph values, checks
// what they produce against the file and accounts for memory. Private to this
// folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "formats/tflite/import.h"
#include "formats/tflite/model_file.h"
#include "formats/tflite/names.h"
#include "ir/graph.h"
#include "ops/append.h"

namespace ft {

// Bytes that one import may keep alive; keeps hostile files, whose tables may
// alias, from growing into more than a few times their size.
class Allowance {
 public:
  explicit Allowance(size_t file_bytes)
      : file_bytes_(file_bytes), left_(4 * file_bytes + kConstant) {}
  Status take(size_t bytes);

 private:
  static constexpr size_t kConstant = 48 << 10;
  size_t file_bytes_;
  size_t left_;
};

// How a constant is wanted.
enum class As {
  kStored,  // as the file has it (float32 where everything is dequantized)
  kFloat,   // float32, dequantized if need be
};

class Importer {
 public:
  Importer(const ModelFile& file, const ImportOptions& options);
  Result<TfliteModel> run();

  const ModelFile& file() const { return file_; }
  const ImportOptions& options() const { return options_; }
  Graph& graph() { return model_.graph; }
  NodeNames& names() { return names_; }

  // The value that holds a tensor: produced already, or a constant.
  Result<ValueId> value_of(int tensor, As as);
  // Constants one behind the other along axis 0, as one float32 constant.
  Result<ValueId> joined(const std::vector<int>& tensors,
                         const std::string& name);
  ValueId bound(int tensor) const {
    return bound_[static_cast<size_t>(tensor)].value;
  }
  // `batch_axis`: the axis that carries the batch; kNone: none does.
  void bind(int tensor, ValueId value, int batch_axis);
  // A tensor whose elements are dimensions (SHAPE and what is computed from
  // it): it has no value, RESHAPE takes its result from the file instead.
  void bind_as_dimensions(int tensor);
  bool is_dimensions(int tensor) const {
    return bound_[static_cast<size_t>(tensor)].is_dimensions;
  }
  int batch_axis(int tensor) const {
    return bound_[static_cast<size_t>(tensor)].batch_axis;
  }
  bool changes_batch() const { return new_batch_ != old_batch_; }
  // The file's shape, with the axis that carries the batch (if any) scaled.
  Result<Shape> expected_shape(int tensor, int batch_axis) const;
  int64_t old_batch() const { return old_batch_; }
  // Records where the values and nodes added since the last call come from.
  Status account(int operator_index);
  Status take(size_t bytes) { return allowance_.take(bytes); }
  void set_tensor(ValueId value, int tensor);

 private:
  struct Bound {
    ValueId value = kNone;
    int batch_axis = kNone;
    bool is_dimensions = false;
  };
  Status add_inputs();
  Status add_outputs();
  Status import_operator(int index);
  Status make_room(size_t nodes, size_t values);
  Result<ValueId> constant(int tensor, As as);
  Result<ValueId> constant_as_float(int tensor, const TensorType& type);
  Status read_reals(int tensor, const TensorType& type,
                    std::span<float> values);
  ValueId add_reals(const std::string& name, const Shape& shape,
                    std::shared_ptr<const std::vector<float>> values);
  Result<std::span<const std::byte>> unpack_int4(int tensor, int64_t n);

  const ModelFile& file_;
  ImportOptions options_;
  Allowance allowance_;
  NodeNames names_;
  TfliteModel model_;
  std::vector<Bound> bound_;  // by tensor
  std::map<std::pair<int, As>, ValueId> constants_;
  int64_t old_batch_ = 1, new_batch_ = 1;
};

class OpImport {
 public:
  OpImport(Importer& importer, int index);

  std::string_view kind() const { return kind_; }  // "CONV_2D"
  const Graph& graph() const { return importer_.graph(); }
  bool dequantize() const { return importer_.options().dequantize; }
  // Of operand i if it is int8 weights whose activations are to be quantized
  // while running, the number of its scales; else 0.
  Result<int64_t> dynamic_range_scales(size_t i) const;
  size_t num_inputs() const { return inputs_.size(); }
  size_t num_outputs() const { return outputs_.size(); }
  bool has_input(size_t i) const {
    return i < inputs_.size() && inputs_[i] >= 0;
  }
  int input_tensor(size_t i) const { return inputs_[i]; }
  int output_tensor(size_t i) const { return outputs_[i]; }
  bool is_constant(size_t i) const;
  bool is_dimensions(size_t i) const;
  // State that LiteRT keeps from run to run; zero at the first.
  bool is_variable(size_t i) const;

  // Fails unless the operator has this many operands.
  Status expect(size_t min_inputs, size_t max_inputs, size_t outputs) const;
  // Data operands; kNone for an absent one of optional_input().
  Result<ValueId> input(size_t i, As as = As::kStored);
  Result<ValueId> optional_input(size_t i, As as = As::kStored);
  // A constant int32 or int64 operand of at most `limit` elements.
  Result<std::vector<int64_t>> ints(size_t i, size_t limit = 64);
  Result<int64_t> single_int(size_t i);
  // The shape that the file gives an operand or result, batch corrected.
  Result<Shape> output_shape(size_t i = 0) const;
  // The file's own type of output i: its quantizer, dtype and shape.
  Result<TensorType> output_type(size_t i = 0) const;
  const TensorType& type(ValueId id) const { return graph().value(id).type; }
  const Shape& shape(ValueId id) const { return type(id).shape; }
  bool changes_batch() const {
    return batch_axis_ != kNone && importer_.changes_batch();
  }
  // The axis of the first operand that carries the batch; kNone: none does.
  int batch_axis() const { return batch_axis_; }

  // The operator's settings; nullptr where the file has none.
  template <class T>
  const T* options_or_null() const {
    return importer_.file().op(index_).builtin_options_as<T>();
  }
  template <class T>
  Result<const T*> options() const {
    const T* found = options_or_null<T>();
    if (found == nullptr) return error("the settings are missing");
    return found;
  }

  // Appends a node whose outputs are the operator's outputs.
  Status emit(const OpDef& op, std::vector<ValueId> inputs, Attrs attrs = {});
  // A node between: its output has no counterpart in the file.
  Result<ValueId> inner(const OpDef& op, std::vector<ValueId> inputs,
                        Attrs attrs = {}, QuantParams quant = {});
  Result<std::vector<ValueId>> inner_all(const OpDef& op,
                                         std::vector<ValueId> inputs,
                                         Attrs attrs = {},
                                         std::vector<QuantParams> quants = {});
  // A node between that has a name of its own behind the operator's: a module.
  Result<std::vector<ValueId>> module(std::string_view suffix, const OpDef& op,
                                      std::vector<ValueId> inputs,
                                      Attrs attrs = {});
  // Constant operands stacked along axis 0, in float32.
  Result<ValueId> joined(const std::vector<size_t>& operands,
                         std::string_view suffix);
  // Output i is an existing value.
  Status finish(size_t i, ValueId value);
  // Output i is computed from dimensions only.
  void finish_as_dimensions(size_t i = 0);
  Status error(const std::string& sentence) const;

 private:
  Result<std::vector<ValueId>> append_inner(std::string name, const OpDef& op,
                                            std::vector<ValueId> inputs,
                                            Attrs attrs,
                                            std::vector<QuantParams> quants);
  const std::string& name();
  Result<int> find_batch_axis(size_t i, const Shape& shape) const;

  Importer& importer_;
  int index_;
  std::string_view kind_;
  std::span<const int32_t> inputs_, outputs_;
  int batch_axis_ = kNone;
  bool batch_axes_differ_ = false;
  std::string name_;
  int num_inner_ = 0;
};

using ImportFn = Status (*)(OpImport& op);
struct OperatorImporter {
  tfl::BuiltinOperator code;
  ImportFn import;
};
// One list per file importers_*.cc; op_table.cc joins them.
std::span<const OperatorImporter> linear_importers();
std::span<const OperatorImporter> elementwise_importers();
std::span<const OperatorImporter> row_importers();
std::span<const OperatorImporter> movement_importers();
std::span<const OperatorImporter> slicing_importers();
std::span<const OperatorImporter> block_importers();
std::span<const OperatorImporter> recurrent_importers();
ImportFn find_importer(tfl::BuiltinOperator code);

// The fused activation as FT_ACT_*.
Result<int64_t> act_of(const OpImport& op, tfl::ActivationFunctionType act);
// An axis operand in [-rank, rank) as [0, rank).
Result<int64_t> normal_axis(const OpImport& op, int64_t axis, int rank);

}  // namespace ft
