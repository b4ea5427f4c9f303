// What methods share that put trained rows in front of a token model's own: at
// its input (prompt tuning) or in front of the keys and values of every
// attention (prefix tuning).
//
// A model here reads int32[batch, seq_len] and looks its tokens up in a table;
// activations behind are [batch, len, features] or [batch * len, features].
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"
#include "methods/method.h"

namespace ft {

// The one tensor of both methods, by PEFT's name.
inline constexpr std::string_view kPromptEmbeddings = "prompt_embeddings";

// num_virtual_tokens, of both methods.
extern const SettingDef kNumVirtualTokens;

struct TokenModel {
  ValueId ids = kNone;
  ValueId table = kNone;     // [vocabulary, features]
  ValueId embedded = kNone;  // [batch, seq_len, features]
  int64_t batch = 0, seq_len = 0, features = 0;
};
// Fails where the model reads no tokens, or has virtual ones already, naming
// the method.
Result<TokenModel> token_model(const Graph& graph, std::string_view method);

// The self-attentions in order; attention i's node stands at [i].
std::vector<NodeId> attentions(const Graph& graph);

// `rows` [n, f] in front of the rows of every sample of x, [batch, len, f] or
// [batch * len, f], as new nodes at the end of the graph.
Result<ValueId> prepend_rows(Graph& graph, ValueId rows, ValueId x,
                             int64_t batch, const std::string& name);

// Every attention that looks at the ids of its keys sees n more in front, which
// are no padding.
Status prepend_key_ids(Graph& graph, const TokenModel& model, int64_t n);

// Rotary and learned positions of the model's tokens begin at n. Fails where
// the model has learned none for so many.
Status shift_positions(Graph& graph, const TokenModel& model, int64_t n);

// The value `from`, made of model.embedded, has become longer by n rows a
// sample: everything behind follows, and positions begin at the first of them.
Status lengthen(Graph& graph, const TokenModel& model, ValueId from, int64_t n);

// The answers of the n leading rows of every sample are no outputs any more,
// where the model answers every token.
Status drop_leading_answers(Graph& graph, const TokenModel& model, int64_t n);

// What PEFT's settings say of the model, for the adapter's metadata; before the
// graph is changed.
void describe_virtual_tokens(const Graph& graph, const TokenModel& model,
                             AdaptedGraph& adapted);

}  // namespace ft
