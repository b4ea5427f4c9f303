#include "exchange/peft.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "methods/method.h"

namespace ft {
namespace {

using Json = nlohmann::json;

constexpr const char* kPrefix = "base_model.model.";

Adapter example() {
  MethodSettings s;
  s.r = 4;
  s.lora_alpha = 8;
  s.rank_pattern = {{"fc.1", 2}};
  s.alpha_pattern = {{"fc.1", 16}};
  s.num_classes = 3;
  Adapter adapter{.metadata = to_metadata(s), .tensors = {}};
  adapter.metadata["base_sha256"] = "abc";
  const auto add = [&](const std::string& name, Shape shape) {
    adapter.tensors.push_back(
        {kPrefix + name, shape,
         std::vector<float>(static_cast<size_t>(shape.num_elements()), 0.5f)});
  };
  add("conv.lora_A.weight", {4, 2, 3, 3});
  add("conv.lora_B.weight", {5, 4, 1, 1});
  add("fc.1.lora_A.weight", {2, 6});
  add("fc.1.lora_B.weight", {7, 2});
  add("head.weight", {3, 7});
  add("head.bias", {3});
  return adapter;
}

// The example as PEFT would have written it, with one more setting.
Result<Adapter> read_with(const std::string& key, const Json& value) {
  const Adapter adapter = example();
  const PeftFiles files = to_peft(adapter, "base").value();
  Json config = Json::parse(files.config);
  config[key] = value;
  Adapter bare = adapter;
  bare.metadata = {{"format", "pt"}};
  return from_peft(config.dump(), encode_adapter(bare).value(), "test");
}

TEST(Peft, ConfigHasPeftsWords) {
  const Json config = Json::parse(to_peft(example(), "base").value().config);
  EXPECT_EQ(config["peft_type"], "LORA");
  EXPECT_EQ(config["r"], 4);
  EXPECT_EQ(config["lora_alpha"], 8.0);
  EXPECT_EQ(config["base_model_name_or_path"], "base");
  EXPECT_EQ(config["target_modules"], Json({"conv", "fc.1"}));
  EXPECT_EQ(config["modules_to_save"], Json({"head"}));
  EXPECT_EQ(config["rank_pattern"], Json({{"fc\\.1", 2}}));
  EXPECT_EQ(config["alpha_pattern"], Json({{"fc\\.1", 16.0}}));
}

TEST(Peft, RoundTripsSettingsAndTensors) {
  const auto back = read_with("lora_dropout", 0.1);
  ASSERT_TRUE(back.ok()) << back.status().message();
  const MethodSettings s = settings_from_metadata(back->metadata).value();
  EXPECT_EQ(s.method, "lora");
  EXPECT_EQ(s.target_modules, (std::vector<std::string>{"conv", "fc.1"}));
  EXPECT_EQ(s.rank_of("conv"), 4);
  EXPECT_EQ(s.rank_of("fc.1"), 2);
  EXPECT_EQ(s.alpha_of("fc.1"), 16);
  EXPECT_EQ(s.num_classes, 3);
  ASSERT_EQ(back->tensors.size(), example().tensors.size());
  EXPECT_EQ(back->get("base_sha256"), "");
}

TEST(Peft, PatternsAreRegularExpressionsForTheEndOfAName) {
  const auto back = read_with("alpha_pattern", {{"c[a-z]nv", 32}});
  ASSERT_TRUE(back.ok()) << back.status().message();
  const MethodSettings s = settings_from_metadata(back->metadata).value();
  EXPECT_EQ(s.alpha_of("conv"), 32);
  EXPECT_EQ(s.alpha_of("fc.1"), 8);
}

TEST(Peft, WhatCannotBeHonouredIsRefusedByName) {
  const std::pair<const char*, Json> cases[] = {
      {"lora_bias", true},
      {"bias", "some"},
      {"fan_in_fan_out", true},
      {"layer_replication", Json::array({Json::array({0, 4})})},
      {"use_newest_trick", 0.5}};
  for (const auto& [key, value] : cases) {
    const auto back = read_with(key, value);
    ASSERT_FALSE(back.ok()) << key;
    EXPECT_EQ(back.status().code(), Code::kInvalidInput);
    EXPECT_NE(back.status().message().find(key), std::string::npos)
        << back.status().message();
  }
}

TEST(Peft, UnknownTypesAreRefusedWithTheListOfKnownOnes) {
  const auto back = read_with("peft_type", "POLY");
  ASSERT_FALSE(back.ok());
  EXPECT_NE(back.status().message().find("'POLY'"), std::string::npos);
  EXPECT_NE(back.status().message().find("LORA"), std::string::npos);
}

TEST(Peft, MalformedFilesAreRefused) {
  const PeftFiles files = to_peft(example(), "").value();
  EXPECT_FALSE(from_peft("[1]", files.tensors, "test").ok());
  EXPECT_FALSE(from_peft("{", files.tensors, "test").ok());
  EXPECT_FALSE(from_peft(files.config, {}, "test").ok());
  EXPECT_FALSE(read_with("r", "four").ok());
  EXPECT_FALSE(read_with("alpha_pattern", {{"(", 3}}).ok());
  EXPECT_FALSE(read_with("alpha_pattern", {{"conv", "x"}}).ok());
}

// An adapter of a method with these tensors, as PEFT would have written it.
Result<Adapter> exchanged(
    const MethodSettings& s,
    const std::vector<std::pair<std::string, Shape>>& tensors,
    const Json& change = Json::object()) {
  Adapter adapter{.metadata = to_metadata(s), .tensors = {}};
  for (const auto& [name, shape] : tensors)
    adapter.tensors.push_back(
        {name, shape,
         std::vector<float>(static_cast<size_t>(shape.num_elements()), 0.5f)});
  const PeftFiles files = to_peft(adapter, "base").value();
  Json config = Json::parse(files.config);
  config.update(change);
  adapter.metadata = {{"format", "pt"}};
  return from_peft(config.dump(), encode_adapter(adapter).value(), "test");
}

MethodSettings of_method(const char* method, int r) {
  MethodSettings s;
  s.method = method;
  s.r = r;
  s.lora_alpha = 2.0 * r;
  return s;
}

TEST(Peft, VariantsOfLoraKeepTheirSettings) {
  MethodSettings s = of_method("lora", 2);
  s.own = {{"use_qalora", "true"},
           {"qalora_group_size", "4"},
           {"use_rslora", "true"}};
  const auto back =
      exchanged(s, {{"base_model.model.fc.lora_A.weight", {2, 3}},
                    {"base_model.model.fc.lora_B.weight", {5, 2}}});
  ASSERT_TRUE(back.ok()) << back.status().message();
  const auto settings = settings_from_metadata(back->metadata).value();
  for (const auto& [name, text] : s.own)
    EXPECT_EQ(settings.own.at(name), text) << name;
}

TEST(Peft, Ia3KnowsItsInputsByNameAndShape) {
  MethodSettings s = of_method("ia3", 0);
  s.own["feedforward_modules"] = "fc2";
  const std::vector<std::pair<std::string, Shape>> tensors = {
      {"base_model.model.fc1.ia3_l", {7, 1}},
      {"base_model.model.fc2.ia3_l", {1, 7}}};
  const auto back = exchanged(s, tensors);
  ASSERT_TRUE(back.ok()) << back.status().message();
  const auto settings = settings_from_metadata(back->metadata).value();
  EXPECT_EQ(settings.own.at("feedforward_modules"), "fc2");
  const auto by_pattern =
      exchanged(s, tensors, {{"feedforward_modules", ".*2"}});
  ASSERT_TRUE(by_pattern.ok()) << by_pattern.status().message();
  const auto wrong = exchanged(s, tensors, {{"feedforward_modules", {"fc1"}}});
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(wrong.status().message().find("fc1.ia3_l"), std::string::npos);
  EXPECT_FALSE(exchanged(s, tensors, {{"feedforward_modules", "("}}).ok());
  EXPECT_FALSE(exchanged(s, tensors, {{"feedforward_modules", {3}}}).ok());
}

TEST(Peft, VeraNeedsTheSharedMatrices) {
  std::vector<std::pair<std::string, Shape>> tensors = {
      {"base_model.model.fc.vera_lambda_b", {5}},
      {"base_model.model.fc.vera_lambda_d", {2}},
      {"base_model.vera_A", {2, 6}},
      {"base_model.vera_B", {5, 2}}};
  const auto back = exchanged(of_method("vera", 2), tensors);
  ASSERT_TRUE(back.ok()) << back.status().message();
  const auto settings = settings_from_metadata(back->metadata).value();
  EXPECT_EQ(settings.r, 2);
  EXPECT_EQ(settings.lora_alpha, 4);
  tensors.pop_back();
  const auto lacking = exchanged(of_method("vera", 2), tensors);
  ASSERT_FALSE(lacking.ok());
  EXPECT_NE(lacking.status().message().find("vera_B"), std::string::npos);
}

TEST(Peft, AdaloraTellsWhichRanksAreLeft) {
  const auto back = exchanged(of_method("adalora", 3),
                              {{"base_model.model.fc.1.lora_A", {2, 6}},
                               {"base_model.model.fc.1.lora_B", {5, 2}},
                               {"base_model.model.fc.1.lora_E", {2, 1}},
                               {"base_model.model.conv.lora_A", {3, 6}},
                               {"base_model.model.conv.lora_B", {5, 3}},
                               {"base_model.model.conv.lora_E", {3, 1}}});
  ASSERT_TRUE(back.ok()) << back.status().message();
  const auto settings = settings_from_metadata(back->metadata).value();
  EXPECT_EQ(settings.rank_of("conv"), 3);
  EXPECT_EQ(settings.rank_of("fc.1"), 2);
}

TEST(Peft, AMethodThatPeftDoesNotHaveIsNotExported) {
  Adapter adapter = example();
  adapter.metadata["method"] = "full";
  EXPECT_EQ(to_peft(adapter, "").status().code(), Code::kUsage);
}

Adapter with_tensors(const char* method,
                     std::vector<std::pair<std::string, Shape>> tensors) {
  MethodSettings settings;
  settings.method = method;
  Adapter adapter{.metadata = to_metadata(settings), .tensors = {}};
  for (auto& [name, shape] : tensors)
    adapter.tensors.push_back(
        {name, shape,
         std::vector<float>(static_cast<size_t>(shape.num_elements()), 0.5f)});
  return adapter;
}

Adapter prompts() {
  Adapter adapter = with_tensors(
      "prompt", {{"prompt_embeddings", {4, 6}},
                 {std::string(kPrefix) + "classifier.weight", {3, 6}},
                 {std::string(kPrefix) + "classifier.bias", {3}}});
  adapter.metadata["base_sha256"] = "abc";
  adapter.metadata["task_type"] = "SEQ_CLS";
  adapter.metadata["token_dim"] = "6";
  adapter.metadata["num_layers"] = "2";
  adapter.metadata["num_attention_heads"] = "3";
  return adapter;
}

Result<Adapter> read_back(Adapter adapter, const std::string& config) {
  adapter.metadata = {{"format", "pt"}};
  return from_peft(config, encode_adapter(adapter).value(), "test");
}

TEST(PeftPrompts, TellTheModelsSizesAndKeepTheHead) {
  const PeftFiles files = to_peft(prompts(), "base").value();
  const Json config = Json::parse(files.config);
  EXPECT_EQ(config["peft_type"], "PROMPT_TUNING");
  EXPECT_EQ(config["num_virtual_tokens"], 4);
  EXPECT_EQ(config["token_dim"], 6);
  EXPECT_EQ(config["modules_to_save"], Json({"classifier"}));
  const auto back = from_peft(files.config, files.tensors, "test");
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(back->get("num_virtual_tokens"), "4");
  EXPECT_EQ(back->get("num_classes"), "3");
  EXPECT_EQ(back->tensors.back().name.rfind(kPrefix, 0), 0u);
}

TEST(PeftPrompts, RefuseWhatIsMissingOrMisnamed) {
  Adapter silent = prompts();
  silent.metadata.erase("num_layers");
  EXPECT_NE(to_peft(silent, "").status().message().find("num_layers"),
            std::string::npos);
  Adapter odd = prompts();
  odd.tensors[1].name = "x";
  EXPECT_NE(to_peft(odd, "").status().message().find("'x'"), std::string::npos);
  const std::string config = R"({"peft_type": "PREFIX_TUNING"})";
  EXPECT_FALSE(read_back(odd, config).ok());
  EXPECT_FALSE(
      read_back(with_tensors("prompt", {{"prompt_embeddings", {4}}}), config)
          .ok());
}

Adapter lora_and_biases() {
  const std::string fc = std::string(kPrefix) + "fc";
  return with_tensors(
      "lora", {{fc + ".base_layer.bias", {3}},
               {fc + ".lora_A.weight", {1, 2}},
               {fc + ".lora_B.weight", {3, 1}},
               {std::string(kPrefix) + "norm.bias", {2}},
               {std::string(kPrefix) + "head.weight", {4, 2}},
               {std::string(kPrefix) + "head.bias", {4}},
               {std::string(kPrefix) + "head.modules_to_save.bias", {4}},
               {std::string(kPrefix) + "head.original_module.bias", {4}}});
}

std::set<std::string> names(const Adapter& adapter) {
  std::set<std::string> all;
  for (const AdapterEntry& t : adapter.tensors)
    all.insert(t.name.substr(std::string_view(kPrefix).size()));
  return all;
}

TEST(PeftBiases, StandBesideAnUpdate) {
  const std::string config =
      R"({"peft_type": "LORA", "r": 1, "bias": "all", "use_rslora": true,
          "modules_to_save": ["head"]})";
  const auto back = read_back(lora_and_biases(), config);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(back->get("method"), "lora");
  EXPECT_EQ(back->get("bias"), "all");
  EXPECT_EQ(back->get("num_classes"), "4");
  EXPECT_EQ(names(*back), (std::set<std::string>{
                              "fc.bias", "fc.lora_A.weight", "fc.lora_B.weight",
                              "norm.bias", "head.weight", "head.bias"}));
  const PeftFiles files = to_peft(*back, "").value();
  const Json written = Json::parse(files.config);
  EXPECT_EQ(written["bias"], "all");
  EXPECT_EQ(written["modules_to_save"], Json({"head"}));
  EXPECT_EQ(written["target_modules"], Json({"fc"}));
  const Adapter theirs = decode_foreign_adapter(files.tensors, "test").value();
  EXPECT_TRUE(names(theirs).contains("fc.base_layer.bias"));
  EXPECT_TRUE(names(theirs).contains("norm.bias"));
}

TEST(PeftBiases, WithoutAnUpdateAreBitfit) {
  const std::string config = R"({"peft_type": "LORA", "bias": "all"})";
  const std::string fc = std::string(kPrefix) + "fc";
  const auto back = read_back(
      with_tensors("bitfit", {{fc + ".base_layer.bias", {3}}}), config);
  ASSERT_TRUE(back.ok()) << back.status().message();
  EXPECT_EQ(names(*back), std::set<std::string>{"fc.bias"});
  EXPECT_EQ(back->get("method"), "bitfit");
}

TEST(PeftBiases, OfAnUnknownKindAreRefusedByName) {
  for (const char* config :
       {R"({"peft_type": "LORA", "r": 1, "bias": "some"})",
        R"({"peft_type": "VERA", "r": 1, "bias": "vera_only"})"}) {
    const Status status = read_back(lora_and_biases(), config).status();
    EXPECT_NE(status.message().find("bias"), std::string::npos) << config;
    EXPECT_EQ(status.code(), Code::kInvalidInput);
  }
}

TEST(PeftBiases, RefuseNamesThatAreNotPefts) {
  const std::string config = R"({"peft_type": "LORA", "bias": "all"})";
  for (const char* name : {".weight", "x", "base_model.model.weight",
                           "base_model.model.base_layer.bias"}) {
    const Adapter adapter = with_tensors("bitfit", {{name, {3}}});
    EXPECT_FALSE(read_back(adapter, config).ok()) << name;
    EXPECT_FALSE(to_peft(adapter, "").ok()) << name;
  }
}

}  // namespace
}  // namespace ft
