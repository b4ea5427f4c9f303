#include "exchange/adapterhub.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "methods/method.h"

namespace ft {
namespace {

using Json = nlohmann::json;

constexpr const char* kLayer = "base_model.model.bert.encoder.layer.";

AdapterEntry entry(const std::string& name, Shape shape) {
  return {name, shape,
          std::vector<float>(static_cast<size_t>(shape.num_elements()), 0.5f)};
}

void add_module(const std::string& module, Adapter& adapter) {
  adapter.tensors.push_back(entry(module + ".adapter_down.0.weight", {2, 8}));
  adapter.tensors.push_back(entry(module + ".adapter_down.0.bias", {2}));
  adapter.tensors.push_back(entry(module + ".adapter_up.weight", {8, 2}));
  adapter.tensors.push_back(entry(module + ".adapter_up.bias", {8}));
}

Adapter example(const char* variant = "pfeiffer") {
  MethodSettings s;
  s.method = "bottleneck";
  s.own = {{"variant", variant}, {"reduction_factor", "4"}};
  Adapter adapter{.metadata = to_metadata(s), .tensors = {}};
  adapter.metadata["base_sha256"] = "abc";
  adapter.metadata["num_layers"] = "3";
  for (const char* layer : {"0", "2"})
    add_module(std::string(kLayer) + layer + ".output.dense", adapter);
  return adapter;
}

AdapterHubFiles files_of(const Adapter& adapter) {
  return to_adapterhub(adapter, "mine", "base").value();
}

// The example as the library would have written it, with one more setting.
Result<Adapter> read_with(const std::string& key, const Json& value,
                          bool inside = true) {
  const AdapterHubFiles files = files_of(example());
  Json file = Json::parse(files.config);
  (inside ? file["config"] : file)[key] = value;
  return from_adapterhub(file.dump(), files.tensors, files.head, "test");
}

TEST(AdapterHub, WritesItsWords) {
  const Json file = Json::parse(files_of(example()).config);
  EXPECT_EQ(file["name"], "mine");
  EXPECT_EQ(file["model_type"], "bert");
  EXPECT_EQ(file["hidden_size"], 8);
  const Json& config = file["config"];
  EXPECT_EQ(config["mh_adapter"], false);
  EXPECT_EQ(config["output_adapter"], true);
  EXPECT_EQ(config["original_ln_before"], true);
  EXPECT_EQ(config["leave_out"], Json({1}));
  EXPECT_TRUE(config["scaling"].is_number_float());
}

TEST(AdapterHub, RoundTripsSettingsAndTensors) {
  for (const char* variant : {"pfeiffer", "houlsby", "parallel_block"}) {
    const Adapter adapter = example(variant);
    const AdapterHubFiles files = files_of(adapter);
    const auto back =
        from_adapterhub(files.config, files.tensors, files.head, "test");
    ASSERT_TRUE(back.ok()) << back.status().message();
    const MethodSettings s = settings_from_metadata(back->metadata).value();
    EXPECT_EQ(s.own.at("variant"), variant);
    EXPECT_EQ(s.own.at("reduction_factor"), "4");
    ASSERT_EQ(back->tensors.size(), adapter.tensors.size());
    for (const AdapterEntry& t : adapter.tensors)
      EXPECT_EQ(std::ranges::count(back->tensors, t.name, &AdapterEntry::name),
                1)
          << t.name;
    EXPECT_EQ(s.target_modules.size(), 2u);
  }
}

TEST(AdapterHub, HasAHeadOfItsOwn) {
  Adapter adapter = example();
  adapter.tensors.push_back(
      entry("base_model.model.classifier.weight", {3, 8}));
  adapter.tensors.push_back(entry("base_model.model.classifier.bias", {3}));
  adapter.metadata["classes"] = R"(["a","b","c"])";
  const AdapterHubFiles files = files_of(adapter);
  EXPECT_EQ(Json::parse(files.head_config)["label2id"]["b"], 1);
  const auto back =
      from_adapterhub(files.config, files.tensors, files.head, "test");
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(back->get("num_classes"), "3");
  EXPECT_EQ(back->tensors.size(), adapter.tensors.size());
}

TEST(AdapterHub, IsToldFromPeftByItsKeys) {
  EXPECT_TRUE(is_adapterhub(files_of(example()).config));
  EXPECT_FALSE(is_adapterhub(R"({"peft_type": "LORA"})"));
  EXPECT_FALSE(is_adapterhub("[]"));
  EXPECT_FALSE(is_adapterhub("{"));
}

TEST(AdapterHub, ReadsWhatChangesNothing) {
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{
           {"dropout", 0.1},
           {"init_weights", "bert"},
           {"phm_dim", 4},
           {"invertible_adapter", nullptr},
           {"reduction_factor", {{"default", 4}, {"1", 4}}},
           {"non_linearity", "ReLU"}}) {
    const auto back = read_with(key, value);
    EXPECT_TRUE(back.ok()) << back.status().message();
  }
}

TEST(AdapterHub, RefusesWhatItCannotHonour) {
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{
           {"phm_layer", true},
           {"use_gating", true},
           {"ln_before", true},
           {"ln_after", true},
           {"original_ln_after", false},
           {"original_ln_after", nullptr},
           {"residual_before_ln", false},
           {"residual_before_ln", "post_add"},
           {"inv_adapter", "nice"},
           {"cross_adapter", true},
           {"scaling", "learned"},
           {"scaling", "channel"},
           {"non_linearity", "mish"},
           {"non_linearity", 3},
           {"reduction_factor", {{"default", 4}, {"1", 2}}},
           {"reduction_factor", "4"},
           {"reduction_factor", 0},
           {"leave_out", "1"},
           {"mh_adapter", "no"},
           {"architecture", "prefix_tuning"},
           {"something_new", 1}}) {
    const auto back = read_with(key, value);
    ASSERT_FALSE(back.ok()) << key;
    EXPECT_EQ(back.status().code(), Code::kInvalidInput);
    EXPECT_NE(back.status().message().find(key), std::string::npos)
        << back.status().message();
  }
  for (const auto& [key, value] : std::vector<std::pair<std::string, Json>>{
           {"model_type", "gpt2"}, {"name", 3}, {"config", "pfeiffer"}}) {
    const auto back = read_with(key, value, false);
    ASSERT_FALSE(back.ok()) << key;
    EXPECT_NE(back.status().message().find(key), std::string::npos);
  }
}

TEST(AdapterHub, RefusesTensorsThatContradictTheSettings) {
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, Json>>{{"reduction_factor", 2},
                                                 {"mh_adapter", true},
                                                 {"output_adapter", false},
                                                 {"leave_out", {0}}}) {
    EXPECT_FALSE(read_with(key, value).ok()) << key;
  }
  EXPECT_FALSE(read_with("hidden_size", 16, false).ok());
  EXPECT_FALSE(read_with("name", "other", false).ok());
  const AdapterHubFiles files = files_of(example());
  for (size_t i = 0; i < 8; ++i) {
    Adapter bare = decode_foreign_adapter(files.tensors, "test").value();
    const std::string name = bare.tensors[i].name;
    bare.tensors.erase(bare.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    const auto back =
        from_adapterhub(files.config, encode_adapter(bare).value(), {}, "test");
    ASSERT_FALSE(back.ok()) << name;
    EXPECT_NE(back.status().message().find(name), std::string::npos);
  }
}

// Whatever stands there, there is an adapter or a sentence.
TEST(AdapterHub, TakesAnyValueOfAnyKey) {
  const AdapterHubFiles files = files_of(example());
  const Json file = Json::parse(files.config);
  const std::vector<Json> values = {nullptr,
                                    true,
                                    0,
                                    -1,
                                    UINT64_MAX,
                                    1e300,
                                    "",
                                    "x",
                                    "1",
                                    -0.5,
                                    1e-9,
                                    Json::array(),
                                    Json::object(),
                                    Json::array({Json::array()}),
                                    Json::array({UINT64_MAX, -1}),
                                    {{"a", 1}, {"b", Json::array()}},
                                    {{"default", nullptr}}};
  for (const bool inside : {true, false})
    for (const auto& [key, old] : (inside ? file["config"] : file).items())
      for (const Json& value : values) {
        const auto back = read_with(key, value, inside);
        EXPECT_TRUE(back.ok() || !back.status().message().empty());
      }
}

TEST(AdapterHub, SaysWhatItHasNoPlaceFor) {
  const auto refused = [](const Adapter& adapter, const char* word) {
    const auto files = to_adapterhub(adapter, "mine", "");
    ASSERT_FALSE(files.ok()) << word;
    EXPECT_NE(files.status().message().find(word), std::string::npos)
        << files.status().message();
  };
  refused(example("parallel"), "parallel_block");
  Adapter other = example();
  other.metadata["method"] = "lora";
  refused(other, "lora");
  other = example();
  add_module("base_model.model.bert.encoder.layer.0.intermediate.dense", other);
  refused(other, "intermediate");
  other = example();
  add_module(std::string(kLayer) + "0.attention.output.dense", other);
  refused(other, "layer 2");
  other = example();
  other.metadata.erase("num_layers");
  refused(other, "num_layers");
  EXPECT_FALSE(to_adapterhub(example(), "a.b", "").ok());
  EXPECT_FALSE(to_adapterhub(example(), "", "").ok());
}

}  // namespace
}  // namespace ft
