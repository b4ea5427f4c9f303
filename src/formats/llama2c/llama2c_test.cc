// Checkpoints and tokenizers of llama2.c: what they become, and that nothing
// malformed gets in. Values are compared with PyTorch in
// tests/python/test_transformers.py.
#include "formats/llama2c/llama2c.h"

#include <gtest/gtest.h>

#include <cstring>

#include "formats/llama2c/tokenizer.h"
#include "ops/op_def.h"

namespace ft {
namespace {

// dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len
using Header = std::vector<int32_t>;
const Header kSmall{8, 12, 2, 4, 2, 16, 5};

std::vector<float> checkpoint(const Header& h, size_t floats) {
  std::vector<float> file(h.size() + floats);
  std::memcpy(file.data(), h.data(), h.size() * sizeof(int32_t));
  for (size_t i = 0; i < floats; ++i)
    file[h.size() + i] = static_cast<float>(i);
  return file;
}

size_t floats_of(const Header& h) {
  const auto at = [&h](size_t i) {
    return static_cast<size_t>(std::abs(h[i]));
  };
  const size_t dim = at(0), head = dim / at(3), kv = at(4) * head;
  const size_t layer = 2 * dim + 2 * dim * dim + 2 * kv * dim + 3 * dim * at(1);
  return at(5) * dim * (h[5] < 0 ? 2 : 1) + at(2) * layer + dim + at(6) * head;
}

Result<Llama2cFile> parse(const std::vector<float>& file) {
  return parse_llama2c(std::as_bytes(std::span(file)));
}

const Value& named(const Graph& graph, std::string_view name) {
  const ValueId id = graph.find_value(name);
  EXPECT_NE(id, kNone) << name;
  return graph.value(id);
}

TEST(Llama2c, WeightsAreViewsUnderTheirHuggingFaceNames) {
  const auto file = checkpoint(kSmall, floats_of(kSmall));
  const auto parsed = parse(file);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  auto graph = import_llama2c(*parsed, {.batch = 3, .seq_len = 4});
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  const Value& q = named(*graph, "model.layers.1.self_attn.q_proj.weight");
  EXPECT_EQ(q.type.shape, (Shape{8, 8}));
  // Behind embedding, both rms_att and the first layer's wq.
  EXPECT_EQ(data_of<float>(q)[0], 16 * 8 + 2 * 8 + 64);
  EXPECT_EQ(q.data.data(), std::as_bytes(std::span(file)).data() +
                               (7 + 16 * 8 + 2 * 8 + 64) * sizeof(float));
  const Value& down = named(*graph, "model.layers.0.mlp.down_proj.weight");
  EXPECT_EQ(down.type.shape, (Shape{8, 12}));
  EXPECT_EQ(graph->value(graph->inputs[0]).type.shape, (Shape{3, 4}));
  EXPECT_EQ(graph->value(graph->outputs[0]).type.shape, (Shape{12, 16}));
}

TEST(Llama2c, ANegativeVocabularyHasAHeadOfItsOwn) {
  Header h = kSmall;
  h[5] = -16;
  const auto file = checkpoint(h, floats_of(h));
  const auto parsed = parse(file);
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  const auto graph = import_llama2c(*parsed, {});
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  const Value& head = named(*graph, "lm_head.weight");
  EXPECT_EQ(data_of<float>(head)[0], static_cast<float>(floats_of(h) - 16 * 8));
}

TEST(Llama2c, RefusesWhatIsNoCheckpoint) {
  const auto whole = checkpoint(kSmall, floats_of(kSmall));
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(
        parse({whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n)}).ok());
  auto longer = whole;
  longer.push_back(0);
  EXPECT_FALSE(parse(longer).ok());
  for (size_t i = 0; i < kSmall.size(); ++i)
    for (const int32_t v : {INT32_MIN, -1, 0, 3, 1 << 30, INT32_MAX}) {
      Header h = kSmall;
      h[i] = v;
      auto file = whole;
      std::memcpy(file.data(), h.data(), h.size() * sizeof(int32_t));
      const auto parsed = parse(file);
      EXPECT_FALSE(parsed.ok()) << i << " " << v;
    }
  auto later = whole;
  const int32_t version[] = {0x616b3432, 2};
  std::memcpy(later.data(), version, sizeof(version));
  EXPECT_NE(parse(later).status().message().find("version 2"),
            std::string::npos);
}

TEST(Llama2c, RefusesSequencesBeyondTheModels) {
  const auto file = checkpoint(kSmall, floats_of(kSmall));
  const auto parsed = parse(file);
  ASSERT_TRUE(parsed.ok());
  const auto graph = import_llama2c(*parsed, {.batch = 1, .seq_len = 6});
  EXPECT_EQ(graph.status().code(), Code::kUsage);
}

// Unknown, begin, end, the bytes, then `texts` with falling scores.
std::vector<std::byte> vocabulary(std::vector<std::string> texts) {
  std::vector<std::string> all{"<unk>", "\n<s>\n", "\n</s>\n"};
  for (int b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof(name), "<0x%02X>", static_cast<unsigned>(b));
    all.emplace_back(name);
  }
  all.insert(all.end(), texts.begin(), texts.end());
  std::vector<std::byte> file(sizeof(int32_t));
  const auto add = [&file](const void* data, size_t size) {
    const auto* from = static_cast<const std::byte*>(data);
    file.insert(file.end(), from, from + size);
  };
  for (size_t i = 0; i < all.size(); ++i) {
    const float score = i < 259 ? 0 : 259 - static_cast<float>(i);
    const auto length = static_cast<int32_t>(all[i].size());
    add(&score, sizeof(score));
    add(&length, sizeof(length));
    add(all[i].data(), all[i].size());
  }
  return file;
}

const std::vector<std::string> kTexts{"aa", " a", "aaa",     " ",
                                      "a",  "b",  "\xC3\xA9"};
constexpr int64_t kVocab = 259 + 7;

TEST(Llama2cTokenizer, MergesTheBestScoreFirstThenTheLeftmost) {
  const auto t = Llama2cTokenizer::parse(vocabulary(kTexts), kVocab);
  ASSERT_TRUE(t.ok()) << t.status().message();
  // " aaaa": "aa" is best, twice; then nothing joins " " and "aa".
  EXPECT_EQ(t->encode("aaaa"), (std::vector<int>{1, 262, 259, 259}));
  // " aaa": "aa" of the first two; then "aa" + "a".
  EXPECT_EQ(t->encode("aaa"), (std::vector<int>{1, 262, 261}));
  EXPECT_EQ(t->encode("ab"), (std::vector<int>{1, 260, 264}));
  EXPECT_EQ(t->encode(""), (std::vector<int>{1}));
}

TEST(Llama2cTokenizer, FallsBackToBytesAndDecodes) {
  const auto t = Llama2cTokenizer::parse(vocabulary(kTexts), kVocab);
  ASSERT_TRUE(t.ok());
  EXPECT_EQ(t->encode("\xC3\xA9z"), (std::vector<int>{1, 262, 265, 3 + 'z'}));
  EXPECT_EQ(t->encode("\xE2\x82"),
            (std::vector<int>{1, 262, 3 + 0xE2, 3 + 0x82}));
  for (const std::string text : {"", "aaaa b\n", "z\xC3\xA9\xE2\x82 \xFF a"})
    EXPECT_EQ(t->decode(t->encode(text)), text);
}

TEST(Llama2cTokenizer, RefusesMalformedVocabularies) {
  const auto whole = vocabulary(kTexts);
  EXPECT_FALSE(Llama2cTokenizer::parse(whole, kVocab + 1).ok());
  EXPECT_FALSE(Llama2cTokenizer::parse(whole, kVocab - 1).ok());
  EXPECT_FALSE(Llama2cTokenizer::parse(whole, 258).ok());
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(
        Llama2cTokenizer::parse(std::span(whole).first(n), kVocab).ok());
  for (const int32_t length : {-1, INT32_MIN, INT32_MAX, 5000}) {
    auto file = whole;
    std::memcpy(file.data() + 8, &length, sizeof(length));
    EXPECT_FALSE(Llama2cTokenizer::parse(file, kVocab).ok()) << length;
  }
}

}  // namespace
}  // namespace ft
