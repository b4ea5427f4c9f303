// Samples that a training learns from: given, listed, deleted.
#include <fmt/format.h>

#include "service/parts.h"

namespace ft::service {
namespace {

constexpr size_t kMostSamples = 256;  // in one request

// One sample: its label is a number, or a class by its name.
Result<LabeledSample> read_sample(const Input& body) {
  FT_TRY(const Fields fields, Fields::of(body, {"features", "label"}));
  LabeledSample sample;
  FT_TRY(sample.features, fields.floats("features"));
  if (!fields.has("label")) return usage_error("the field 'label' is missing");
  if (body["label"].is_string()) {
    sample.word = body["label"].get<std::string>();
    return sample;
  }
  FT_TRY(const auto label, fields.whole("label", 0, INT32_MAX));
  sample.label = *label;
  return sample;
}

}  // namespace

Reply add_samples(Parts& parts, const Input& body) {
  std::vector<LabeledSample> samples;
  if (!body.contains("samples")) {
    FT_TRY(LabeledSample sample, read_sample(body));
    samples.push_back(std::move(sample));
    return parts.desk->add_samples(std::move(samples));
  }
  FT_TRY_STATUS(Fields::of(body, {"samples"}).status());
  const Input& list = body["samples"];
  if (!list.is_array() || list.empty() || list.size() > kMostSamples)
    return {400,
            fmt::format("field 'samples' must be a list of 1 to {} samples",
                        kMostSamples)};
  for (const Input& item : list) {
    auto sample = read_sample(item);
    if (!sample.ok()) {
      Status status = sample.status();
      return status.in(fmt::format("sample {}", samples.size()));
    }
    samples.push_back(std::move(*sample));
  }
  return parts.desk->add_samples(std::move(samples));
}

Reply list_samples(Parts& parts, const Input&) {
  FT_TRY(const auto kept, parts.desk->kept_samples());
  Json list = Json::array();
  for (const KeptSamples& k : kept)
    list.push_back({{"adapter", k.adapter},
                    {"samples", k.samples},
                    {"features", k.features},
                    {"classes", k.classes},
                    {"bytes", k.bytes},
                    {"encrypted", k.is_encrypted},
                    {"problem", k.problem}});
  return Json{{"on_disk", parts.options.keep_samples}, {"adapters", list}};
}

Reply delete_samples(Parts& parts, const Input& body) {
  FT_TRY(const Fields fields, Fields::of(body, {"adapter"}));
  FT_TRY(const auto adapter, fields.text("adapter"));
  if (!adapter) return {400, "the field 'adapter' is missing"};
  return parts.desk->delete_samples(*adapter);
}

}  // namespace ft::service
