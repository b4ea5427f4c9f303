#include "formats/tflite/import.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <set>

#include "base/file.h"
#include "formats/tflite/test_model.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

using testing::small_int8_model;
using testing::TestModel;
using Op = tfl::BuiltinOperator;

std::string real_models() {
  return std::string(FT_SOURCE_DIR) + "/../shared/models/mlperf_tiny";
}

std::vector<std::string> op_names(const Graph& graph) {
  std::vector<std::string> names;
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    names.push_back(graph.node(n).name);
  return names;
}

// The only node's attributes, or the sentence that import failed with.
struct Imported {
  Result<TfliteModel> model;
  const Node& node(NodeId n = 0) { return model->graph.node(n); }
};

std::string failure(const Result<TfliteModel>& model) {
  return model.ok() ? "" : model.status().message();
}

TEST(ImportTflite, ReadsASmallModel) {
  const std::vector<std::byte> file = small_int8_model();
  const Result<TfliteModel> model = import_tflite(file);
  ASSERT_TRUE(model.ok()) << failure(model);
  const Graph& g = model->graph;
  EXPECT_EQ(op_names(g),
            (std::vector<std::string>{"conv2d", "dw", "pool", "flatten",
                                      "dense", "softmax"}));
  EXPECT_EQ(model->description, "made by a test");
  EXPECT_EQ(model->file_bytes, file.size());
  EXPECT_EQ(model->sha256.size(), 64u);
  const Node& conv = g.node(0);
  EXPECT_EQ(conv.attrs.get_int("stride_h"), 2);
  EXPECT_EQ(conv.attrs.get_int("act"), FT_ACT_RELU);
  // SAME: 6 rows to 3 with stride 2 need one row of padding, behind; 5 columns
  // to 3 need two.
  EXPECT_EQ(conv.attrs.get_int("pad_top"), 0);
  EXPECT_EQ(conv.attrs.get_int("pad_bottom"), 1);
  EXPECT_EQ(conv.attrs.get_int("pad_left"), 1);
  EXPECT_EQ(conv.attrs.get_int("pad_right"), 1);
  EXPECT_EQ(model->operator_of(4), 4);
  EXPECT_EQ(model->tensor_of(g.inputs[0]), 0);
  const ValueId weights = g.node(0).inputs[1];
  EXPECT_EQ(model->tensor_of(weights), 1);
  EXPECT_EQ(model->value_of(1), weights);
  EXPECT_EQ(g.value(weights).type.quant.scale.size(), 4u);
  EXPECT_EQ(g.value(g.node(1).inputs[1]).type.quant.quantized_dimension, 3);
}

TEST(ImportTflite, ConstantsAreViewsOfTheFile) {
  const std::vector<std::byte> file = small_int8_model();
  const Result<TfliteModel> model = import_tflite(file);
  ASSERT_TRUE(model.ok()) << failure(model);
  for (ValueId id = 0; id < model->graph.num_values(); ++id) {
    const auto data = model->graph.value(id).data;
    if (data.empty()) continue;
    EXPECT_GE(data.data(), file.data());
    EXPECT_LE(data.data() + data.size(), file.data() + file.size());
  }
}

TEST(ImportTflite, MisalignedBytesAreCopied) {
  const std::vector<std::byte> file = small_int8_model();
  std::vector<std::byte> shifted(file.size() + 1);
  std::copy(file.begin(), file.end(), shifted.begin() + 1);
  const Result<TfliteModel> model =
      import_tflite(std::span(shifted).subspan(1));
  ASSERT_TRUE(model.ok()) << failure(model);
  for (ValueId id = 0; id < model->graph.num_values(); ++id)
    EXPECT_EQ(
        reinterpret_cast<uintptr_t>(model->graph.value(id).data.data()) % 16,
        0u);
}

TEST(ImportTflite, BatchReachesEveryActivation) {
  const std::vector<std::byte> file = small_int8_model();
  const Result<TfliteModel> model = import_tflite(file, {.batch = 7});
  ASSERT_TRUE(model.ok()) << failure(model);
  const Graph& g = model->graph;
  EXPECT_EQ(g.value(g.inputs[0]).type.shape, (Shape{7, 6, 5, 2}));
  EXPECT_EQ(g.value(g.node(3).outputs[0]).type.shape, (Shape{7, 4}));
  EXPECT_EQ(g.value(g.outputs[0]).type.shape, (Shape{7, 3}));
}

TEST(ImportTflite, DequantizedGraphIsFloat) {
  const std::vector<std::byte> file = small_int8_model();
  const Result<TfliteModel> model = import_tflite(file, {.dequantize = true});
  ASSERT_TRUE(model.ok()) << failure(model);
  const Graph& g = model->graph;
  for (ValueId id = 0; id < g.num_values(); ++id)
    EXPECT_EQ(g.value(id).type.dtype, DType::kF32) << g.value(id).name;
  const Result<TfliteModel> original = import_tflite(file);
  ASSERT_TRUE(original.ok());
  for (const size_t input : {1u, 2u}) {
    const Value& real = g.value(g.node(1).inputs[input]);
    const Value& q =
        original->graph.value(original->graph.node(1).inputs[input]);
    for (size_t i = 0; i < data_of<float>(real).size(); ++i) {
      const int stored =
          input == 1 ? int{data_of<int8_t>(q)[i]} : data_of<int32_t>(q)[i];
      EXPECT_FLOAT_EQ(data_of<float>(real)[i],
                      q.type.quant.scale[i % 4] * static_cast<float>(stored));
    }
  }
}

// Edits the small model and expects a refusal that says `word`.
void refused(const std::string& word,
             const std::function<void(tfl::ModelT&)>& edit) {
  const std::vector<std::byte> file = small_int8_model();
  const std::unique_ptr<tfl::ModelT> model(tfl::UnPackModel(file.data()));
  edit(*model);
  flatbuffers::FlatBufferBuilder b;
  tfl::FinishModelBuffer(b, tfl::Model::Pack(b, model.get()));
  const Result<TfliteModel> result = import_tflite(
      std::as_bytes(std::span(b.GetBufferPointer(), b.GetSize())));
  EXPECT_NE(failure(result).find(word), std::string::npos)
      << "wanted: " << word << "\ngot: " << failure(result);
}

tfl::TensorT& tensor(tfl::ModelT& m, size_t i) {
  return *m.subgraphs[0]->tensors[i];
}

TEST(ImportTflite, RefusesModelsWithOneSentence) {
  refused("version 2", [](auto& m) { m.version = 2; });
  refused("2 subgraphs", [](auto& m) {
    m.subgraphs.push_back(std::make_unique<tfl::SubGraphT>());
  });
  refused("no operators", [](auto& m) { m.subgraphs[0]->operators.clear(); });
  refused("0 inputs", [](auto& m) { m.subgraphs[0]->inputs.clear(); });
}

TEST(ImportTflite, RefusesTensorsWithOneSentence) {
  refused("needs 72 bytes",
          [](auto& m) { m.buffers[tensor(m, 1).buffer]->data.resize(71); });
  refused("names buffer 999", [](auto& m) { tensor(m, 1).buffer = 999; });
  refused("dimension -1 in axis 1",
          [](auto& m) { tensor(m, 0).shape[1] = -1; });
  refused("changes at run time",
          [](auto& m) { tensor(m, 0).shape_signature[2] = -1; });
  refused("is sparse", [](auto& m) {
    tensor(m, 1).sparsity = std::make_unique<tfl::SparsityParametersT>();
  });
  refused("type STRING",
          [](auto& m) { tensor(m, 0).type = tfl::TensorType::STRING; });
  refused("no scale and zero point",
          [](auto& m) { tensor(m, 0).quantization.reset(); });
  refused("has the scale -1",
          [](auto& m) { tensor(m, 1).quantization->scale[2] = -1; });
  refused("zero point 1 at index 0 of 4",
          [](auto& m) { tensor(m, 1).quantization->zero_point[0] = 1; });
  refused("4 scales along axis 1",
          [](auto& m) { tensor(m, 1).quantization->quantized_dimension = 1; });
}

TEST(ImportTflite, RefusesOperatorsWithOneSentence) {
  refused("is tensor 99",
          [](auto& m) { m.subgraphs[0]->operators[2]->inputs[0] = 99; });
  refused("read before anything computes it",
          [](auto& m) { m.subgraphs[0]->operators[0]->inputs[0] = 12; });
  refused("has a value already",
          [](auto& m) { m.subgraphs[0]->operators[1]->outputs[0] = 3; });
  refused("not computed by any operator",
          [](auto& m) { m.subgraphs[0]->outputs[0] = 0; });
  refused("the file says [1, 3, 4, 4]",
          [](auto& m) { tensor(m, 3).shape[2] = 4; });
  refused("settings are missing", [](auto& m) {
    m.subgraphs[0]->operators[0]->builtin_options.Reset();
  });
  refused("operator 5 is COS, which is not supported; supported are ABS, ADD",
          [](auto& m) {
            m.operator_codes[5]->builtin_code = Op::COS;
            m.operator_codes[5]->deprecated_builtin_code = 108;
          });
  refused("CUSTOM 'mine'", [](auto& m) {
    m.operator_codes[5]->builtin_code = Op::CUSTOM;
    m.operator_codes[5]->deprecated_builtin_code = 32;
    m.operator_codes[5]->custom_code = "mine";
  });
}

TEST(ImportTflite, RefusesWhatIsNoModel) {
  const std::vector<std::byte> file = small_int8_model();
  EXPECT_NE(failure(import_tflite(std::span(file).first(10))).find("10 bytes"),
            std::string::npos);
  EXPECT_NE(failure(import_tflite(std::span(file).first(file.size() / 2)))
                .find("damaged or truncated"),
            std::string::npos);
  std::vector<std::byte> other(64, std::byte{7});
  EXPECT_NE(failure(import_tflite(other)).find("TFL3"), std::string::npos);
  EXPECT_FALSE(import_tflite(std::string("/no/such/file.tflite")).ok());
}

// A model of one float operator on x, y already declared by the caller.
template <class Options>
Result<TfliteModel> one_op(TestModel& m, Op code, std::vector<int32_t> inputs,
                           std::vector<int32_t> outputs, Options options,
                           ImportOptions how = {}) {
  m.op(code, inputs, outputs, std::move(options));
  std::vector<int32_t> open;
  for (const int32_t i : inputs)
    if (i >= 0 && m.tensor(i).buffer == 0) open.push_back(i);
  auto owner =
      std::make_shared<const std::vector<std::byte>>(m.build(open, outputs));
  Result<TfliteModel> model = import_tflite(*owner, how);
  if (model.ok()) model->graph.keep_alive(owner);
  return model;
}

TEST(ImportTflite, StridedSliceMasksBecomeBeginStridesSize) {
  TestModel m;
  const int x = m.add_f32("x", {4, 5, 6, 7});
  const int begin = m.add_ints("begin", {1, 0, 9, 2});
  const int end = m.add_ints("end", {-1, 0, 9, 3});
  const int stride = m.add_ints("stride", {2, 1, 1, -1});
  // Entry 1 is an ellipsis over two axes, entry 2 a new axis, entry 3 shrinks.
  const int y = m.add_f32("y", {1, 5, 6, 1});
  tfl::StridedSliceOptionsT options;
  options.ellipsis_mask = 2;
  options.new_axis_mask = 4;
  options.shrink_axis_mask = 8;
  const auto model =
      one_op(m, Op::STRIDED_SLICE, {x, begin, end, stride}, {y}, options);
  ASSERT_TRUE(model.ok()) << failure(model);
  const Node& slice = model->graph.node(0);
  EXPECT_EQ(slice.op, &ops::kStridedSlice);
  using Ints = std::vector<int64_t>;
  EXPECT_EQ(slice.attrs.get_ints("begin"), (Ints{1, 0, 0, 2}));
  EXPECT_EQ(slice.attrs.get_ints("strides"), (Ints{2, 1, 1, 1}));
  EXPECT_EQ(slice.attrs.get_ints("size"), (Ints{1, 5, 6, 1}));
  EXPECT_EQ(model->graph.node(1).op, &ops::kReshape);
}

TEST(ImportTflite, NegativeStrideRunsBackwards) {
  TestModel m;
  const int x = m.add_f32("x", {6});
  const int begin = m.add_ints("begin", {-2});
  const int end = m.add_ints("end", {0});
  const int stride = m.add_ints("stride", {-2});
  const int y = m.add_f32("y", {3});
  tfl::StridedSliceOptionsT options;
  options.end_mask = 1;
  const auto model =
      one_op(m, Op::STRIDED_SLICE, {x, begin, end, stride}, {y}, options);
  ASSERT_TRUE(model.ok()) << failure(model);
  EXPECT_EQ(model->graph.node(0).attrs.get_ints("begin"),
            std::vector<int64_t>{4});
  EXPECT_EQ(model->graph.node(0).attrs.get_ints("size"),
            std::vector<int64_t>{3});
}

TEST(ImportTflite, ReshapeOfDimensionsTakesTheShapeFromTheFile) {
  TestModel m;
  const int x = m.add_f32("x", {2, 3, 4});
  const int dims = m.add("dims", tfl::TensorType::INT32, {3});
  const int zero = m.add_ints("zero", {0});
  const int one = m.add_ints("one", {1});
  const int rows = m.add("rows", tfl::TensorType::INT32, {});
  const int twelve = m.add_ints("twelve", {12}, true);
  const int packed = m.add("packed", tfl::TensorType::INT32, {2});
  const int y = m.add_f32("y", {2, 12});
  m.op(Op::SHAPE, {x}, {dims}, tfl::ShapeOptionsT{});
  tfl::StridedSliceOptionsT slice;
  slice.shrink_axis_mask = 1;
  m.op(Op::STRIDED_SLICE, {dims, zero, one, one}, {rows}, slice);
  m.op(Op::PACK, {rows, twelve}, {packed}, tfl::PackOptionsT{});
  m.op(Op::RESHAPE, {x, packed}, {y}, tfl::ReshapeOptionsT{});
  const std::vector<std::byte> file = m.build({x}, {y});
  const auto model = import_tflite(file, {.batch = 5});
  ASSERT_TRUE(model.ok()) << failure(model);
  ASSERT_EQ(model->graph.num_nodes(), 1);
  EXPECT_EQ(model->graph.value(model->graph.outputs[0]).type.shape,
            (Shape{5, 12}));
}

TEST(ImportTflite, ConcatOfOtherQuantizersRequantizes) {
  TestModel m;
  const int a = m.add_s8("a", {1, 3}, 0.1f, 0);
  const int b = m.add_s8("b", {1, 2}, 0.2f, 4);
  const int y = m.add_s8("y", {1, 5}, 0.2f, 4);
  tfl::ConcatenationOptionsT options;
  options.axis = -1;
  const auto model = one_op(m, Op::CONCATENATION, {a, b}, {y}, options);
  ASSERT_TRUE(model.ok()) << failure(model);
  const Graph& g = model->graph;
  ASSERT_EQ(g.num_nodes(), 2);
  EXPECT_EQ(g.node(0).op, &ops::kQuantize);
  EXPECT_EQ(g.value(g.node(0).outputs[0]).type.quant,
            QuantParams::per_tensor(0.2f, 4));
  EXPECT_EQ(g.node(1).inputs[1], g.inputs[1]);
}

TEST(ImportTflite, HalfFloatWeightsAreFolded) {
  TestModel m;
  const int x = m.add_f32("x", {1, 2});
  // 1, -2, 0.5, 2^-24 (the smallest subnormal), 65504 and 0.333252.
  const uint16_t half[] = {0x3c00, 0xc000, 0x3800, 0x0001, 0x7bff, 0x3555};
  std::vector<uint8_t> bytes(sizeof half);
  std::memcpy(bytes.data(), half, sizeof half);
  const int stored = m.add("w16", tfl::TensorType::FLOAT16, {3, 2}, {}, bytes);
  const int w = m.add_f32("w", {3, 2});
  const int y = m.add_f32("y", {1, 3});
  m.op(Op::DEQUANTIZE, {stored}, {w}, tfl::DequantizeOptionsT{});
  m.op(Op::FULLY_CONNECTED, {x, w, -1}, {y}, tfl::FullyConnectedOptionsT{});
  const std::vector<std::byte> file = m.build({x}, {y});
  const auto model = import_tflite(file);
  ASSERT_TRUE(model.ok()) << failure(model);
  ASSERT_EQ(model->graph.num_nodes(), 1);
  const Node& node = model->graph.node(0);
  EXPECT_EQ(node.inputs[2], kNone);
  const auto values = data_of<float>(model->graph.value(node.inputs[1]));
  const float want[] = {1, -2, 0.5f, 0x1p-24f, 65504, 0.33325195f};
  ASSERT_EQ(values.size(), 6u);
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(values[i], want[i]);
}

TEST(ImportTflite, Int4WeightsAreUnpacked) {
  TestModel m;
  const int x = m.add_s8("x", {1, 3});
  const int w = m.add("w", tfl::TensorType::INT4, {1, 3},
                      QuantParams::per_tensor(0.1f, 0), {0x8f, 0x07});
  const int y = m.add_s8("y", {1, 1});
  const auto model = one_op(m, Op::FULLY_CONNECTED, {x, w}, {y},
                            tfl::FullyConnectedOptionsT{});
  ASSERT_TRUE(model.ok()) << failure(model);
  const auto values =
      data_of<int8_t>(model->graph.value(model->graph.node(0).inputs[1]));
  ASSERT_EQ(values.size(), 3u);
  EXPECT_EQ(values[0], -1);
  EXPECT_EQ(values[1], -8);
  EXPECT_EQ(values[2], 7);
}

TEST(ImportTflite, HostileCountsAreRefusedQuickly) {
  // Tensors that share one table cost the file 4 bytes each.
  flatbuffers::FlatBufferBuilder b;
  const auto tensor = tfl::CreateTensorDirect(b, nullptr);
  const std::vector<flatbuffers::Offset<tfl::Tensor>> tensors(100000, tensor);
  const std::vector<int32_t> io = {0};
  const auto op = tfl::CreateOperatorDirect(b, 0, &io, &io);
  const std::vector<flatbuffers::Offset<tfl::Operator>> operators = {op};
  const auto graph =
      tfl::CreateSubGraphDirect(b, &tensors, &io, &io, &operators);
  const std::vector<flatbuffers::Offset<tfl::SubGraph>> graphs = {graph};
  const std::vector<flatbuffers::Offset<tfl::OperatorCode>> codes = {
      tfl::CreateOperatorCodeDirect(b, 101, nullptr, 1, Op::ABS)};
  const std::vector<flatbuffers::Offset<tfl::Buffer>> buffers = {
      tfl::CreateBufferDirect(b)};
  tfl::FinishModelBuffer(
      b, tfl::CreateModelDirect(b, 3, &codes, &graphs, nullptr, &buffers));
  const Result<TfliteModel> result = import_tflite(
      std::as_bytes(std::span(b.GetBufferPointer(), b.GetSize())));
  EXPECT_NE(failure(result).find("damaged"), std::string::npos)
      << failure(result);
}

// Thousands of tensors that share one long list of scales must not be read
// thousands of times.
TEST(ImportTflite, AliasedScalesAreRefused) {
  constexpr int kScales = 20000;
  flatbuffers::FlatBufferBuilder b;
  const std::vector<float> scale(kScales, 0.5f);
  const std::vector<int32_t> shape = {kScales};
  const std::vector<uint8_t> data(kScales, 1);
  const auto quant =
      tfl::CreateQuantizationParametersDirect(b, nullptr, nullptr, &scale);
  const auto tensor =
      tfl::CreateTensorDirect(b, &shape, tfl::TensorType::INT8, 1, "w", quant);
  const std::vector<flatbuffers::Offset<tfl::Tensor>> tensors(2000, tensor);
  const std::vector<int32_t> io = {0};
  const std::vector<flatbuffers::Offset<tfl::Operator>> operators = {
      tfl::CreateOperatorDirect(b, 0, &io, &io)};
  const std::vector<flatbuffers::Offset<tfl::SubGraph>> graphs = {
      tfl::CreateSubGraphDirect(b, &tensors, &io, &io, &operators)};
  const std::vector<flatbuffers::Offset<tfl::OperatorCode>> codes = {
      tfl::CreateOperatorCodeDirect(b, 101, nullptr, 1, Op::ABS)};
  const std::vector<flatbuffers::Offset<tfl::Buffer>> buffers = {
      tfl::CreateBufferDirect(b), tfl::CreateBufferDirect(b, &data)};
  tfl::FinishModelBuffer(
      b, tfl::CreateModelDirect(b, 3, &codes, &graphs, nullptr, &buffers));
  const Result<TfliteModel> result = import_tflite(
      std::as_bytes(std::span(b.GetBufferPointer(), b.GetSize())));
  EXPECT_NE(failure(result).find("overlap"), std::string::npos)
      << failure(result);
}

class RealModels : public ::testing::TestWithParam<std::string> {};

TEST_P(RealModels, Import) {
  const std::string path = real_models() + "/" + GetParam();
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << "real models are absent: no file " << path;
  for (const ImportOptions& options :
       {ImportOptions{}, ImportOptions{.batch = 16},
        ImportOptions{.dequantize = true},
        ImportOptions{.dequantize = true, .batch = 3}}) {
    const Result<TfliteModel> model = import_tflite(path, options);
    ASSERT_TRUE(model.ok()) << failure(model);
    const Graph& g = model->graph;
    const int64_t batch = std::max(options.batch, 1);
    EXPECT_EQ(g.value(g.inputs[0]).type.shape[0], batch);
    EXPECT_EQ(g.value(g.outputs[0]).type.shape[0], batch);
    const auto names = op_names(g);
    EXPECT_EQ(std::set(names.begin(), names.end()).size(), names.size());
    for (NodeId n = 0; n < g.num_nodes(); ++n)
      EXPECT_NE(model->operator_of(n), kNone);
  }
}

INSTANTIATE_TEST_SUITE_P(
    MlPerfTiny, RealModels,
    ::testing::Values("ad01_fp32.tflite", "ad01_int8.tflite",
                      "kws_ref_model.tflite", "kws_ref_model_float32.tflite",
                      "pretrainedResnet.tflite",
                      "pretrainedResnet_quant.tflite", "vww_96_float.tflite",
                      "vww_96_int8.tflite"),
    [](const auto& info) {
      return info.param.substr(0, info.param.find('.'));
    });

TEST(RealModels, LayerNamesAreThoseOfKeras) {
  const std::string path = real_models() + "/kws_ref_model.tflite";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << "real models are absent: no file " << path;
  const Result<TfliteModel> model = import_tflite(path);
  ASSERT_TRUE(model.ok()) << failure(model);
  EXPECT_EQ(
      op_names(model->graph),
      (std::vector<std::string>{
          "conv2d", "depthwise_conv2d", "conv2d_1", "depthwise_conv2d_1",
          "conv2d_2", "depthwise_conv2d_2", "conv2d_3", "depthwise_conv2d_3",
          "conv2d_4", "average_pooling2d", "flatten", "dense", "softmax"}));
}

// float activations, int8 convolution weights: those become float32.
TEST(RealModels, HybridWeightsBecomeFloat) {
  const std::string path = real_models() + "/kws_ref_model_float32.tflite";
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << "real models are absent: no file " << path;
  const Result<TfliteModel> model = import_tflite(path);
  ASSERT_TRUE(model.ok()) << failure(model);
  for (ValueId id = 0; id < model->graph.num_values(); ++id)
    EXPECT_EQ(model->graph.value(id).type.dtype, DType::kF32);
}

}  // namespace
}  // namespace ft
