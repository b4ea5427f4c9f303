// Hostile folders: seeded mutations of the configuration and the tensors of
// each kind of folder give an adapter or a sentence. FT_SEED replays a run.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/random.h"
#include "exchange/any_adapter.h"
#include "exchange/peft.h"
#include "exchange/sample_folders.h"
#include "tests/draws.h"

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

// One value of the configuration, at any depth, becomes a hostile one.
void replace_value(Json& config, Draws& draw) {
  static const std::vector<Json> hostile = {nullptr,
                                            true,
                                            -1,
                                            0,
                                            1e300,
                                            1e-300,
                                            INT64_MIN,
                                            UINT64_MAX,
                                            "",
                                            "all",
                                            "(",
                                            "(a*)*b",
                                            "a{1,9999}",
                                            "none",
                                            Json::array(),
                                            Json::object(),
                                            Json::array({1, "x", nullptr}),
                                            {{"fc", -3}},
                                            {{"b.fc", "x"}},
                                            {{"(", 1}},
                                            std::string(3000, 'a')};
  Json* at = &config;
  while (at->is_structured() && !at->empty() &&
         (at == &config || draw.below(2) == 0)) {
    auto child = at->begin();
    std::advance(child, static_cast<std::ptrdiff_t>(draw.below(at->size())));
    at = &*child;
  }
  *at = hostile[draw.below(hostile.size())];
}

template <class Text>
void change_bytes(Text& text, Draws& draw) {
  using Byte = typename Text::value_type;
  for (size_t n = 1 + draw.below(4); n > 0 && !text.empty(); --n) {
    const size_t i = draw.below(text.size());
    const size_t what = draw.below(8);
    if (what == 0)
      text.resize(i);
    else if (what == 1)
      text.insert(text.end(), text.begin(),
                  text.begin() + static_cast<std::ptrdiff_t>(i));
    else
      text[i] = static_cast<Byte>(draw.below(256));
  }
}

TEST(MutatedFolders, GiveAnAdapterOrASentence) {
  const std::vector<SampleFolder> kinds = sample_folders();
  size_t read = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    SCOPED_TRACE(i);
    Draws draw(i);
    SampleFolder folder = kinds[i % kinds.size()];
    if (draw.below(4) != 0) {
      Json config = Json::parse(folder.config);
      replace_value(config, draw);
      folder.config = config.dump();
    } else if (draw.below(2) == 0) {
      change_bytes(folder.config, draw);
    } else {
      change_bytes(folder.tensors, draw);
    }
    read += read_and_write(folder.config, folder.tensors);
  }
  EXPECT_GT(read, 400u);  // not all are refused
}

TEST(MutatedFolders, SamplesAreWhole) {
  for (const SampleFolder& folder : sample_folders())
    EXPECT_TRUE(read_and_write(folder.config, folder.tensors)) << folder.config;
}

Status with(const char* key, const Json& value) {
  const SampleFolder lora = sample_folders()[0];
  Json config = Json::parse(lora.config);
  config[key] = value;
  return from_peft(config.dump(), lora.tensors, "it").status();
}

TEST(MutatedFolders, PatternsTakeNeitherLongNorDeep) {
  const std::string deep(4000, '('), wide = "(x+x+)+y", many = "a{1,50000}";
  for (const std::string& pattern : {deep, many}) {
    const Status status = with("alpha_pattern", {{pattern, 1}});
    EXPECT_NE(status.message().find("alpha_pattern"), std::string::npos);
  }
  EXPECT_TRUE(with("alpha_pattern", {{"(.*)*(.*)*(.*)*" + wide, 1}}).ok());
}

TEST(MutatedFolders, DeepNestingIsRefused) {
  const SampleFolder lora = sample_folders()[0];
  const std::string deep = R"({"peft_type": "LORA", "x": )" +
                           std::string(100000, '[') + std::string(100000, ']') +
                           "}";
  EXPECT_FALSE(read_and_write(deep, lora.tensors));
  const Status status = with("use_it", Json(std::string(100000, 'x')));
  EXPECT_LT(status.message().size(), 200u);
}

}  // namespace
}  // namespace ft
