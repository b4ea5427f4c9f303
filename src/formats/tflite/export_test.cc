#include "formats/tflite/export.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "formats/tflite/import.h"
#include "formats/tflite/test_model.h"

namespace ft {
namespace {

using testing::small_int8_model;

// Tensors of small_int8_model().
enum {
  kConvWeights = 1,
  kConvBias = 2,
  kHeadWeights = 10,
  kHeadBias = 11,
  kLogits = 12,
  kProbabilities = 13
};

std::vector<std::byte> bytes(size_t n, int fill) {
  return std::vector<std::byte>(n, static_cast<std::byte>(fill));
}

std::unique_ptr<tfl::ModelT> unpack(const std::vector<std::byte>& file) {
  return std::unique_ptr<tfl::ModelT>(tfl::UnPackModel(file.data()));
}

TEST(RewriteTflite, WithoutEditsKeepsEverything) {
  const std::vector<std::byte> file = small_int8_model();
  const auto copy = rewrite_tflite(file, {});
  ASSERT_TRUE(copy.ok()) << copy.status().message();
  const auto again = rewrite_tflite(*copy, {});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*copy, *again);
  const auto model = unpack(*copy);
  ASSERT_EQ(model->signature_defs.size(), 1u);
  EXPECT_EQ(model->signature_defs[0]->signature_key, "serving_default");
  ASSERT_EQ(model->metadata.size(), 1u);
  EXPECT_EQ(model->metadata[0]->name, "min_runtime_version");
  const auto before = import_tflite(file), after = import_tflite(*copy);
  ASSERT_TRUE(before.ok() && after.ok());
  ASSERT_EQ(before->graph.num_values(), after->graph.num_values());
  for (ValueId id = 0; id < before->graph.num_values(); ++id) {
    const Value &a = before->graph.value(id), &b = after->graph.value(id);
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.type.quant, b.type.quant);
    EXPECT_TRUE(std::ranges::equal(a.data, b.data)) << a.name;
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data.data()) % 16,
              reinterpret_cast<uintptr_t>(copy->data()) % 16);
  }
}

TEST(RewriteTflite, ReplacesWeightsAndMakesThemPerChannel) {
  const std::vector<std::byte> file = small_int8_model();
  QuantParams quant{{0.5f, 0.25f, 0.125f}, {0, 0, 0}, 0};
  const auto edited =
      rewrite_tflite(file, {.tensors = {{.tensor_index = kHeadWeights,
                                         .quant = quant,
                                         .data = bytes(12, 9)}}});
  ASSERT_TRUE(edited.ok()) << edited.status().message();
  const auto model = import_tflite(*edited);
  ASSERT_TRUE(model.ok());
  const Value& w = model->graph.value(model->graph.node(4).inputs[1]);
  EXPECT_EQ(w.type.quant, quant);
  for (const int8_t v : data_of<int8_t>(w)) EXPECT_EQ(v, 9);
}

TEST(RewriteTflite, ReplacesTheHead) {
  const std::vector<std::byte> file = small_int8_model();
  const TfliteEdits edits{
      .tensors = {{.tensor_index = kHeadWeights,
                   .shape = Shape{10, 4},
                   .quant = QuantParams::per_tensor(0.1f, 0),
                   .data = bytes(40, 3)},
                  {.tensor_index = kHeadBias,
                   .shape = Shape{10},
                   .quant = QuantParams::per_tensor(0.01f, 0),
                   .data = bytes(40, 0)},
                  {.tensor_index = kLogits,
                   .shape = Shape{1, 10},
                   .quant = QuantParams::per_tensor(0.3f, -4)},
                  {.tensor_index = kProbabilities, .shape = Shape{1, 10}}}};
  const auto edited = rewrite_tflite(file, edits);
  ASSERT_TRUE(edited.ok()) << edited.status().message();
  const auto model = import_tflite(*edited, {.batch = 2});
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Graph& g = model->graph;
  EXPECT_EQ(g.value(g.outputs[0]).type.shape, (Shape{2, 10}));
  EXPECT_EQ(g.value(g.node(4).outputs[0]).type.quant,
            QuantParams::per_tensor(0.3f, -4));
}

TEST(RewriteTflite, SharedBufferIsSplit) {
  const std::vector<std::byte> file = small_int8_model();
  auto model = unpack(file);
  auto& tensors = model->subgraphs[0]->tensors;
  tensors[kConvBias]->buffer = tensors[5]->buffer;  // both int32[4]
  flatbuffers::FlatBufferBuilder b;
  tfl::FinishModelBuffer(b, tfl::Model::Pack(b, model.get()));
  const auto shared =
      std::as_bytes(std::span(b.GetBufferPointer(), b.GetSize()));
  const auto edited = rewrite_tflite(
      shared, {.tensors = {{.tensor_index = kConvBias, .data = bytes(16, 1)}}});
  ASSERT_TRUE(edited.ok()) << edited.status().message();
  const auto after = import_tflite(*edited);
  ASSERT_TRUE(after.ok());
  const Graph& g = after->graph;
  EXPECT_EQ(data_of<int32_t>(g.value(g.node(0).inputs[2]))[0], 0x01010101);
  EXPECT_EQ(data_of<int32_t>(g.value(g.node(1).inputs[2]))[0], -150);
}

TEST(RewriteTflite, RefusesImpossibleEdits) {
  const std::vector<std::byte> file = small_int8_model();
  const auto refused = [&](TensorEdit edit, const std::string& word) {
    const auto result = rewrite_tflite(file, {.tensors = {std::move(edit)}});
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.status().message().find(word), std::string::npos)
        << result.status().message();
  };
  refused({.tensor_index = 99}, "there are 14 tensors");
  refused({.tensor_index = kConvWeights, .data = bytes(71, 0)},
          "needs 72 bytes");
  refused({.tensor_index = kConvWeights, .quant = QuantParams{{1}, {}, 0}},
          "1 scales and 0 zero points");
  refused({.tensor_index = kLogits, .shape = Shape{1, 4}}, "the file says");
}

TEST(RewriteTflite, RealModelsSurvive) {
  const std::string folder =
      std::string(FT_SOURCE_DIR) + "/../shared/models/mlperf_tiny";
  if (!std::filesystem::exists(folder))
    GTEST_SKIP() << "real models are absent: no folder " << folder;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".tflite") continue;
    const auto file = MappedFile::open(entry.path().string());
    ASSERT_TRUE(file.ok());
    const auto copy = rewrite_tflite(file->bytes(), {});
    ASSERT_TRUE(copy.ok()) << copy.status().message();
    // The same content in another layout: nothing of it may be missing.
    const auto a = unpack({file->bytes().begin(), file->bytes().end()});
    const auto b = unpack(*copy);
    EXPECT_EQ(a->description, b->description);
    EXPECT_EQ(a->metadata.size(), b->metadata.size());
    ASSERT_EQ(a->buffers.size(), b->buffers.size());
    for (size_t i = 0; i < a->buffers.size(); ++i)
      EXPECT_EQ(a->buffers[i]->data, b->buffers[i]->data);
    EXPECT_EQ(copy->size() / 4096, file->bytes().size() / 4096) << entry.path();
  }
}

}  // namespace
}  // namespace ft
