#include "formats/transformer/decoder.h"

#include <fmt/format.h>

#include <algorithm>

#include "formats/transformer/layers.h"
#include "ops/all_ops.h"

namespace ft {
namespace {

struct Decoder {
  const DecoderConfig& c;
  TransformerLayers& t;
  int64_t seq_len;

  Result<ValueId> norm(const std::string& name, ValueId x) {
    FT_TRY(const ValueId gamma, t.weight(name + ".weight", {c.hidden_size}));
    return t.append(ops::kLayerNorm, name, {x, gamma},
                    {{"eps", c.rms_norm_eps}, {"center", 0}});
  }

  Result<ValueId> rope(const std::string& name, ValueId x) {
    return t.append(ops::kRope, name, {x},
                    {{"head_dim", c.head_dim},
                     {"seq_len", seq_len},
                     {"theta", c.rope_theta},
                     {"half", int64_t{c.rope_half}}});
  }

  Result<ValueId> attention(const std::string& name, ValueId x) {
    const int64_t q_dim = c.num_heads * c.head_dim;
    const int64_t kv_dim = c.num_kv_heads * c.head_dim;
    const bool bias = c.attention_bias;
    FT_TRY(ValueId q, t.linear(name + ".q_proj", x, q_dim, bias));
    FT_TRY(ValueId k, t.linear(name + ".k_proj", x, kv_dim, bias));
    FT_TRY(const ValueId v, t.linear(name + ".v_proj", x, kv_dim, bias));
    FT_TRY(q, rope(name + ".q_rope", q));
    FT_TRY(k, rope(name + ".k_rope", k));
    FT_TRY(const ValueId y, t.attention(name, {q, k, v},
                                        {{"heads", c.num_heads},
                                         {"kv_heads", c.num_kv_heads},
                                         {"causal", 1}}));
    return t.linear(name + ".o_proj", y, c.hidden_size, bias);
  }

  Result<ValueId> mlp(const std::string& name, ValueId x) {
    const int64_t hidden = c.intermediate_size;
    FT_TRY(const ValueId gate,
           t.linear(name + ".gate_proj", x, hidden, c.mlp_bias));
    FT_TRY(const ValueId up,
           t.linear(name + ".up_proj", x, hidden, c.mlp_bias));
    FT_TRY(const ValueId silu,
           t.append(ops::kUnary, name + ".act_fn", {gate}, {{"kind", "silu"}}));
    FT_TRY(const ValueId gated, t.append(ops::kBinary, name + ".gated",
                                         {silu, up}, {{"kind", "mul"}}));
    return t.linear(name + ".down_proj", gated, c.hidden_size, c.mlp_bias);
  }

  Result<ValueId> layer(const std::string& name, ValueId x) {
    FT_TRY(const ValueId before, norm(name + ".input_layernorm", x));
    FT_TRY(const ValueId attended, attention(name + ".self_attn", before));
    FT_TRY(const ValueId middle, t.add(name + ".attn_residual", x, attended));
    FT_TRY(const ValueId normed,
           norm(name + ".post_attention_layernorm", middle));
    FT_TRY(const ValueId out, mlp(name + ".mlp", normed));
    return t.add(name + ".mlp_residual", middle, out);
  }

  Status run() {
    FT_TRY(const ValueId table, t.weight("model.embed_tokens.weight",
                                         {c.vocab_size, c.hidden_size}));
    FT_TRY(ValueId x, t.append(ops::kGather, "model.embed_tokens",
                               {table, t.input_ids()}));
    FT_TRY(x, t.rows("model.embed_tokens.rows", x));
    for (int64_t i = 0; i < c.num_layers; ++i) {
      FT_TRY(x, layer(fmt::format("model.layers.{}", i), x));
    }
    FT_TRY(x, norm("model.norm", x));
    if (c.tied_head) {
      FT_TRY(x, t.append(ops::kFullyConnected, "lm_head", {x, table}));
    } else {
      FT_TRY(x, t.linear("lm_head", x, c.vocab_size, false));
    }
    t.graph().outputs = {x};
    return ok_status();
  }
};

Status check_config(const DecoderConfig& c) {
  FT_TRY_STATUS(
      check_transformer_sizes({{"vocabulary size", c.vocab_size},
                               {"hidden size", c.hidden_size},
                               {"intermediate size", c.intermediate_size},
                               {"number of layers", c.num_layers},
                               {"number of heads", c.num_heads},
                               {"number of key heads", c.num_kv_heads},
                               {"head dimension", c.head_dim},
                               {"longest sequence", c.max_seq_len}}));
  if (c.num_heads % c.num_kv_heads != 0 || c.head_dim % 2 != 0)
    return invalid_input(fmt::format(
        "{} query heads of dimension {} do not go with {} key heads",
        c.num_heads, c.head_dim, c.num_kv_heads));
  return ok_status();
}

}  // namespace

Result<Graph> build_decoder(const DecoderConfig& config,
                            const SequenceShape& shape,
                            const WeightSource& weight) {
  FT_TRY_STATUS(check_config(config));
  FT_TRY(const int seq_len, resolve_seq_len(shape, config.max_seq_len));
  TransformerLayers layers(shape.batch, seq_len, weight);
  FT_TRY_STATUS((Decoder{config, layers, seq_len}.run()));
  return layers.take_graph();
}

}  // namespace ft
