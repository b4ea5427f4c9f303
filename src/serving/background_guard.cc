// The guard of a background training: what a candidate is judged by, and how
// one that passes is written and published. All by the idle thread.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "adapters/adapter_file.h"
#include "base/file.h"
#include "base/hash.h"
#include "serving/background_impl.h"

namespace fieldtune {
namespace {

constexpr int kMostLooks = 4;  // at what serves, for one candidate

double share(const std::vector<bool>& right) {
  return right.empty() ? 0
                       : static_cast<double>(std::ranges::count(right, true)) /
                             static_cast<double>(right.size());
}

}  // namespace

std::string BackgroundTraining::Impl::file_of(int v) const {
  return std::filesystem::path(options.folder) /
         fmt::format("{}-v{}.safetensors", options.name, v);
}

// Looks at those samples held back that `right` says nothing of yet.
Status BackgroundTraining::Impl::judge(std::vector<bool>& right,
                                       const Answer& answer_to) {
  std::vector<float> sample(training.feature_size());
  for (;;) {
    int32_t label = 0;
    bool is_there = false;
    change([&] {
      is_there = right.size() < book.held_back().size();
      if (!is_there) return;
      const size_t at = book.held_back()[right.size()];
      std::ranges::copy(book.features(at), sample.begin());
      label = book.label(at);
    });
    if (!is_there) return ft::ok_status();
    FT_TRY(const size_t best, answer_to(sample));
    right.push_back(best == static_cast<size_t>(label));
    look();
  }
}

Result<size_t> BackgroundTraining::Impl::own_answer(
    std::span<const float> sample) {
  FT_TRY(const auto logits, training.predict(sample));
  return static_cast<size_t>(std::ranges::max_element(logits) - logits.begin());
}

// Of what the name stands for in the runtime, "": the base alone; one that
// answers other classes is right about nothing.
Result<size_t> BackgroundTraining::Impl::answer_of(
    const std::string& name, std::span<const float> sample) {
  FT_TRY_STATUS(
      caller.run([&] { return runtime.run_with(name, sample, answer); }));
  if (answer.size() != classes) return classes;
  return static_cast<size_t>(std::ranges::max_element(answer) - answer.begin());
}

// Equal options give the values that this training began with.
Result<size_t> BackgroundTraining::Impl::untrained_answer(
    std::span<const float> sample) {
  if (!untrained) {
    FT_TRY(Training first, Training::create(model_path, options.training));
    untrained.emplace(std::move(first));
  }
  FT_TRY(const auto logits, untrained->predict(sample));
  return static_cast<size_t>(std::ranges::max_element(logits) - logits.begin());
}

// Also somebody else may have put it there, or taken it away.
Result<BackgroundTraining::Impl::Serving>
BackgroundTraining::Impl::what_serves() {
  Serving now;
  if (base_has_our_classes) now.kind = Serving::Kind::kBase;
  FT_TRY_STATUS(caller.run([&]() -> Status {
    if (std::ranges::count(runtime.names(), options.name) == 0)
      return ft::ok_status();
    now.kind = Serving::Kind::kNamed;
    FT_TRY(now.fingerprint, runtime.fingerprint(options.name));
    return ft::ok_status();
  }));
  return now;
}

Status BackgroundTraining::Impl::judge_serving() {
  if (serving.kind == Serving::Kind::kUntrained) {
    Status status =
        judge(serving_right, [this](auto x) { return untrained_answer(x); });
    untrained.reset();
    return status;
  }
  const bool is_named = serving.kind == Serving::Kind::kNamed;
  const std::string name = is_named ? options.name : "";
  return judge(serving_right, [&](auto x) { return answer_of(name, x); });
}

void BackgroundTraining::Impl::refuse(const std::string& why) {
  change([&] {
    ++progress.refused;
    progress.message =
        fmt::format("step {}: {}: not published", training.steps_done(), why);
  });
}

// It decides when what was compared with still serves after the comparison;
// one that came meanwhile is compared with, too.
Status BackgroundTraining::Impl::consider() {
  std::vector<bool> right;
  for (int look = 0; look < kMostLooks; ++look) {
    if (options.before_guard)
      if (const Status told = caller.run(options.before_guard); !told.ok()) {
        refuse("what serves is not known: " + told.message());
        return ft::ok_status();
      }
    FT_TRY(Serving now, what_serves());
    const bool is_known = look > 0 && now == serving;
    if (now != serving) serving_right.clear();
    serving = std::move(now);
    if (is_known) return decide(std::move(right));
    FT_TRY_STATUS(judge_serving());
    FT_TRY_STATUS(judge(right, [this](auto x) { return own_answer(x); }));
  }
  refuse(fmt::format("another adapter served at each of {} looks", kMostLooks));
  return ft::ok_status();
}

Status BackgroundTraining::Impl::decide(std::vector<bool> right) {
  const double candidate = share(right), before = share(serving_right);
  const bool good = candidate >= before + options.least_gain;
  change([&] {
    progress.serving_accuracy = before;
    progress.candidate_accuracy = candidate;
  });
  if (!good) {
    refuse(fmt::format(
        "right about {:.1f} % of what is held back, what serves about {:.1f} %",
        100 * candidate, 100 * before));
    return ft::ok_status();
  }
  FT_TRY_STATUS(publish());
  serving_right = std::move(right);
  return ft::ok_status();
}

Result<std::vector<std::byte>> BackgroundTraining::Impl::version_bytes(
    int v, const std::string& parent) {
  std::map<std::string, std::string> metadata = {
      {"name", options.name}, {"version", fmt::format("{}", v)}};
  if (!parent.empty()) metadata["parent_sha256"] = parent;
  FT_TRY(std::vector<std::byte> bytes, training.adapter_bytes(metadata));
  if (!signing_key) return bytes;
  return ft::sign_adapter(bytes, *signing_key);
}

// A process that died after it had written a version left it behind, known to
// nobody or to some; what goes on from its checkpoint comes to the same bytes.
Result<bool> BackgroundTraining::Impl::is_the_newest() {
  const std::vector<std::byte> file = std::exchange(newest, {});
  if (file.empty()) return false;
  const auto adapter = ft::decode_adapter(file, file_of(version));
  if (!adapter.ok()) return false;
  FT_TRY(const auto bytes,
         version_bytes(version, adapter->get("parent_sha256")));
  return bytes == file;
}

// Where the newest version is this one already nothing is written.
Result<std::string> BackgroundTraining::Impl::write_version() {
  FT_TRY(const bool is_there, is_the_newest());
  if (is_there) return file_of(version);
  const std::string file = file_of(version + 1);
  FT_TRY(const auto bytes, version_bytes(version + 1, parent_sha256));
  FT_TRY_STATUS(ft::write_new_file(file, bytes));
  parent_sha256 = ft::sha256_hex(bytes);
  ++version;
  return file;
}

// Loads it under a name of its own: what the runtime refuses takes nobody's
// place. Returns its fingerprint.
Result<std::string> BackgroundTraining::Impl::try_out(const std::string& file) {
  const std::string name = options.name + " (candidate)";
  FT_TRY_STATUS(runtime.add(name, file));
  auto found = runtime.fingerprint(name);
  FT_TRY_STATUS(runtime.remove(name));
  return found;
}

// The file is whole and signed before it has its name, and the runtime learns
// of it afterwards; it is never written again, by another process neither.
Status BackgroundTraining::Impl::publish() {
  FT_TRY(const std::string file, write_version());
  FT_TRY_STATUS(caller.run([&]() -> Status {
    Serving candidate{.kind = Serving::Kind::kNamed, .fingerprint = {}};
    FT_TRY(candidate.fingerprint, try_out(file));
    FT_TRY_STATUS(runtime.add(options.name, file));
    serving = std::move(candidate);
    if (!options.activate && runtime.active() != options.name)
      return ft::ok_status();
    return runtime.set_active(options.name);
  }));
  if (options.on_published)
    FT_TRY_STATUS(caller.run([&] { return options.on_published(file); }));
  FT_TRY_STATUS(save());
  change([&] {
    ++progress.versions;
    progress.file = file;
    progress.serving_accuracy = progress.candidate_accuracy;
    changed.notify_all();
  });
  return ft::ok_status();
}

}  // namespace fieldtune
