// LSTM: what its graph looks like. The answers are tested against LiteRT and
// PyTorch in tests/python/test_recurrent_oracle.py.
#include <gtest/gtest.h>

#include "formats/tflite/import.h"
#include "formats/tflite/test_model.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

using testing::small_lstm_model;

TEST(ImportLstm, IsOneLayerForTheInputsAndOneLoop) {
  const auto file = small_lstm_model();
  const Result<TfliteModel> model = import_tflite(file);
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Graph& g = model->graph;
  ASSERT_EQ(g.num_nodes(), 2);
  EXPECT_EQ(g.node(0).op, &ops::kFullyConnected);
  EXPECT_EQ(g.node(0).name, "lstm/input_gates");
  EXPECT_EQ(g.node(1).op, &ops::kLstm);
  EXPECT_EQ(g.node(1).name, "lstm/recurrent_gates");
  const Value& w = g.value(g.node(0).inputs[1]);
  EXPECT_EQ(w.type.to_string(), "float32[16, 2]");
  // The pattern of every gate's weights begins with -127, at its own scale.
  const auto values = data_of<float>(w);
  for (size_t gate = 0; gate < 4; ++gate)
    EXPECT_FLOAT_EQ(values[8 * gate],
                    -127 * 0.01f * static_cast<float>(gate + 1));
}

TEST(ImportLstm, RemembersWhichTensorsWereJoined) {
  const auto file = small_lstm_model();
  const Result<TfliteModel> model = import_tflite(file);
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Graph& g = model->graph;
  const auto& joined = model->joined_tensors;
  ASSERT_EQ(joined.size(), 3u);
  EXPECT_EQ(joined.at(g.node(0).inputs[1]), (std::vector<int>{1, 4, 7, 10}));
  EXPECT_EQ(joined.at(g.node(1).inputs[1]), (std::vector<int>{2, 5, 8, 11}));
  EXPECT_EQ(joined.at(g.node(0).inputs[2]), (std::vector<int>{3, 6, 9, 12}));
}

TEST(ImportLstm, TheBatchIsChangedWhereItIs) {
  const auto file = small_lstm_model();
  const Result<TfliteModel> model = import_tflite(file, {.batch = 5});
  ASSERT_TRUE(model.ok()) << model.status().message();
  const Graph& g = model->graph;
  EXPECT_EQ(g.value(g.outputs[0]).type.shape, (Shape{5, 3, 4}));
  const auto time_major = small_lstm_model(true);
  EXPECT_TRUE(import_tflite(time_major).ok());
  const auto refused = import_tflite(time_major, {.batch = 5});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("axis 0 is time"),
            std::string::npos)
      << refused.status().message();
}

}  // namespace
}  // namespace ft
