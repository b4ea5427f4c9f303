#include "formats/tflite/import.h"

#include <fmt/format.h>

#include <cstring>
#include <memory>

#include "base/file.h"
#include "base/hash.h"
#include "formats/tflite/importer.h"

namespace ft {
namespace {

constexpr size_t kAlignment = 16;  // what kernels ask of a buffer

bool is_aligned(std::span<const std::byte> bytes) {
  return reinterpret_cast<uintptr_t>(bytes.data()) % kAlignment == 0;
}

}  // namespace

ValueId TfliteModel::value_of(int tensor) const {
  for (size_t id = 0; id < value_tensor.size(); ++id)
    if (value_tensor[id] == tensor) return static_cast<ValueId>(id);
  return kNone;
}

Result<TfliteModel> import_tflite(std::span<const std::byte> bytes,
                                  const ImportOptions& options) {
  if (options.batch < 0)
    return usage_error(fmt::format(
        "the batch size must not be negative, got {}", options.batch));
  // FlatBuffers reads in place, so its scalars must lie where they belong.
  std::shared_ptr<std::vector<std::byte>> copy;
  if (!is_aligned(bytes)) {
    copy = std::make_shared<std::vector<std::byte>>(bytes.begin(), bytes.end());
    bytes = *copy;
  }
  FT_TRY(const ModelFile file, ModelFile::open(bytes));
  Importer importer(file, options);
  if (copy != nullptr) FT_TRY_STATUS(importer.take(bytes.size()));
  FT_TRY(TfliteModel model, importer.run());
  if (copy != nullptr) model.graph.keep_alive(std::move(copy));
  model.sha256 = sha256_hex(bytes);
  model.file_bytes = bytes.size();
  return model;
}

Result<TfliteModel> import_tflite(const std::string& path,
                                  const ImportOptions& options) {
  FT_TRY(MappedFile mapped, MappedFile::open(path));
  auto owner = std::make_shared<const MappedFile>(std::move(mapped));
  Result<TfliteModel> model = import_tflite(owner->bytes(), options);
  if (!model.ok()) return Status(model.status()).in(path);
  model->graph.keep_alive(std::move(owner));
  return model;
}

}  // namespace ft
