#include "formats/llama2c/llama2c.h"

#include <fmt/format.h>

#include <cstring>
#include <map>

namespace ft {
namespace {

constexpr int kHeaderInts = 7;
constexpr size_t kHeaderBytes = kHeaderInts * sizeof(int32_t);
constexpr uint32_t kMagicOfLaterFormats = 0x616b3432;  // "ak42"

// A tensor of one layer: where the first layer's lies is known from the order.
struct LayerTensor {
  const char* name;
  int64_t rows, columns;  // columns 0: a vector
  int64_t size() const { return columns == 0 ? rows : rows * columns; }
};

std::vector<LayerTensor> layer_tensors(const DecoderConfig& c) {
  const int64_t kv = c.num_kv_heads * c.head_dim;
  return {{"input_layernorm", c.hidden_size, 0},
          {"self_attn.q_proj", c.hidden_size, c.hidden_size},
          {"self_attn.k_proj", kv, c.hidden_size},
          {"self_attn.v_proj", kv, c.hidden_size},
          {"self_attn.o_proj", c.hidden_size, c.hidden_size},
          {"post_attention_layernorm", c.hidden_size, 0},
          {"mlp.gate_proj", c.intermediate_size, c.hidden_size},
          {"mlp.down_proj", c.hidden_size, c.intermediate_size},
          {"mlp.up_proj", c.intermediate_size, c.hidden_size}};
}

int64_t layer_floats(const DecoderConfig& c) {
  int64_t floats = 0;
  for (const LayerTensor& t : layer_tensors(c)) floats += t.size();
  return floats;
}

int64_t head_floats(const DecoderConfig& c) {
  return c.vocab_size * c.hidden_size;
}

// All floats behind the header; the two tables have seq_len * head_dim.
int64_t total_floats(const DecoderConfig& c) {
  return head_floats(c) * (c.tied_head ? 1 : 2) +
         c.num_layers * layer_floats(c) + c.hidden_size +
         c.max_seq_len * c.head_dim;
}

// Where each weight begins, in floats behind the header. The sizes must be
// those of a file that is there, for there is an entry for each weight.
std::map<std::string, int64_t> offsets_of(const DecoderConfig& c) {
  std::map<std::string, int64_t> offsets;
  int64_t floats = head_floats(c);
  offsets["model.embed_tokens.weight"] = 0;
  for (const LayerTensor& t : layer_tensors(c))
    for (int64_t i = 0; i < c.num_layers; ++i) {
      offsets[fmt::format("model.layers.{}.{}.weight", i, t.name)] = floats;
      floats += t.size();
    }
  offsets["model.norm.weight"] = floats;
  offsets["lm_head.weight"] = total_floats(c) - head_floats(c);
  return offsets;
}

// So that no product of sizes leaves int64, and no loop is long.
Status check_header(std::span<const int32_t> header) {
  constexpr const char* kNames[] = {"dim",     "hidden_dim", "n_layers",
                                    "n_heads", "n_kv_heads", "vocab_size",
                                    "seq_len"};
  constexpr int32_t kMost[] = {1 << 20, 1 << 22, 1 << 12, 1 << 16,
                               1 << 16, 1 << 24, 1 << 24};
  for (size_t i = 0; i < header.size(); ++i) {
    const int64_t value =
        i == 5 && header[i] < 0 ? -int64_t{header[i]} : header[i];
    if (value < 1 || value > kMost[i])
      return invalid_input(fmt::format(
          "not a llama2.c checkpoint: {} is {}, must lie between 1 and {}",
          kNames[i], value, kMost[i]));
  }
  if (header[0] % header[3] == 0 && header[3] % header[4] == 0)
    return ok_status();
  return invalid_input(fmt::format(
      "not a llama2.c checkpoint: {} heads and {} key heads do not divide "
      "dim {}",
      header[3], header[4], header[0]));
}

}  // namespace

Result<Llama2cFile> parse_llama2c(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes)
    return invalid_input(fmt::format(
        "not a llama2.c checkpoint: {} bytes are fewer than its header's {}",
        bytes.size(), kHeaderBytes));
  int32_t h[kHeaderInts];
  std::memcpy(h, bytes.data(), kHeaderBytes);
  if (static_cast<uint32_t>(h[0]) == kMagicOfLaterFormats)
    return invalid_input(fmt::format(
        "a llama2.c checkpoint of version {}; only the first format, float32 "
        "without a version, is supported",
        h[1]));
  FT_TRY_STATUS(check_header(h));
  Llama2cFile file{.config = {}, .bytes = bytes};
  DecoderConfig& c = file.config;
  c.hidden_size = h[0];
  c.intermediate_size = h[1];
  c.num_layers = h[2];
  c.num_heads = h[3];
  c.num_kv_heads = h[4];
  c.head_dim = c.hidden_size / c.num_heads;
  c.tied_head = h[5] > 0;
  c.vocab_size = h[5] > 0 ? h[5] : -int64_t{h[5]};
  c.max_seq_len = h[6];
  c.rope_half = false;
  const size_t want =
      kHeaderBytes + static_cast<size_t>(total_floats(c)) * sizeof(float);
  if (bytes.size() != want)
    return invalid_input(fmt::format(
        "a llama2.c checkpoint of these sizes has {} bytes, the file has {}",
        want, bytes.size()));
  return file;
}

Result<Graph> import_llama2c(const Llama2cFile& file,
                             const SequenceShape& shape) {
  const std::map<std::string, int64_t> offsets = offsets_of(file.config);
  const auto weight = [&](Graph& graph, const std::string& name,
                          const Shape& wanted) -> Result<ValueId> {
    const auto at = offsets.find(name);
    if (at == offsets.end())
      return internal_error("llama2.c checkpoints have no " + name);
    const auto offset = static_cast<size_t>(at->second) * sizeof(float);
    const auto size =
        static_cast<size_t>(wanted.num_elements()) * sizeof(float);
    return graph.add_constant(
        name, {.dtype = DType::kF32, .shape = wanted, .quant = {}},
        file.bytes.subspan(kHeaderBytes + offset, size));
  };
  return build_decoder(file.config, shape, weight);
}

}  // namespace ft
