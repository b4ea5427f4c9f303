// A .tflite file, checked once: what is read through this class is inside the
// file and consistent with itself.
//
// Contract: open() runs the FlatBuffers verifier and then every check that
// needs no knowledge of operators: one subgraph, indices in range, constant
// data as long as its tensor says, plain dtypes, usable quantizers. Nothing of
// the file is copied; the bytes must outlive this object. Not for meaning (see
// importer.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ir/types.h"
#include "tflite_generated.h"

namespace ft {

class ModelFile {
 private:
  template <class V>
  static int size_of(const V* vector) {
    return vector == nullptr ? 0 : static_cast<int>(vector->size());
  }
  template <class V>
  static auto at(const V* vector, int i) {
    return vector->Get(static_cast<flatbuffers::uoffset_t>(i));
  }

 public:
  // Runs only the FlatBuffers verifier: enough for reading with the object API.
  static Status verify(std::span<const std::byte> bytes);
  static Result<ModelFile> open(std::span<const std::byte> bytes);

  const tfl::Model& model() const { return *model_; }
  size_t file_bytes() const { return bytes_.size(); }

  int num_tensors() const { return size_of(graph().tensors()); }
  int num_operators() const { return size_of(graph().operators()); }
  const tfl::Tensor& tensor(int i) const { return *at(graph().tensors(), i); }
  const tfl::Operator& op(int i) const { return *at(graph().operators(), i); }
  std::span<const int32_t> inputs() const { return ints(graph().inputs()); }
  std::span<const int32_t> outputs() const { return ints(graph().outputs()); }

  // Views of what one operator reads and writes; -1: absent input.
  std::span<const int32_t> inputs_of(int op_index) const;
  std::span<const int32_t> outputs_of(int op_index) const;
  tfl::BuiltinOperator code(int op_index) const;
  std::string_view custom_code(int op_index) const;

  // "'conv2d/Conv2D' (tensor 17)", printable whatever the file holds.
  std::string describe(int tensor) const;
  std::string_view tensor_name(int tensor) const;
  bool is_constant(int tensor) const { return !data(tensor).empty(); }
  // The constant's bytes as they lie in the file; empty for activations.
  std::span<const std::byte> data(int tensor) const;
  // Shape, dtype and quantizer. int4 reads as int8. Fails with one sentence on
  // what the importer cannot carry.
  Result<TensorType> type_of(int tensor) const;
  bool is_int4(int tensor) const {
    return this->tensor(tensor).type() == tfl::TensorType::INT4;
  }

 private:
  ModelFile(std::span<const std::byte> bytes, const tfl::Model* model)
      : bytes_(bytes), model_(model) {}

  static std::span<const int32_t> ints(const flatbuffers::Vector<int32_t>* v) {
    if (v == nullptr) return {};
    return {v->data(), v->size()};
  }
  const tfl::SubGraph& graph() const { return *at(model_->subgraphs(), 0); }
  Status check_buffers() const;
  Status check_indices(std::span<const int32_t> indices, bool optional,
                       std::string_view what) const;
  Status check_operators() const;
  Status check_constants() const;
  Result<Shape> shape_of(int tensor) const;
  Result<QuantParams> quant_of(int tensor, const Shape& shape) const;

  std::span<const std::byte> bytes_;
  const tfl::Model* model_;
};

// ASCII of at most `limit` characters; anything else becomes '_'.
std::string printable(std::string_view text, size_t limit);

}  // namespace ft
