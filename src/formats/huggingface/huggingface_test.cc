// Folders of Hugging Face: what configs and tensors become, and that nothing is
// ignored in silence. Values are compared with transformers in
// tests/python/test_huggingface.py.
#include "formats/huggingface/huggingface.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace ft {
namespace {

// Without its last brace, so that keys can be added.
const std::string kLlama = R"({"architectures": ["LlamaForCausalLM"],
 "vocab_size": 11, "hidden_size": 8, "intermediate_size": 6,
 "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
 "max_position_embeddings": 9, "tie_word_embeddings": true)";
const std::string kBert =
    R"({"architectures": ["BertForSequenceClassification"],
 "vocab_size": 11, "hidden_size": 8, "intermediate_size": 6,
 "num_hidden_layers": 1, "num_attention_heads": 2, "id2label": {"0": "a",
 "1": "b", "2": "c"})";

Result<HuggingFaceConfig> parse(const std::string& head,
                                const std::string& keys = "") {
  return parse_huggingface_config(head + keys + "}");
}

TEST(HuggingFaceConfig, ReadsWhatItHonours) {
  const auto llama = parse(kLlama, R"(, "rope_theta": 500000.0,
    "rms_norm_eps": 1e-05, "attention_bias": true, "rope_scaling": null)");
  ASSERT_TRUE(llama.ok()) << llama.status().message();
  const auto& c = std::get<DecoderConfig>(*llama);
  EXPECT_EQ(c.rope_theta, 500000);
  EXPECT_EQ(c.rms_norm_eps, 1e-5);
  EXPECT_EQ(c.head_dim, 4);
  EXPECT_EQ(c.num_kv_heads, 1);
  EXPECT_TRUE(c.attention_bias && c.tied_head && c.rope_half && !c.mlp_bias);
  const auto newer =
      parse(kLlama, R"(, "rope_parameters": {"rope_theta": 7.5, "rope_type":
      "default"})");
  ASSERT_TRUE(newer.ok()) << newer.status().message();
  EXPECT_EQ(std::get<DecoderConfig>(*newer).rope_theta, 7.5);
  const auto bert = parse(kBert);
  ASSERT_TRUE(bert.ok()) << bert.status().message();
  EXPECT_EQ(std::get<EncoderConfig>(*bert).num_labels, 3);
}

TEST(HuggingFaceConfig, RefusesByNameWhatItCannotHonour) {
  struct Bad {
    std::string keys, word;
  };
  for (const auto& [keys, word] : {
           Bad{R"(, "rope_scaling": {"type": "linear", "factor": 2.0})",
               "rope_scaling"},
           Bad{R"(, "rope_parameters": {"rope_type": "llama3"})", "rope_type"},
           Bad{R"(, "rope_parameters": {"factor": 8})", "factor"},
           Bad{R"(, "hidden_act": "gelu")", "hidden_act"},
           Bad{R"(, "pretraining_tp": 2)", "pretraining_tp"},
           Bad{R"(, "quantization_config": {"bits": 4})",
               "quantization_config"},
           Bad{R"(, "sliding_window": 4096)", "sliding_window"},
           Bad{R"(, "rms_norm_eps": "tiny")", "rms_norm_eps"},
           Bad{R"(, "head_dim": 4.5)", "head_dim"},
           Bad{R"(, "attention_bias": 1)", "attention_bias"},
       }) {
    const auto config = parse(kLlama, keys);
    ASSERT_FALSE(config.ok()) << keys;
    EXPECT_EQ(config.status().code(), Code::kInvalidInput);
    EXPECT_NE(config.status().message().find(word), std::string::npos)
        << config.status().message();
  }
  for (const std::string keys :
       {R"(, "position_embedding_type": "relative_key")",
        R"(, "is_decoder": true)", R"(, "problem_type": "regression")",
        R"(, "hidden_act": "mish")"})
    EXPECT_FALSE(parse(kBert, keys).ok()) << keys;
}

TEST(HuggingFaceConfig, RefusesMalformedText) {
  const std::string whole = kLlama + "}";
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(parse_huggingface_config(whole.substr(0, n)).ok()) << n;
  for (const char* text : {"[]", "null", "{}", R"({"architectures": "x"})",
                           R"({"architectures": ["GPT2LMHeadModel"]})",
                           R"({"architectures": ["LlamaForCausalLM"]})"})
    EXPECT_FALSE(parse_huggingface_config(text).ok()) << text;
}

TEST(HuggingFaceConfig, ShardsStayInTheirFolder) {
  const auto files = parse_shard_index(
      R"({"weight_map": {"a": "x.safetensors", "b": "x.safetensors"}})");
  ASSERT_TRUE(files.ok());
  EXPECT_EQ(*files, std::vector<std::string>{"x.safetensors"});
  for (const char* bad :
       {"{}", R"({"weight_map": {"a": "../x"}})",
        R"({"weight_map": {"a": ""}})", R"({"weight_map": {"a": 1}})",
        R"({"weight_map": 1})"})
    EXPECT_FALSE(parse_shard_index(bad).ok()) << bad;
}

// Tensors of kLlama, each element 0.5 in the given dtype.
struct Tensors {
  std::vector<std::vector<std::byte>> data;
  Safetensors file;

  void add(const std::string& name, std::vector<int64_t> shape,
           DType dtype = DType::kF32) {
    size_t n = 1;
    for (const int64_t d : shape) n *= static_cast<size_t>(d);
    auto& bytes = data.emplace_back();
    for (size_t i = 0; i < n; ++i) {
      const uint32_t pattern = dtype == DType::kF32    ? 0x3f000000
                               : dtype == DType::kBF16 ? 0x3f00
                                                       : 0x3800;
      const auto* from = reinterpret_cast<const std::byte*>(&pattern);
      bytes.insert(bytes.end(), from, from + size_of(dtype));
    }
    file.tensors.push_back(
        {.name = name, .dtype = dtype, .shape = std::move(shape), .data = {}});
  }
  std::span<const Safetensors> files() {
    for (size_t i = 0; i < data.size(); ++i) file.tensors[i].data = data[i];
    return {&file, 1};
  }
};

Tensors llama_tensors(DType dtype) {
  Tensors t;
  const std::string layer = "model.layers.0.";
  t.add("model.embed_tokens.weight", {11, 8}, dtype);
  t.add(layer + "input_layernorm.weight", {8}, dtype);
  t.add(layer + "self_attn.q_proj.weight", {8, 8}, dtype);
  t.add(layer + "self_attn.k_proj.weight", {4, 8}, dtype);
  t.add(layer + "self_attn.v_proj.weight", {4, 8}, dtype);
  t.add(layer + "self_attn.o_proj.weight", {8, 8}, dtype);
  t.add(layer + "post_attention_layernorm.weight", {8}, dtype);
  t.add(layer + "mlp.gate_proj.weight", {6, 8}, dtype);
  t.add(layer + "mlp.up_proj.weight", {6, 8}, dtype);
  t.add(layer + "mlp.down_proj.weight", {8, 6}, dtype);
  t.add("model.norm.weight", {8}, dtype);
  return t;
}

TEST(HuggingFace, WeightsAreViewsOrConverted) {
  const auto config = parse(kLlama);
  ASSERT_TRUE(config.ok());
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    Tensors t = llama_tensors(dtype);
    const auto graph = import_huggingface(*config, t.files(), {});
    ASSERT_TRUE(graph.ok()) << graph.status().message();
    const ValueId id =
        graph->find_value("model.layers.0.self_attn.k_proj.weight");
    ASSERT_NE(id, kNone);
    const Value& k = graph->value(id);
    EXPECT_EQ(data_of<float>(k)[31], 0.5f);
    EXPECT_EQ(k.data.data() == t.data[3].data(), dtype == DType::kF32);
  }
}

TEST(HuggingFace, RefusesMissingSurplusAndMisshapenTensors) {
  const auto config = parse(kLlama);
  ASSERT_TRUE(config.ok());
  const auto refusal = [&](Tensors& t) {
    const auto graph = import_huggingface(*config, t.files(), {});
    EXPECT_FALSE(graph.ok());
    return graph.status().message();
  };
  Tensors t = llama_tensors(DType::kF32);
  t.add("model.layers.0.self_attn.q_proj.bias", {8});
  EXPECT_NE(refusal(t).find("q_proj.bias"), std::string::npos);
  t = llama_tensors(DType::kF32);
  t.file.tensors[3].name = "other";
  EXPECT_NE(refusal(t).find("k_proj.weight"), std::string::npos);
  t = llama_tensors(DType::kF32);
  t.file.tensors[7].shape = {8, 6};
  EXPECT_NE(refusal(t).find("gate_proj"), std::string::npos);
  t = llama_tensors(DType::kF32);
  t.file.tensors[0].dtype = DType::kS8;
  EXPECT_NE(refusal(t).find("int8"), std::string::npos);
}

TEST(HuggingFace, RefusesFoldersWithoutModels) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::path(::testing::TempDir()) / "ft_no_model";
  fs::create_directories(folder);
  EXPECT_FALSE(open_huggingface(folder.string(), {}).ok());
  std::ofstream(folder / "config.json") << kLlama << "}";
  const auto model = open_huggingface(folder.string(), {});
  EXPECT_NE(model.status().message().find("model.safetensors"),
            std::string::npos);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace ft
