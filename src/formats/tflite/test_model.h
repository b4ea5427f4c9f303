// Small .tflite files for tests, written through the object API.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ir/types.h"
#include "tflite_generated.h"

namespace ft::testing {

class TestModel {
 public:
  TestModel();

  // Tensor indices count from 0. `data` makes a constant.
  int add(const std::string& name, tfl::TensorType type,
          std::vector<int32_t> shape, QuantParams quant = {},
          std::vector<uint8_t> data = {});
  int add_f32(const std::string& name, std::vector<int32_t> shape) {
    return add(name, tfl::TensorType::FLOAT32, std::move(shape));
  }
  int add_s8(const std::string& name, std::vector<int32_t> shape,
             float scale = 0.1f, int32_t zero_point = 0) {
    return add(name, tfl::TensorType::INT8, std::move(shape),
               QuantParams::per_tensor(scale, zero_point));
  }
  int add_ints(const std::string& name, const std::vector<int32_t>& values,
               bool is_scalar = false);
  // Constants filled with a fixed pattern.
  int add_f32_weights(const std::string& name, std::vector<int32_t> shape);
  int add_s8_weights(const std::string& name, std::vector<int32_t> shape,
                     QuantParams quant);
  int add_s32_weights(const std::string& name, std::vector<int32_t> shape,
                      QuantParams quant);

  template <class Options = tfl::PadOptionsT>
  tfl::OperatorT& op(tfl::BuiltinOperator code, std::vector<int32_t> inputs,
                     std::vector<int32_t> outputs, Options options = {}) {
    tfl::OperatorT& made = add_op(code, std::move(inputs), std::move(outputs));
    made.builtin_options.Set(std::move(options));
    return made;
  }

  tfl::ModelT& model() { return *model_; }
  tfl::SubGraphT& graph() { return *model_->subgraphs[0]; }
  tfl::TensorT& tensor(int i) {
    return *graph().tensors[static_cast<size_t>(i)];
  }
  std::vector<std::byte> build(std::vector<int32_t> inputs,
                               std::vector<int32_t> outputs);

 private:
  tfl::OperatorT& add_op(tfl::BuiltinOperator code, std::vector<int32_t> inputs,
                         std::vector<int32_t> outputs);
  std::unique_ptr<tfl::ModelT> model_;
};

// x -> conv (int8, per channel) -> depthwise -> mean pool -> reshape -> fully
// connected -> softmax, with a signature and metadata: like a keyword model.
std::vector<std::byte> small_int8_model();

// x [1, 3, 2] -> LSTM of 4 with int8 weights between float activations.
// `time_major`: x is [3, 1, 2].
std::vector<std::byte> small_lstm_model(bool time_major = false);

}  // namespace ft::testing
