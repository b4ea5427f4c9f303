#include "cli/demo/demo.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "cli/demo/speech.h"
#include "cli/evaluate_job.h"
#include "cli/merge_job.h"
#include "cli/progress.h"
#include "cli/report/svg.h"
#include "cli/report_page.h"
#include "cli/train_job.h"

namespace ft::cli {
namespace {

// Of each word: to learn from, to choose the best epoch by, and to test.
constexpr size_t kTrainTakes = 10, kValidationTakes = 2, kTestTakes = 20;
constexpr size_t kKnownTakes = kTrainTakes + kValidationTakes;
// Little more than 2 / 12, because the loader rounds down.
constexpr double kValidation = 0.17;
constexpr const char* kAugment = "noise=5:20,shift=0.1";
constexpr const char* kModel = "examples/demo/keyword_base.tflite";

// Where the files of a run go: a named folder, or one that is removed again.
class WorkFolder {
 public:
  static Result<WorkFolder> make(const std::string& named) {
    WorkFolder folder;
    folder.path_ = named;
    if (!named.empty()) return folder;
    std::error_code error;
    std::string path =
        (std::filesystem::temp_directory_path(error) / "fieldtune-demo-XXXXXX")
            .string();
    if (error || ::mkdtemp(path.data()) == nullptr)
      return io_error(
          fmt::format("cannot make a folder for temporary files: "
                      "{}",
                      error ? error.message() : std::strerror(errno)));
    folder.path_ = path;
    folder.remove_ = true;
    return folder;
  }
  WorkFolder(WorkFolder&& other) noexcept
      : path_(std::move(other.path_)),
        remove_(std::exchange(other.remove_, false)) {}
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder() {
    std::error_code ignored;
    if (remove_) std::filesystem::remove_all(path_, ignored);
  }
  std::string at(const char* name) const { return path_ + "/" + name; }

 private:
  WorkFolder() = default;
  std::string path_;
  bool remove_ = false;
};

std::vector<std::string> all_words() {
  std::vector<std::string> words = known_words();
  words.insert(words.end(), new_words().begin(), new_words().end());
  return words;
}

size_t threads() {
  return std::clamp<size_t>(std::thread::hardware_concurrency(), 1, 4);
}

// The model in the current folder's checkout, or in that of the build.
std::string default_model() {
  return std::filesystem::exists(kModel)
             ? kModel
             : std::string(FT_SOURCE_DIR) + "/" + kModel;
}

size_t file_bytes(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<size_t>(size);
}

ConfusionMatrix matrix_of(const char* title,
                          const std::vector<std::string>& classes,
                          const Evaluation& e) {
  return {.title = title,
          .labels = classes,
          .answers = classes,
          .counts = e.confusion};
}

class Demo {
 public:
  Demo(const DemoOptions& options, const WorkFolder& folder)
      : options_(options), folder_(folder) {
    train_.model = options.model.empty() ? default_model() : options.model;
    train_.out = folder.at("demo.safetensors");
    train_.data.path = folder.at("recordings");
    train_.data.front_end = "mlperf-kws";
    train_.data.class_names = all_words();
    train_.data.train_per_class = kKnownTakes;
    train_.data.validation = kValidation;
    train_.data.augment = kAugment;
    train_.data.threads = threads();
    train_.method.new_head = true;
    train_.method.rank = 4;
    train_.method.ram = "256K";
    train_.optimizer.epochs = options.epochs;
    train_.seed = options.seed;
    train_.quiet = options.quiet;
  }

  Result<DemoOutcome> run() {
    FT_TRY_STATUS(synthesize());
    FT_TRY_STATUS(ask_base());
    say("adapting it: LoRA r = {}, {} precision, {} takes of each word, at "
        "most "
        "{} of RAM",
        *train_.method.rank, train_.method.precision, kTrainTakes,
        train_.method.ram);
    const auto started = Clock::now();
    FT_TRY(const TrainOutcome trained, run_train_job(train_));
    outcome_.figures.train_seconds =
        std::chrono::duration<double>(Clock::now() - started).count();
    say("merging the adapter into an int8 model");
    MergeJob merge;
    merge.model = train_.model;
    merge.adapters.paths = {train_.out};
    merge.out = folder_.at("merged.tflite");
    merge.data.threads = threads();
    FT_TRY(const MergeOutcome merged, run_merge_job(merge));
    if (!merged.merged_file)
      return internal_error("the merged model was not measured");
    fill_figures(trained, merged);
    fill_fields(trained);
    FT_TRY_STATUS(write_page(trained));
    return std::move(outcome_);
  }

 private:
  using Clock = std::chrono::steady_clock;

  template <class... Args>
  void say(fmt::format_string<Args...> text, Args&&... args) const {
    if (!options_.quiet)
      fmt::print(stderr, "{}\n",
                 fmt::format(text, std::forward<Args>(args)...));
  }

  Status synthesize() const {
    const size_t takes = kKnownTakes + kTestTakes;
    const auto total = static_cast<int64_t>(takes * all_words().size());
    say("a new speaker: {} words, {} of them new to the model, {} takes each",
        all_words().size(), new_words().size(), takes);
    ProgressLine progress("recording", total, options_.quiet);
    return synthesize_demo_speech(
        {.folder = train_.data.path,
         .takes = takes,
         .threads = threads(),
         .seed = options_.seed},
        [&](size_t done) { progress.update(static_cast<int64_t>(done), ""); });
  }

  // The base answers in its own classes, so each word is asked for by itself:
  // with all labels 0, row 0 of the confusion holds the answers.
  Status ask_base() {
    FT_TRY(const auto data, load_training_data(train_.data, train_.seed));
    FT_TRY(const BaseModel base, load_base(train_.model, Precision::kMixed, 1));
    FT_TRY(const CompiledStep step, compile_base(base.graph, {}));
    FT_TRY(Session session, Session::create(step.program));
    const std::vector<int> zeros(data->set.size(), 0);
    Samples samples = data->samples;
    samples.labels = zeros;
    before_.title = "Before: the base model";
    before_.labels = all_words();
    before_.answers = base_classes();
    for (size_t word = 0; word < before_.labels.size(); ++word) {
      std::vector<size_t> takes = to_indices(data->split.test);
      std::erase_if(takes, [&](size_t i) {
        return data->samples.labels[i] != static_cast<int>(word);
      });
      FT_TRY(const Evaluation e, evaluate(std::span(&session, 1), samples,
                                          takes, Task::kClassification));
      if (e.confusion.size() != before_.answers.size())
        return invalid_input(fmt::format(
            "'{}' knows {} classes, the demo's base model has {}", train_.model,
            e.confusion.size(), before_.answers.size()));
      before_.counts.push_back(e.confusion[0]);
    }
    say("the base model understands {:.0f} % of them",
        100 * word_accuracy(before_, known_words()).all);
    return ok_status();
  }

  void fill_figures(const TrainOutcome& trained, const MergeOutcome& merged) {
    DemoFigures& f = outcome_.figures;
    after_ =
        matrix_of("After: with the adapter", trained.classes, trained.after);
    merged_ = matrix_of("Merged into one int8 model", merged.classes,
                        *merged.merged_file);
    f.before = word_accuracy(before_, known_words());
    f.after = word_accuracy(after_, known_words());
    f.merged = word_accuracy(merged_, known_words());
    f.known_words = known_words().size();
    f.new_words = new_words().size();
    f.train_takes = kTrainTakes;
    f.test_takes = kTestTakes;
    f.base_bytes = file_bytes(train_.model);
    f.merged_bytes = file_bytes(folder_.at("merged.tflite"));
    f.arena_bytes = trained.memory.arena_bytes;
    f.persistent_bytes = trained.memory.persistent_bytes;
    f.scratch_bytes = trained.memory.scratch_bytes;
    f.adapter_bytes = trained.fields["adapter_bytes"].get<size_t>();
    f.steps = trained.fields["steps"].get<size_t>();
    if (trained.fields["step_ms"].is_number())
      f.step_ms = trained.fields["step_ms"].get<double>();
  }

  void fill_fields(const TrainOutcome& trained) {
    const DemoFigures& f = outcome_.figures;
    outcome_.fields = {{"accuracy_before", f.before.all},
                       {"accuracy_after", f.after.all},
                       {"accuracy_int8", f.merged.all},
                       {"accuracy_before_known_words", f.before.known},
                       {"accuracy_after_known_words", f.after.known},
                       {"accuracy_int8_known_words", f.merged.known},
                       {"accuracy_before_new_words", f.before.fresh},
                       {"accuracy_after_new_words", f.after.fresh},
                       {"accuracy_int8_new_words", f.merged.fresh},
                       {"samples", trained.after.samples},
                       {"arena_bytes", f.arena_bytes},
                       {"persistent_bytes", f.persistent_bytes},
                       {"scratch_bytes", f.scratch_bytes},
                       {"adapter_bytes", f.adapter_bytes},
                       {"adapter_sha256", trained.adapter_sha256},
                       {"merged_bytes", f.merged_bytes},
                       {"steps", f.steps},
                       {"step_ms", number_or_null(f.step_ms)},
                       {"train_seconds", f.train_seconds},
                       {"report", options_.report}};
  }

  Status write_page(const TrainOutcome& trained) const {
    const DemoFigures& f = outcome_.figures;
    ReportData page = train_report(train_, trained);
    const auto percent = [](double v) {
      return fmt::format("{:.1f} %", 100 * v);
    };
    page.title = "fieldtune demo: a new voice and four new words";
    page.subtitle = fmt::format(
        "A keyword model of {} (int8) adapted by LoRA r = {} to one speaker "
        "whose accent it never heard, and to the words {}, from {} noisy takes "
        "of each word.",
        format_bytes(static_cast<double>(f.base_bytes)), *train_.method.rank,
        fmt::join(new_words(), ", "), kTrainTakes);
    page.figures.erase(page.figures.begin());
    const KeyFigure accuracy[] = {
        {"accuracy before", percent(f.before.all), "the base model"},
        {"accuracy after", percent(f.after.all), "adapter beside the base"},
        {"accuracy merged", percent(f.merged.all), "one int8 .tflite"}};
    page.figures.insert(page.figures.begin(), std::begin(accuracy),
                        std::end(accuracy));
    page.confusions = {before_, after_, merged_};
    page.tables.insert(page.tables.begin(), accuracy_table(f));
    page.command = fmt::format("fieldtune demo --seed {} --report {}",
                               options_.seed, options_.report);
    return write_file_atomically(options_.report, render_report(page));
  }

  const DemoOptions& options_;
  const WorkFolder& folder_;
  TrainJob train_;
  ConfusionMatrix before_, after_, merged_;
  DemoOutcome outcome_;
};

}  // namespace

Result<DemoOutcome> run_demo(const DemoOptions& options) {
  FT_TRY(const WorkFolder folder, WorkFolder::make(options.folder));
  return Demo(options, folder).run();
}

}  // namespace ft::cli
