// Prompt tuning: trained embeddings of virtual tokens in front of a model's
// own. They take the first positions; their own answers are dropped.
//
// Source: Lester et al., "The Power of Scale for Parameter-Efficient Prompt
// Tuning", 2021. One tensor, `prompt_embeddings` [num_virtual_tokens,
// features], settings and initial values as PEFT has them: RANDOM normal
// values, SAMPLE_VOCAB random rows of the embedding table, TEXT the rows of a
// text's tokens, repeated. A classifier that reads the first position reads a
// virtual token's, as in PEFT.
#include <fmt/format.h>

#include <charconv>

#include "base/random.h"
#include "ir/real_values.h"
#include "methods/head.h"
#include "methods/rewrite.h"
#include "methods/virtual_tokens.h"

namespace ft {
namespace {

using Kind = SettingDef::Kind;

constexpr SettingDef kInit{
    .name = "prompt_tuning_init",
    .kind = Kind::kWord,
    .summary =
        "RANDOM values, SAMPLE_VOCAB (embeddings of random tokens) or TEXT "
        "(of the tokens of --prompt-tuning-init-text)",
    .preset = "RANDOM",
    .words = "RANDOM SAMPLE_VOCAB TEXT"};
constexpr SettingDef kInitText{
    .name = "prompt_tuning_init_text",
    .kind = Kind::kText,
    .summary = "whose tokens' embeddings the virtual tokens start from"};
constexpr SettingDef kInitTokens{
    .name = "prompt_tuning_init_tokens",
    .kind = Kind::kList,
    .summary =
        "token ids in place of a text, for models without a tokenizer, comma "
        "separated"};
constexpr const SettingDef* kSettings[] = {&kNumVirtualTokens, &kInit,
                                           &kInitText, &kInitTokens};

Result<std::vector<uint32_t>> tokens_of_text(const MethodSettings& settings,
                                             uint32_t vocabulary) {
  std::vector<uint32_t> tokens;
  for (const std::string& text : settings.list(kInitTokens)) {
    uint32_t token = 0;
    const char* end = text.data() + text.size();
    if (std::from_chars(text.data(), end, token).ptr != end ||
        token >= vocabulary)
      return usage_error(
          fmt::format("prompt_tuning_init_tokens has '{}'; the model's tokens "
                      "are 0 to {}",
                      text, vocabulary - 1));
    tokens.push_back(token);
  }
  return tokens;
}

std::vector<float> random_values(size_t count, uint64_t seed) {
  const Random random(seed, kPromptEmbeddings);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = random.normal(i);
  return values;
}

Result<std::vector<float>> initial_values(const Graph& graph,
                                          const TokenModel& model, int64_t n,
                                          const MethodSettings& settings) {
  const auto features = static_cast<size_t>(model.features);
  const auto count = static_cast<size_t>(n);
  const std::string init = settings.word(kInit);
  const auto vocabulary =
      static_cast<uint32_t>(graph.value(model.table).type.shape[0]);
  FT_TRY(std::vector<uint32_t> tokens, tokens_of_text(settings, vocabulary));
  if (init == "TEXT" && tokens.empty())
    return usage_error(
        "prompt_tuning_init TEXT needs --prompt-tuning-init-text or "
        "--prompt-tuning-init-tokens");
  if (init != "TEXT" && !tokens.empty())
    return usage_error(fmt::format(
        "tokens to start from contradict prompt_tuning_init {}", init));
  if (init == "RANDOM") return random_values(count * features, settings.seed);
  const Random random(settings.seed, kPromptEmbeddings);
  const std::vector<float> table = real_values(graph.value(model.table));
  std::vector<float> values;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t token = tokens.empty() ? random.below(i, vocabulary)
                                          : tokens[i % tokens.size()];
    const auto row = std::span(table).subspan(token * features, features);
    values.insert(values.end(), row.begin(), row.end());
  }
  return values;
}

Status apply(Graph& graph, const MethodSettings& settings,
             AdaptedGraph& adapted) {
  FT_TRY_STATUS(maybe_new_head(graph, settings, adapted));
  FT_TRY(const TokenModel model, token_model(graph, settings.method));
  const int64_t n = settings.integer(kNumVirtualTokens);
  FT_TRY(const auto values, initial_values(graph, model, n, settings));
  AdapterTensor t{.name = std::string(kPromptEmbeddings),
                  .view = {n, model.features},
                  .perm = {0, 1}};
  t.param =
      graph.add_owned(ValueKind::kParam, t.name, real_type(t.view), values);
  describe_virtual_tokens(graph, model, adapted);
  const NodeId first_new = graph.num_nodes();
  FT_TRY(const ValueId joined,
         prepend_rows(graph, t.param, model.embedded, model.batch,
                      "prompt_embeddings/joined"));
  adapted.tensors.push_back(std::move(t));
  insert_behind(graph, first_new, model.embedded, joined);
  FT_TRY_STATUS(prepend_key_ids(graph, model, n));
  FT_TRY_STATUS(lengthen(graph, model, joined, n));
  return drop_leading_answers(graph, model, n);
}

}  // namespace

extern const MethodDef kPrompt;
constinit const MethodDef kPrompt = {
    .name = "prompt",
    .summary = "trained embeddings in front of a token model's own",
    .settings = kSettings,
    .apply = apply,
    .merge = nullptr};

}  // namespace ft
