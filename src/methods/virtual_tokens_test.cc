// Prompt and prefix tuning, and norm tuning, on a block of one attention.
#include "methods/virtual_tokens.h"

#include <gtest/gtest.h>

#include "methods/tiny_model.h"
#include "ops/verify.h"

namespace ft {
namespace {

constexpr int64_t kBatch = 2, kLen = 3, kVocab = 7, kWidth = 8;

// ids [2, 3] -> logits [6, 7], or of the first token [2, 5].
Graph token_block(bool every_token) {
  Graph g;
  const auto node = [&](const OpDef& op, std::vector<ValueId> inputs,
                        Attrs attrs, const char* name) {
    return append_node(g, op, std::move(inputs), std::move(attrs),
                       {.name = name})
        .value()[0];
  };
  const auto reshape = [&](ValueId x, std::vector<int64_t> dims,
                           const char* name) {
    return node(ops::kReshape, {x}, {{"shape", std::move(dims)}}, name);
  };
  const ValueId ids = g.add_input(
      "ids", {.dtype = DType::kS32, .shape = {kBatch, kLen}, .quant = {}});
  ValueId x = node(ops::kGather,
                   {tiny_weight(g, "table", {kVocab, kWidth}), ids}, {}, "emb");
  x = reshape(x, {kBatch * kLen, kWidth}, "rows");
  const ValueId y =
      node(ops::kLayerNorm, {x, tiny_weight(g, "gain", {kWidth})}, {}, "norm");
  const ValueId q =
      node(ops::kRope, {y}, {{"head_dim", 4}, {"seq_len", kLen}}, "q_rope");
  x = node(ops::kAttention, {q, y, y, ids},
           {{"heads", 2}, {"batch", kBatch}, {"causal", 1}}, "attn");
  if (!every_token) {
    x = reshape(x, {kBatch, kLen, kWidth}, "samples");
    x = node(ops::kSlice, {x},
             {{"begin", std::vector<int64_t>{0, 0, 0}},
              {"size", std::vector<int64_t>{kBatch, 1, kWidth}}},
             "first");
    x = reshape(x, {kBatch, kWidth}, "first_rows");
  }
  g.outputs = {
      node(ops::kFullyConnected,
           {x, tiny_weight(g, "head/w", {every_token ? kVocab : 5, kWidth})},
           {}, "head")};
  return g;
}

MethodSettings with_tokens(const char* method, const char* count) {
  MethodSettings s;
  s.method = method;
  s.own["num_virtual_tokens"] = count;
  return s;
}

struct Case {
  const char* method;
  bool every_token;
};

class VirtualTokens : public testing::TestWithParam<Case> {};

TEST_P(VirtualTokens, KeepTheAnswersShape) {
  Graph graph = token_block(GetParam().every_token);
  const Shape before = graph.value(graph.outputs[0]).type.shape;
  const MethodSettings s = with_tokens(GetParam().method, "4");
  AdaptedGraph adapted;
  const Status status = find_method(s.method).value()->apply(graph, s, adapted);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_TRUE(verify(graph).ok()) << verify(graph).message();
  EXPECT_EQ(graph.value(graph.outputs[0]).type.shape, before);
  ASSERT_EQ(adapted.tensors.size(), 1u);
  EXPECT_EQ(adapted.tensors[0].name, "prompt_embeddings");
  const bool prefix = s.method == "prefix";
  EXPECT_EQ(adapted.tensors[0].file_shape(),
            (Shape{4, prefix ? 2 * kWidth : kWidth}));
  EXPECT_EQ(adapted.metadata["task_type"],
            GetParam().every_token ? "CAUSAL_LM" : "SEQ_CLS");
  EXPECT_EQ(adapted.metadata["num_attention_heads"], "2");
}

INSTANTIATE_TEST_SUITE_P(
    Methods, VirtualTokens,
    testing::Values(Case{"prompt", true}, Case{"prompt", false},
                    Case{"prefix", true}, Case{"prefix", false}),
    [](const auto& info) {
      return std::string(info.param.method) +
             (info.param.every_token ? "_tokens" : "_classes");
    });

TEST(TokenMethods, NeedAModelThatReadsTokens) {
  for (const char* method : {"prompt", "prefix"}) {
    Graph graph = tiny_model(1);
    AdaptedGraph adapted;
    const Status status = find_method(method).value()->apply(
        graph, with_tokens(method, "4"), adapted);
    EXPECT_EQ(status.code(), Code::kUsage);
    EXPECT_NE(status.message().find("reads none"), std::string::npos);
  }
}

TEST(Norm, TrainsGainsUnderPeftsNames) {
  Graph graph = token_block(true);
  AdaptedGraph adapted;
  MethodSettings s;
  s.method = "norm";
  ASSERT_TRUE(find_method("norm").value()->apply(graph, s, adapted).ok());
  ASSERT_EQ(adapted.tensors.size(), 1u);
  EXPECT_EQ(adapted.tensors[0].name,
            "base_model.model.norm.ln_tuning_layers.weight");
  EXPECT_EQ(graph.value(adapted.tensors[0].param).kind, ValueKind::kParam);
}

TEST(Norm, SaysWhereNormsWent) {
  Graph graph = tiny_model(1);
  AdaptedGraph adapted;
  MethodSettings s;
  s.method = "norm";
  const Status status = find_method("norm").value()->apply(graph, s, adapted);
  EXPECT_EQ(status.code(), Code::kUsage);
  EXPECT_NE(status.message().find("folded"), std::string::npos);
}

}  // namespace
}  // namespace ft
