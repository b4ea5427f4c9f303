#include "service/training_desk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "adapters/store/index.h"
#include "service/training_record.h"

namespace ft::service {

using fieldtune::BackgroundProgress;
using fieldtune::BackgroundTraining;
using State = BackgroundProgress::State;
namespace fs = std::filesystem;

namespace {

Json number_or_null(double value) {
  return std::isfinite(value) ? Json(value) : Json();
}

}  // namespace

Reply nothing_runs() {
  return {409, "no training runs; POST /v1/train/start begins one"};
}

const char* name_of(State state) {
  switch (state) {
    case State::kWaiting: return "waiting";
    case State::kTraining: return "training";
    case State::kPaused: return "paused";
    case State::kPressed: return "pressed";
    case State::kFinished: return "finished";
    case State::kFailed: return "failed";
  }
  return "";
}

Json fields_of(const TrainingNow& now) {
  if (now.adapter.empty())
    return {{"running", false}, {"state", "none"}, {"problem", now.problem}};
  const BackgroundProgress& p = now.progress;
  const bool has_ended =
      p.state == State::kFinished || p.state == State::kFailed;
  return {{"running", now.running},
          {"resumed", now.resumed},
          {"state", now.starting               ? "starting"
                    : now.ending               ? "ending"
                    : now.running || has_ended ? name_of(p.state)
                                               : "stopped"},
          {"adapter", now.adapter},
          {"samples", p.samples},
          {"held_back", p.held_back},
          {"kept_samples", now.kept_samples},
          {"steps", p.steps},
          {"total_steps", p.total_steps},
          {"saved_steps", p.saved_steps},
          {"loss", number_or_null(p.loss)},
          {"published", p.versions},
          {"refused", p.refused},
          {"serving_accuracy", p.serving_accuracy},
          {"candidate_accuracy", p.candidate_accuracy},
          {"longest_slice_us", p.longest_slice_us},
          {"is_idle_class", p.is_idle_class},
          {"message", p.message},
          {"problem", now.problem}};
}

void TrainingDesk::tell(const std::string& problem) {
  const std::lock_guard lock(problem_mutex_);
  problem_ = problem;
}

TrainingNow TrainingDesk::look() const {
  TrainingNow now = last_;
  if (!starting_.empty()) now = {.starting = true, .adapter = starting_};
  if (training_) {
    now.progress = training_->progress();
    now.ending = is_ending_;
    now.running = !is_ending_ && now.progress.state != State::kFinished &&
                  now.progress.state != State::kFailed;
  }
  const std::lock_guard lock(problem_mutex_);
  now.problem = problem_;
  const auto& p = now.progress;
  if (now.problem.empty() && !p.checkpoint_problem.empty())
    now.problem = fmt::format("a restart would go on from step {} of {}: {}",
                              p.saved_steps, p.steps, p.checkpoint_problem);
  return now;
}

TrainingNow TrainingDesk::now() const {
  const std::lock_guard lock(mutex_);
  return look();
}

// By the runtime's own thread of the training, without the desk's lock: who
// stops the training holds that and waits for this.
Status TrainingDesk::published(const TrainingStart& start,
                               const std::string& file) {
  const std::string& name = start.background.name;
  compared_.reset();  // the runtime's name is the file's now
  auto done = book_.shelf()->publish(name, file, start.confirm);
  std::string problem = done.ok() ? *done : done.status().message();
  if (done.ok()) {
    const auto reloaded = book_.reload();
    if (!reloaded.ok()) problem = reloaded.status().message();
    if (reloaded.ok() && !reloaded->problem.empty())
      problem = reloaded->problem;
    if (problem.empty() && start.use)
      if (const auto used = book_.use(name); !used.ok())
        problem = used.status().message();
    // The shelf has it; the newest file stays for the next version's parent.
    std::error_code ignored;
    if (!last_file_.empty()) fs::remove(last_file_, ignored);
    last_file_ = file;
  }
  tell(problem);
  return ok_status();
}

// What the guard compares with is what answers now: others may have taken back
// what was published, or put another version in use.
Status TrainingDesk::compare_with_active(const std::string& name) {
  const auto catalog = book_.catalog();
  const auto at = catalog->find(name);
  const CatalogVersion* active =
      at == catalog->end() ? nullptr : at->second.find(at->second.active);
  const std::string key = active == nullptr ? "" : active->key;
  if (compared_ == key) return ok_status();
  (void)runtime_.remove(name);
  if (active != nullptr)
    FT_TRY_STATUS(runtime_.add(name, book_.shelf()->opener(name, *active)));
  compared_ = key;
  return ok_status();
}

Status TrainingDesk::prepare(TrainingStart& start) {
  auto& o = start.background;
  o.folder = options_.work;
  o.signing_key = options_.signing_key;
  o.idle_class = options_.idle_class;
  o.training.ram_bytes = options_.ram_bytes;
  o.checkpoint = options_.work + "/" + o.name + ".checkpoint";
  o.checkpoint_seconds = options_.checkpoint_seconds;
  const auto catalog = book_.catalog();
  const auto at = catalog->find(o.name);
  if (at != catalog->end() && !at->second.versions.empty())
    o.versions_before = static_cast<int>(
        std::min<int64_t>(at->second.versions.back().version, 1 << 30));
  compared_.reset();
  FT_TRY_STATUS(compare_with_active(o.name));
  o.before_guard = [this, name = o.name]() -> Status {
    FT_TRY_STATUS(book_.reload(true).status());
    return compare_with_active(name);
  };
  o.on_published = [this, start](const std::string& file) {
    return published(start, file);
  };
  return ok_status();
}

std::optional<Reply> TrainingDesk::taken(const TrainingStart& start) const {
  const std::lock_guard lock(mutex_);
  const TrainingNow now = look();
  if (!now.running && !now.ending) return {};
  if (now.running && now.resumed && !start.fresh && start.request == request_)
    return fields_of(now);
  return Reply(409, fmt::format("training of '{}' {}; stop it before",
                                last_.adapter, now.ending ? "ends" : "runs"));
}

Reply TrainingDesk::start(TrainingStart start) {
  if (book_.shelf() == nullptr || options_.work.empty())
    return {409,
            "this service does not train: it was started without --work "
            "FOLDER"};
  const std::string name = start.background.name;
  FT_TRY_STATUS(store::check_name(name));
  if (auto other = taken(start)) return *std::move(other);
  const std::lock_guard one_at_a_time(ending_mutex_);
  if (auto other = taken(start)) return *std::move(other);
  FT_TRY_STATUS(stop_alone());  // one that has come to its end
  work_lock_.reset();
  auto held = lock_work(options_.work);
  if (!held.ok()) return held.status();
  const std::lock_guard giving(samples_mutex_);
  {
    const std::lock_guard lock(mutex_);
    starting_ = name;
  }
  Reply reply = begin(std::move(start));
  const std::lock_guard lock(mutex_);
  starting_.clear();
  if (!training_) {
    (void)runtime_.remove(name);
    close_samples();
  } else {
    work_lock_.emplace(std::move(*held));
  }
  return reply;
}

// A checkpoint is gone when another training has begun in its place, not when
// one was refused.
Result<BackgroundTraining> TrainingDesk::start_afresh_or_on(
    const TrainingStart& start) {
  const auto& o = start.background;
  const std::string aside = o.checkpoint + ".before";
  std::error_code ignored;
  if (start.fresh) fs::rename(o.checkpoint, aside, ignored);
  auto started = BackgroundTraining::start(runtime_, options_.model, o);
  if (!start.fresh) return started;
  if (started.ok())
    fs::remove(aside, ignored);
  else
    fs::rename(aside, o.checkpoint, ignored);
  return started;
}

Reply TrainingDesk::begin(TrainingStart start) {
  const Status opened = open_samples(start);
  const bool is_usage = opened.code() == Code::kUsage;
  if (is_usage || opened.code() == Code::kInvalidInput)
    return {is_usage ? 409 : 422,
            opened.message() + "; POST /v1/samples/delete removes them"};
  if (!opened.ok()) return opened;
  FT_TRY_STATUS(prepare(start));
  // Before there is a thread that publishes.
  tell("");
  last_file_.clear();
  FT_TRY(auto started, start_afresh_or_on(start));
  started.pause();  // no step before it has all and is noted
  FT_TRY_STATUS(give_kept(started));
  if (!start.resumed)
    FT_TRY_STATUS(save_record(options_.work, {start.request, start.paused}));
  if (!start.paused) started.resume();
  const std::lock_guard lock(mutex_);
  starting_.clear();
  training_ = std::make_shared<BackgroundTraining>(std::move(started));
  classes_ = start.background.training.classes;
  request_ = start.request;
  last_ = {.resumed = start.resumed,
           .adapter = start.background.name,
           .kept_samples =
               samples_ ? static_cast<size_t>(samples_->count()) : size_t{0}};
  return fields_of(look());
}

// Also where it cannot be noted: on a full disk a training should be paused.
Reply TrainingDesk::set_paused(bool paused) {
  const std::lock_guard noting(record_mutex_);
  TrainingRecord record{.request = {}, .paused = paused};
  {
    const std::lock_guard lock(mutex_);
    if (!look().running) return nothing_runs();
    record.request = request_;
  }
  const Status noted = save_record(options_.work, record);
  if (!noted.ok())
    tell("a restart would not know of the pause or its end: " +
         noted.message());
  const std::lock_guard lock(mutex_);
  if (!look().running) return nothing_runs();
  paused ? training_->pause() : training_->resume();
  return fields_of(look());
}

Reply TrainingDesk::pause() { return set_paused(true); }
Reply TrainingDesk::resume() { return set_paused(false); }

Reply TrainingDesk::end() {
  {
    const std::lock_guard lock(mutex_);
    if (!training_ && starting_.empty()) return nothing_runs();
  }
  const std::lock_guard one_at_a_time(ending_mutex_);
  const Status ended = stop_alone();
  const std::lock_guard noting(record_mutex_);
  // Also where its checkpoint could not be written.
  const Status dropped = drop_record(options_.work);
  work_lock_.reset();
  if (!dropped.ok()) return dropped;
  if (!ended.ok()) return ended;
  return fields_of(now());
}

Status TrainingDesk::stop() {
  const std::lock_guard one_at_a_time(ending_mutex_);
  Status status = stop_alone();
  work_lock_.reset();
  return status;
}

Status TrainingDesk::stop_alone() {
  std::shared_ptr<BackgroundTraining> ending;
  {
    const std::lock_guard lock(mutex_);
    if (!training_) return ok_status();
    ending = training_;
    is_ending_ = true;
  }
  // Without the desk's lock: this waits for a thread that may get no core.
  Status status = ending->stop();
  const std::lock_guard giving(samples_mutex_);
  const std::lock_guard lock(mutex_);
  close_samples();
  last_.progress = ending->progress();
  training_.reset();
  is_ending_ = false;
  (void)runtime_.remove(last_.adapter);
  // Nobody wants that to go on; where it cannot be removed, what goes on has
  // finished.
  if (last_.progress.state == State::kFinished)
    (void)drop_record(options_.work);
  return status;
}

}  // namespace ft::service
