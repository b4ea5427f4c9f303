#include "train/feature_cache.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "base/hash.h"
#include "exec/session.h"
#include "methods/compose.h"
#include "passes/frozen_trunk.h"

namespace ft {
namespace {

constexpr std::string_view kMagic = "FTFEAT01";
constexpr size_t kDigits = 64;  // of a SHA-256
constexpr size_t kHeaderBytes = 8 + 8 + 8 + kDigits;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string header_of(uint64_t samples, uint64_t sample_bytes,
                      std::string_view key) {
  std::string header(kMagic);
  for (const uint64_t word : {samples, sample_bytes})
    for (int shift = 0; shift < 64; shift += 8)
      header += static_cast<char>(word >> shift & 0xff);
  return header.append(key);
}

std::string text_at(std::span<const std::byte> bytes, size_t at, size_t size) {
  return {reinterpret_cast<const char*>(bytes.data()) + at, size};
}

// Whether the file is whole and holds what the header says.
bool holds(std::span<const std::byte> file, const std::string& header,
           size_t features_bytes) {
  if (file.size() != kHeaderBytes + features_bytes + kDigits) return false;
  if (text_at(file, 0, kHeaderBytes) != header) return false;
  return text_at(file, file.size() - kDigits, kDigits) ==
         sha256_hex(file.subspan(kHeaderBytes, features_bytes));
}

// Fails where something else than a file of features is in the way.
Status check_replaceable(const std::string& path) {
  std::error_code error;
  const auto kind = std::filesystem::status(path, error).type();
  if (kind == std::filesystem::file_type::not_found)
    return check_writable(path);
  FT_TRY(const MappedFile file, MappedFile::open(path));
  const auto bytes = file.bytes();
  if (bytes.size() >= kMagic.size() &&
      text_at(bytes, 0, kMagic.size()) == kMagic)
    return check_writable(path);
  return usage_error(fmt::format(
      "'{}' is not a file of features and is not written over", path));
}

Status write_features_file(const std::string& path, const std::string& header,
                           const Program& trunk, const Samples& samples,
                           size_t count, const FeatureCache::Report& report) {
  FT_TRY(Session session, Session::create(trunk));
  FT_TRY_STATUS(check_samples(trunk, samples));
  FT_TRY(AtomicFile file, AtomicFile::create(path));
  FT_TRY_STATUS(file.write(bytes_of(header)));
  Sha256 digest;
  std::vector<float> values(samples.feature_size);
  for (size_t i = 0; i < count; ++i) {
    samples.fill(i, -1, values);
    write_features(session.input(0), trunk.inputs[0].type, 0, values);
    session.run();
    digest.add(session.output(0));
    FT_TRY_STATUS(file.write(session.output(0)));
    report(i + 1);
  }
  FT_TRY_STATUS(file.write(bytes_of(digest.hex())));
  return file.commit();
}

}  // namespace

Result<Graph> take_frozen_trunk(BaseModel& base,
                                std::span<const MethodSettings> methods) {
  Graph graph = base.graph.clone();
  AdaptedGraph adapted;
  FT_TRY_STATUS(apply_methods(graph, methods, adapted));
  FT_TRY(SplitModel split, split_frozen_trunk(base.graph, graph));
  base.graph = std::move(split.rest);
  return std::move(split.trunk);
}

FeatureCache::FeatureCache(MappedFile file, TensorType type, bool reused)
    : file_(std::move(file)), type_(std::move(type)), reused_(reused) {}

Result<FeatureCache> FeatureCache::open(const std::string& path,
                                        const Program& trunk,
                                        const Samples& samples, size_t count,
                                        const std::string& data_key,
                                        const Report& report) {
  const TensorType& type = trunk.outputs[0].type;
  const std::string header =
      header_of(count, type.num_bytes(),
                sha256_hex(bytes_of(plan_hash(trunk) + data_key)));
  FT_TRY_STATUS(check_replaceable(path));
  if (auto there = MappedFile::open(path);
      there.ok() && holds(there->bytes(), header, count * type.num_bytes()))
    return FeatureCache(std::move(*there), type, true);
  FT_TRY_STATUS(
      write_features_file(path, header, trunk, samples, count, report));
  FT_TRY(MappedFile written, MappedFile::open(path));
  return FeatureCache(std::move(written), type, false);
}

size_t FeatureCache::feature_size() const {
  return static_cast<size_t>(type_.shape.num_elements());
}

void FeatureCache::fill(size_t sample, std::span<float> features) const {
  const std::byte* at =
      file_.bytes().data() + kHeaderBytes + sample * type_.num_bytes();
  if (type_.dtype == DType::kF32) {
    std::memcpy(features.data(), at, features.size_bytes());
    return;
  }
  const auto* q = reinterpret_cast<const int8_t*>(at);
  const float scale = type_.quant.scale[0];
  const int32_t zero_point = type_.quant.zero_point[0];
  for (size_t i = 0; i < features.size(); ++i)
    features[i] = scale * static_cast<float>(q[i] - zero_point);
}

Samples with_features(const Samples& samples,
                      std::shared_ptr<const FeatureCache> features,
                      std::span<const float> inputs) {
  Samples out = samples;
  if (out.labels.empty() && out.targets.empty()) {
    out.targets = inputs;
    out.target_size = samples.feature_size;
  }
  out.feature_size = features->feature_size();
  out.fill = [features = std::move(features)](size_t sample, int /*epoch*/,
                                              std::span<float> values) {
    features->fill(sample, values);
  };
  return out;
}

}  // namespace ft
