#include "formats/huggingface/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace ft {
namespace {

using nlohmann::json;

// Keys that do not change what a frozen model computes from token ids.
constexpr std::string_view kIgnored[] = {"_name_or_path",
                                         "architectures",
                                         "attention_dropout",
                                         "attention_probs_dropout_prob",
                                         "bos_token_id",
                                         "chunk_size_feed_forward",
                                         "classifier_dropout",
                                         "directionality",
                                         "dtype",
                                         "eos_token_id",
                                         "gradient_checkpointing",
                                         "hidden_dropout_prob",
                                         "id2label",
                                         "initializer_range",
                                         "label2id",
                                         "model_type",
                                         "output_attentions",
                                         "output_hidden_states",
                                         "pooler_fc_size",
                                         "pooler_num_attention_heads",
                                         "pooler_num_fc_layers",
                                         "pooler_size_per_head",
                                         "pooler_type",
                                         "return_dict",
                                         "sep_token_id",
                                         "cls_token_id",
                                         "mask_token_id",
                                         "task_specific_params",
                                         "tokenizer_class",
                                         "torch_dtype",
                                         "torchscript",
                                         "transformers_version",
                                         "use_cache"};

// Reads keys of one JSON object; finish() refuses those that nobody read. The
// first failure is kept, so that callers read on and ask once.
class Keys {
 public:
  Keys(const json& object, std::string name)
      : object_(object), name_(std::move(name)) {}

  int64_t integer(const char* key, int64_t fallback) {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number_integer() || !value->is_number() ||
        (value->is_number_unsigned() && value->get<uint64_t>() > INT32_MAX))
      return fail(key, *value), fallback;
    return value->get<int64_t>();
  }
  int64_t required(const char* key) {
    if (find(key) == nullptr && status_.ok())
      status_ = invalid_input(fmt::format("{} has no '{}'", name_, key));
    return integer(key, 0);
  }
  double real(const char* key, double fallback) {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_number()) return fail(key, *value), fallback;
    return value->get<double>();
  }
  bool flag(const char* key, bool fallback) {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_boolean()) return fail(key, *value), fallback;
    return value->get<bool>();
  }
  std::string word(const char* key, const char* fallback) {
    const json* value = find(key);
    if (value == nullptr) return fallback;
    if (!value->is_string()) return fail(key, *value), fallback;
    return value->get<std::string>();
  }
  // Refuses any other value than `only`; absent and null are fine.
  void must_be(const char* key, const json& only) {
    const json* value = find(key);
    if (value != nullptr && *value != only) fail(key, *value);
  }
  void refuse(const char* key) {
    if (const json* value = find(key)) fail(key, *value);
  }
  // nullptr where the key is absent or null.
  const json* find(const char* key) {
    read_.insert(key);
    const auto at = object_.find(key);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }
  Status finish() {
    for (const auto& [key, value] : object_.items())
      if (!read_.contains(key) && !value.is_null() &&
          std::ranges::find(kIgnored, key) == std::end(kIgnored))
        fail(key, value);
    return status_;
  }

 private:
  void fail(const std::string& key, const json& value) {
    if (!status_.ok()) return;
    std::string shown =
        value.dump(-1, ' ', true, json::error_handler_t::replace);
    if (shown.size() > 60) shown = shown.substr(0, 57) + "...";
    status_ = invalid_input(
        fmt::format("{}: '{}' = {} is not supported", name_, key, shown));
  }

  const json& object_;
  const std::string name_;
  std::set<std::string> read_;
  Status status_;
};

// Newer files hold rope_parameters, older ones rope_theta and rope_scaling.
Status read_rope(Keys& keys, DecoderConfig& c) {
  c.rope_theta = keys.real("rope_theta", c.rope_theta);
  keys.refuse("rope_scaling");
  const json* rope = keys.find("rope_parameters");
  if (rope == nullptr) return ok_status();
  if (!rope->is_object())
    return invalid_input("config.json: 'rope_parameters' is no object");
  Keys inner(*rope, "config.json: rope_parameters");
  c.rope_theta = inner.real("rope_theta", c.rope_theta);
  inner.must_be("rope_type", "default");
  inner.must_be("partial_rotary_factor", 1.0);
  return inner.finish();
}

Result<HuggingFaceConfig> read_llama(const json& object) {
  Keys keys(object, "config.json");
  DecoderConfig c;
  c.vocab_size = keys.required("vocab_size");
  c.hidden_size = keys.required("hidden_size");
  c.intermediate_size = keys.required("intermediate_size");
  c.num_layers = keys.required("num_hidden_layers");
  c.num_heads = keys.required("num_attention_heads");
  c.num_kv_heads = keys.integer("num_key_value_heads", c.num_heads);
  c.head_dim = keys.integer("head_dim",
                            c.hidden_size / std::max<int64_t>(c.num_heads, 1));
  c.max_seq_len = keys.integer("max_position_embeddings", 2048);
  c.rms_norm_eps = keys.real("rms_norm_eps", 1e-6);
  c.attention_bias = keys.flag("attention_bias", false);
  c.mlp_bias = keys.flag("mlp_bias", false);
  c.tied_head = keys.flag("tie_word_embeddings", false);
  keys.must_be("hidden_act", "silu");
  keys.must_be("pretraining_tp", 1);
  keys.must_be("partial_rotary_factor", 1.0);
  keys.find("pad_token_id");  // causal: padding behind changes nothing before
  FT_TRY_STATUS(read_rope(keys, c));
  FT_TRY_STATUS(keys.finish());
  return HuggingFaceConfig(c);
}

Result<std::string> gelu_of(const std::string& act) {
  if (act == "gelu") return std::string("gelu");
  if (act == "gelu_new" || act == "gelu_pytorch_tanh" || act == "gelu_fast")
    return std::string("gelu_tanh");
  if (act == "relu") return std::string("relu");
  return invalid_input(
      fmt::format("config.json: 'hidden_act' = \"{}\" is not supported", act));
}

int64_t number_of_labels(Keys& keys, const json& object) {
  const auto at = object.find("id2label");
  const bool named = at != object.end() && at->is_object();
  return keys.integer("num_labels",
                      named ? static_cast<int64_t>(at->size()) : 2);
}

Result<HuggingFaceConfig> read_bert(const json& object, EncoderTask task) {
  Keys keys(object, "config.json");
  EncoderConfig c;
  c.task = task;
  c.vocab_size = keys.required("vocab_size");
  c.hidden_size = keys.required("hidden_size");
  c.intermediate_size = keys.required("intermediate_size");
  c.num_layers = keys.required("num_hidden_layers");
  c.num_heads = keys.required("num_attention_heads");
  c.max_seq_len = keys.integer("max_position_embeddings", 512);
  c.type_vocab_size = keys.integer("type_vocab_size", 2);
  c.layer_norm_eps = keys.real("layer_norm_eps", 1e-12);
  c.pad_token_id = keys.integer("pad_token_id", 0);
  c.num_labels = number_of_labels(keys, object);
  FT_TRY(c.act, gelu_of(keys.word("hidden_act", "gelu")));
  keys.must_be("position_embedding_type", "absolute");
  keys.must_be("is_decoder", false);
  keys.must_be("add_cross_attention", false);
  keys.must_be("problem_type", "single_label_classification");
  if (task == EncoderTask::kMaskedLm)
    keys.must_be("tie_word_embeddings", true);
  else
    keys.find("tie_word_embeddings");
  FT_TRY_STATUS(keys.finish());
  return HuggingFaceConfig(c);
}

// The one architecture of the file.
Result<std::string> architecture_of(const json& object) {
  const auto list = object.find("architectures");
  if (list == object.end() || !list->is_array() || list->size() != 1 ||
      !(*list)[0].is_string())
    return invalid_input(
        "config.json: 'architectures' does not name one architecture");
  return (*list)[0].get<std::string>();
}

}  // namespace

Result<HuggingFaceConfig> parse_huggingface_config(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object())
    return invalid_input("config.json is not a JSON object");
  FT_TRY(const std::string name, architecture_of(object));
  if (name == "LlamaForCausalLM") return read_llama(object);
  if (name == "BertModel") return read_bert(object, EncoderTask::kHidden);
  if (name == "BertForSequenceClassification")
    return read_bert(object, EncoderTask::kClassification);
  if (name == "BertForMaskedLM")
    return read_bert(object, EncoderTask::kMaskedLm);
  return invalid_input(fmt::format(
      "the architecture '{}' is not supported; there are: LlamaForCausalLM, "
      "BertModel, BertForSequenceClassification, BertForMaskedLM",
      name.substr(0, 60)));
}

Result<std::vector<std::string>> parse_shard_index(std::string_view text) {
  const json object = json::parse(text, nullptr, false);
  const auto map =
      object.is_object() ? object.find("weight_map") : object.end();
  if (!object.is_object() || map == object.end() || !map->is_object())
    return invalid_input("the index of shards has no 'weight_map'");
  std::set<std::string> files;
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string())
      return invalid_input("the index of shards names no file for a tensor");
    const auto shard = file.get<std::string>();
    if (shard.empty() || shard.find('/') != std::string::npos ||
        shard.find('\0') != std::string::npos || shard == "." || shard == "..")
      return invalid_input(
          "the index of shards names a file outside of its folder");
    files.insert(shard);
  }
  return std::vector<std::string>(files.begin(), files.end());
}

}  // namespace ft
