#include "formats/huggingface/huggingface.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "base/file.h"
#include "base/half.h"
#include "base/hash.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

float stored_float(DType dtype, const std::byte* at) {
  uint16_t bits = 0;
  if (dtype == DType::kF32) {
    float value = 0;
    std::memcpy(&value, at, sizeof(value));
    return value;
  }
  std::memcpy(&bits, at, sizeof(bits));
  if (dtype == DType::kF16) return ft_half_to_float(bits);
  return ft_bfloat16_to_float(bits);
}

// The tensors of all files by name, and which of them have been used.
class Weights {
 public:
  static Result<Weights> collect(std::span<const Safetensors> files) {
    Weights weights;
    for (const Safetensors& file : files)
      for (const SafetensorsEntry& t : file.tensors)
        if (!weights.by_name_.emplace(t.name, &t).second)
          return invalid_input(
              fmt::format("tensor '{}' is in two files", t.name));
    return weights;
  }

  Result<ValueId> add_to(Graph& graph, const std::string& name,
                         const Shape& shape) {
    const auto at = by_name_.find(name);
    if (at == by_name_.end())
      return invalid_input(fmt::format("tensor '{}' is missing", name));
    const SafetensorsEntry& t = *at->second;
    const auto want = shape.dims();
    if (!std::ranges::equal(t.shape, want))
      return invalid_input(
          fmt::format("tensor '{}' has shape [{}], config.json makes it {}",
                      name, fmt::join(t.shape, ", "), shape.to_string()));
    if (t.dtype != DType::kF32 && t.dtype != DType::kF16 &&
        t.dtype != DType::kBF16)
      return invalid_input(
          fmt::format("tensor '{}' is {}, not float32, float16 or bfloat16",
                      name, name_of(t.dtype)));
    used_.insert(name);
    return graph.add_constant(
        name, {.dtype = DType::kF32, .shape = shape, .quant = {}},
        as_float(graph, t));
  }

  // The first tensor that nobody asked for and that `is_without_use` does not
  // excuse.
  template <class Excuse>
  Status check_all_used(const Excuse& is_without_use) const {
    for (const auto& [name, tensor] : by_name_)
      if (!used_.contains(name) && !is_without_use(name))
        return invalid_input(fmt::format(
            "tensor '{}' has no place in the model of config.json", name));
    return ok_status();
  }

 private:
  static std::span<const std::byte> as_float(Graph& graph,
                                             const SafetensorsEntry& t) {
    const auto address = reinterpret_cast<uintptr_t>(t.data.data());
    if (t.dtype == DType::kF32 && address % alignof(float) == 0) return t.data;
    const size_t size = size_of(t.dtype), n = t.data.size() / size;
    auto values = std::make_shared<std::vector<float>>(n);
    for (size_t i = 0; i < n; ++i)
      (*values)[i] = stored_float(t.dtype, t.data.data() + i * size);
    const auto bytes = std::as_bytes(std::span(std::as_const(*values)));
    graph.keep_alive(std::move(values));
    return bytes;
  }

  std::map<std::string, const SafetensorsEntry*, std::less<>> by_name_;
  std::set<std::string, std::less<>> used_;
};

// Tables that are computed here, and a tied head's copy of the embedding.
bool is_without_use(const DecoderConfig& c, std::string_view name) {
  return name.ends_with("rotary_emb.inv_freq") ||
         (c.tied_head && name == "lm_head.weight");
}

// Position numbers, and what other tasks' heads hold.
bool is_without_use(const EncoderConfig& c, std::string_view name) {
  if (name.ends_with("embeddings.position_ids")) return true;
  const bool pooler = name.find("pooler.dense.") != std::string_view::npos;
  if (pooler && c.task != EncoderTask::kClassification) return true;
  if (c.task == EncoderTask::kMaskedLm)
    return name.starts_with("cls.seq_relationship.") ||
           name.starts_with("cls.predictions.decoder.");
  return false;
}

Result<Graph> build(const DecoderConfig& c, const SequenceShape& shape,
                    const WeightSource& weight) {
  return build_decoder(c, shape, weight);
}
Result<Graph> build(const EncoderConfig& c, const SequenceShape& shape,
                    const WeightSource& weight) {
  return build_encoder(c, shape, weight);
}

const char* kind_of(const HuggingFaceConfig& config) {
  return std::holds_alternative<DecoderConfig>(config)
             ? "Hugging Face folder, Llama"
             : "Hugging Face folder, BERT";
}

}  // namespace

Result<std::vector<std::string>> huggingface_weight_files(
    const std::string& path) {
  const fs::path folder(path);
  std::error_code ignored;
  const char* const single = "model.safetensors";
  if (fs::exists(folder / single, ignored))
    return std::vector<std::string>{single};
  const fs::path index = folder / "model.safetensors.index.json";
  if (!fs::exists(index, ignored))
    return invalid_input(
        fmt::format("there is neither model.safetensors nor {}",
                    index.filename().string()));
  FT_TRY(const std::string text, read_text_file(index.string()));
  return parse_shard_index(text);
}

Result<Graph> import_huggingface(const HuggingFaceConfig& config,
                                 std::span<const Safetensors> files,
                                 const SequenceShape& shape) {
  FT_TRY(Weights weights, Weights::collect(files));
  const WeightSource source = [&](Graph& graph, const std::string& name,
                                  const Shape& wanted) {
    return weights.add_to(graph, name, wanted);
  };
  return std::visit(
      [&](const auto& c) -> Result<Graph> {
        FT_TRY(Graph graph, build(c, shape, source));
        FT_TRY_STATUS(weights.check_all_used(
            [&c](std::string_view name) { return is_without_use(c, name); }));
        return graph;
      },
      config);
}

Result<HuggingFaceModel> open_huggingface(const std::string& folder,
                                          const SequenceShape& shape) {
  const fs::path path(folder);
  FT_TRY(const std::string text,
         read_text_file((path / "config.json").string()));
  FT_TRY(const HuggingFaceConfig config, parse_huggingface_config(text));
  FT_TRY(const auto names, huggingface_weight_files(folder));
  HuggingFaceModel model;
  std::string sums =
      "config.json " + sha256_hex(std::as_bytes(std::span(text))) + "\n";
  std::vector<Safetensors> files;
  std::vector<std::shared_ptr<const MappedFile>> owners;
  for (const std::string& name : names) {
    FT_TRY(MappedFile mapped, MappedFile::open((path / name).string()));
    owners.push_back(std::make_shared<const MappedFile>(std::move(mapped)));
    auto file = parse_safetensors(owners.back()->bytes());
    if (!file.ok()) return Status(file.status()).in(name);
    files.push_back(std::move(file).value());
    sums += name + " " + sha256_hex(owners.back()->bytes()) + "\n";
    model.file_bytes += owners.back()->bytes().size();
  }
  FT_TRY(model.graph, import_huggingface(config, files, shape));
  for (auto& owner : owners) model.graph.keep_alive(std::move(owner));
  model.sha256 = sha256_hex(std::as_bytes(std::span(sums)));
  model.description = kind_of(config);
  return model;
}

}  // namespace ft
