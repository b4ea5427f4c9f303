#include "train/base_model.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "base/hash.h"
#include "formats/huggingface/huggingface.h"
#include "formats/llama2c/llama2c.h"
#include "formats/llama2c/tokenizer.h"
#include "formats/tflite/import.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

// Kernels, and views of float32 weights, ask for the element's alignment; a
// mapping begins on a page.
Result<BaseModel> open_llama2c(const std::string& path,
                               const BaseModelOptions& options) {
  FT_TRY(MappedFile mapped, MappedFile::open(path));
  auto owner = std::make_shared<const MappedFile>(std::move(mapped));
  FT_TRY(const Llama2cFile file, parse_llama2c(owner->bytes()));
  BaseModel model;
  FT_TRY(model.graph, import_llama2c(file, {.batch = options.batch,
                                            .seq_len = options.seq_len}));
  model.graph.keep_alive(owner);
  model.sha256 = sha256_hex(owner->bytes());
  model.file_bytes = owner->bytes().size();
  model.description = "llama2.c checkpoint";
  const fs::path folder = fs::path(path).parent_path();
  for (const std::string& name :
       {fmt::format("tok{}.bin", file.config.vocab_size),
        std::string("tokenizer.bin")}) {
    const fs::path beside = folder / name;
    std::error_code ignored;
    if (!fs::exists(beside, ignored)) continue;
    FT_TRY(const MappedFile bytes, MappedFile::open(beside.string()));
    auto tokenizer =
        Llama2cTokenizer::parse(bytes.bytes(), file.config.vocab_size);
    if (!tokenizer.ok())
      return Status(tokenizer.status())
          .in("tokenizer '" + beside.string() + "'");
    model.tokenizer =
        std::make_shared<const Llama2cTokenizer>(std::move(tokenizer).value());
    break;
  }
  return model;
}

Result<BaseModel> open_folder(const std::string& path,
                              const BaseModelOptions& options) {
  FT_TRY(HuggingFaceModel model,
         open_huggingface(
             path, {.batch = options.batch, .seq_len = options.seq_len}));
  return BaseModel{.graph = std::move(model.graph),
                   .sha256 = std::move(model.sha256),
                   .file_bytes = model.file_bytes,
                   .description = std::move(model.description),
                   .tokenizer = nullptr};
}

Result<BaseModel> open_tflite(const std::string& path,
                              const BaseModelOptions& options) {
  if (options.seq_len != 0)
    return usage_error("--seq-len is for models that read tokens, not .tflite");
  FT_TRY(TfliteModel model,
         import_tflite(path, {.dequantize = options.dequantize,
                              .dynamic_range = options.dynamic_range,
                              .batch = options.batch}));
  return BaseModel{.graph = std::move(model.graph),
                   .sha256 = std::move(model.sha256),
                   .file_bytes = model.file_bytes,
                   .description = std::move(model.description),
                   .tokenizer = nullptr};
}

}  // namespace

Result<BaseModel> open_base_model(const std::string& path,
                                  const BaseModelOptions& options) {
  if (options.batch < 0)
    return usage_error(fmt::format(
        "the batch size must not be negative, got {}", options.batch));
  std::error_code ignored;
  const bool is_folder = fs::is_directory(path, ignored);
  if (!is_folder && !path.ends_with(".bin")) return open_tflite(path, options);
  auto model =
      is_folder ? open_folder(path, options) : open_llama2c(path, options);
  if (!model.ok()) return Status(model.status()).in("'" + path + "'");
  return model;
}

bool takes_tokens(const Graph& graph) {
  return !graph.inputs.empty() &&
         graph.value(graph.inputs[0]).type.dtype == DType::kS32;
}

}  // namespace ft
