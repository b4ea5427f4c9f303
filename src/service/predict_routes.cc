// Predictions, alone and in batches, and what was right about them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "service/parts.h"

namespace ft::service {
namespace {

constexpr size_t kLargestBatch = 256;
constexpr int kMostChoices = 8;  // after the first

struct Asked {
  bool names_adapter = false;
  std::string adapter, key;
  int64_t version = 0;
  std::vector<float> features;
  Chosen chosen;
  std::optional<fieldtune::Assignment> arm;
  std::vector<float> answer;
};

Result<Asked> read_request(const Input& body) {
  FT_TRY(const Fields fields,
         Fields::of(body, {"adapter", "version", "key", "features"}));
  Asked asked;
  asked.names_adapter = fields.has("adapter");
  if (asked.names_adapter && !body["adapter"].is_null()) {
    FT_TRY(const auto name, fields.text("adapter"));
    asked.adapter = name.value_or("");
  }
  FT_TRY(const auto version, fields.whole("version", 1, INT64_MAX));
  asked.version = version.value_or(0);
  if (asked.version > 0 && asked.adapter.empty())
    return usage_error("field 'version' needs field 'adapter'");
  FT_TRY(const auto key, fields.text("key"));
  asked.key = key.value_or("");
  FT_TRY(asked.features, fields.floats("features"));
  return asked;
}

// With a key, an experiment of the adapter decides which version answers.
Result<Chosen> choose(const Parts& parts, Asked& asked) {
  const std::string name =
      asked.names_adapter ? asked.adapter : parts.book->active().name;
  asked.arm.reset();
  if (parts.live && !asked.key.empty() && !name.empty() && asked.version == 0)
    asked.arm = parts.live->assign(name, asked.key);
  if (asked.arm && asked.arm->version == 0) return Chosen{};
  if (asked.arm) return parts.book->choose(name, asked.arm->version);
  if (!asked.names_adapter) return parts.book->active();
  return parts.book->choose(asked.adapter, asked.version);
}

Status run_one(Parts& parts, std::span<Asked> one) {
  Asked& asked = one.front();
  const auto began = std::chrono::steady_clock::now();
  FT_TRY_STATUS(parts.runtime.run_with(asked.chosen.in_runtime, asked.features,
                                       asked.answer));
  const std::chrono::duration<double, std::milli> took =
      std::chrono::steady_clock::now() - began;
  if (!asked.arm) return ok_status();
  return parts.live->record(*asked.arm,
                            {.requests = 1, .latency_ms = took.count()});
}

// Looks again at what there is: false where all would be answered as before.
Result<bool> choose_all(const Parts& parts, std::span<Asked> all) {
  bool changed = false;
  for (Asked& asked : all) {
    FT_TRY(Chosen chosen, choose(parts, asked));
    changed |= chosen.in_runtime != asked.chosen.in_runtime;
    asked.chosen = std::move(chosen);
  }
  return changed;
}

Status run_all(Parts& parts, std::span<Asked> all) {
  std::vector<fieldtune::Request> requests;
  for (Asked& asked : all)
    requests.push_back(
        {asked.chosen.in_runtime, asked.features, &asked.answer});
  FT_TRY_STATUS(parts.runtime.run_batch(requests));
  for (const Asked& asked : all)  // without a time of its own
    if (asked.arm)
      FT_TRY_STATUS(parts.live->record(*asked.arm, {.requests = 1}));
  return ok_status();
}

// A version may go between its choice and the run, and its file be replaced
// before anybody has looked; then another one is chosen.
Reply answer(Parts& parts, std::span<Asked> all,
             Status (*run)(Parts&, std::span<Asked>)) {
  const auto chosen = choose_all(parts, all);
  if (!chosen.ok()) return {404, chosen.status().message()};
  for (int more = kMostChoices;; --more) {
    const Status status = run(parts, all);
    if (status.ok()) return {};
    // A file that is not what was looked at may not show in the folder's time.
    if (parts.book->shelf() != nullptr)
      (void)parts.book->reload(status.code() != Code::kIo).ok();
    const auto changed = choose_all(parts, all);
    if (!changed.ok()) return {404, changed.status().message()};
    if (!*changed || more == 0) return status;
  }
}

Json fields_of(Parts& parts, const Asked& asked) {
  const Chosen& chosen = asked.chosen;
  const auto best = std::ranges::max_element(asked.answer);
  const int64_t found = best - asked.answer.begin();
  parts.answer_counts.answered(chosen.name, chosen.version);
  parts.use_marks.used(chosen.name, chosen.version);
  Json fields = {{"id", parts.answer_log.add({.adapter = chosen.name,
                                              .version = chosen.version,
                                              .found = found,
                                              .arm = asked.arm})},
                 {"adapter", name_or_null(chosen.name)},
                 {"version", version_or_null(chosen.version)},
                 {"class", found}};
  const auto words = parts.class_names.of(parts.runtime, chosen.in_runtime);
  if (static_cast<size_t>(found) < words->size())
    fields["label"] = (*words)[static_cast<size_t>(found)];
  if (asked.arm) fields["arm"] = fieldtune::name_of(asked.arm->arm);
  fields["answer"] = asked.answer;
  return fields;
}

// What a kernel would take for another token is no answer to what was asked.
Status check_features(const Parts& parts, const Asked& asked) {
  const auto& x = asked.features;
  if (x.size() != parts.features)
    return usage_error(fmt::format("{} features, the model takes {}", x.size(),
                                   parts.features));
  if (parts.tokens == 0) return ok_status();
  const auto wrong = std::ranges::find_if_not(x, [&](float v) {
    return v >= 0 && v < static_cast<float>(parts.tokens) && v == std::trunc(v);
  });
  if (wrong == x.end()) return ok_status();
  return usage_error(
      fmt::format("feature {} is {}, the model reads tokens from 0 to {}",
                  wrong - x.begin(), *wrong, parts.tokens - 1));
}

Reply predict_batch(Parts& parts, const Input& body) {
  FT_TRY_STATUS(Fields::of(body, {"requests"}).status());
  const Input& list = body["requests"];
  if (!list.is_array() || list.empty() || list.size() > kLargestBatch)
    return {400, fmt::format("field 'requests' must be a list of 1 to {} "
                             "requests",
                             kLargestBatch)};
  std::vector<Asked> all;
  for (const Input& item : list) {
    FT_TRY(Asked asked, read_request(item));
    FT_TRY_STATUS(check_features(parts, asked));
    all.push_back(std::move(asked));
  }
  Reply reply = answer(parts, all, run_all);
  if (reply.status != 200) return reply;
  Json answers = Json::array();
  for (const Asked& asked : all) answers.push_back(fields_of(parts, asked));
  return Json{{"answers", answers}};
}

}  // namespace

Reply predict(Parts& parts, const Input& body) {
  if (body.contains("requests")) return predict_batch(parts, body);
  FT_TRY(Asked asked, read_request(body));
  FT_TRY_STATUS(check_features(parts, asked));
  Reply reply = answer(parts, {&asked, 1}, run_one);
  if (reply.status != 200) return reply;
  return fields_of(parts, asked);
}

Reply feedback(Parts& parts, const Input& body) {
  FT_TRY(const Fields fields, Fields::of(body, {"id", "class"}));
  FT_TRY(const auto id, fields.text("id"));
  FT_TRY(const auto right_class, fields.whole("class", 0, INT32_MAX));
  if (!id || !right_class)
    return {400, "feedback needs the fields 'id' and 'class'"};
  auto given = parts.answer_log.take(*id);
  if (!given.ok()) return {404, given.status().message()};
  const bool right = given->found == *right_class;
  parts.answer_counts.judged(given->adapter, given->version, right);
  if (given->arm && parts.live)
    FT_TRY_STATUS(parts.live->record(*given->arm, {.right = right}));
  return Json{{"adapter", name_or_null(given->adapter)},
              {"version", version_or_null(given->version)},
              {"right", right}};
}

}  // namespace ft::service
