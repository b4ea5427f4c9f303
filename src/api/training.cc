#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "api/common.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/plain_text.h"
#include "data/front_end.h"
#include "methods/sparse.h"
#include "train/adapted_model.h"
#include "train/answers.h"
#include "train/checkpoint.h"
#include "train/samples.h"
#include "train/trained_adapter.h"

namespace fieldtune {
namespace {

Result<ft::MethodSettings> method_settings(const TrainingOptions& options) {
  FT_TRY(const ft::MethodDef* def, ft::find_method(options.method));
  ft::MethodSettings s;
  s.method = def->name;
  if (def->default_rank == 0 && (options.rank > 0 || options.alpha > 0))
    return ft::usage_error(
        fmt::format("method {} has no rank and no alpha", def->name));
  s.r = options.rank > 0 ? options.rank : def->default_rank;
  s.lora_alpha = options.alpha > 0 ? options.alpha : 2.0 * s.r;
  s.target_modules = options.target_modules;
  for (const auto& [name, text] : options.settings)
    FT_TRY_STATUS(ft::set_setting(*def, name, text, s));
  for (const std::string& name : options.classes)
    FT_TRY_STATUS(ft::check_plain_text("the name of a class", name));
  s.num_classes = static_cast<int>(options.classes.size());
  s.seed = options.seed;
  return s;
}

Result<ft::StepSettings> step_settings(const TrainingOptions& options,
                                       ft::Precision precision) {
  if (options.total_steps < 1)
    return ft::usage_error(
        fmt::format("total_steps {}: must be at least 1", options.total_steps));
  if (options.batch < 1 || options.batch > 4096)
    return ft::usage_error(
        fmt::format("batch {}: must lie between 1 and 4096", options.batch));
  ft::StepSettings s;
  FT_TRY(s.method, method_settings(options));
  ft::fill_total_updates(s.method, options.total_steps);
  s.optimizer.optimizer = options.optimizer;
  s.optimizer.lr = options.learning_rate;
  s.optimizer.weight_decay = options.weight_decay;
  s.optimizer.schedule = options.schedule;
  s.optimizer.update_fraction = options.update_fraction;
  FT_TRY_STATUS(ft::check_optimizer(s.optimizer));
  s.precision = precision;
  s.plan.exact = options.exact;
  s.ram_bytes = options.ram_bytes;
  return s;
}

// "mfcc ..." as adapters record it; empty where none is named.
Result<std::string> front_end_record(const std::string& front_end) {
  if (front_end.empty()) return std::string();
  FT_TRY(const ft::FrontEnd chosen, ft::load_front_end(front_end));
  return ft::to_toml(chosen);
}

size_t elements(const ft::Binding& b) {
  return static_cast<size_t>(b.type.shape.num_elements());
}

}  // namespace

struct Training::Impl {
  TrainingOptions options;
  ft::StepSettings settings;
  std::string base_sha256, front_end;
  ft::Adapter start;  // of options.start_from
  ft::CompiledStep step, inference;
  std::vector<ft::Session> train, eval;  // one each, once they are opened
  ft::TrainState state;
  std::vector<std::byte> before;  // the persistent region, to undo a step
  std::vector<float> logits, answer;
  std::function<void()> between_calls;

  Status compile(const std::string& model_path);
  Status open_sessions();
  const ft::Program& program() const { return step.program; }
  size_t batch() const { return static_cast<size_t>(options.batch); }
  bool classifies() const {
    return settings.loss == ft::Loss::kSoftmaxCrossEntropy;
  }
  size_t target_elements() const {
    return elements(program().inputs[ft::kTargetInput]) / batch();
  }
  size_t feature_size() const {
    return elements(program().inputs[0]) / batch();
  }
  int64_t classes() const {
    return inference.program.outputs[ft::kAnswerOutput].type.shape.back();
  }

  Status check_step(std::span<const float> features) const;
  void run_calls(ft::Session& session) const;
  Result<float> run_step(std::span<const float> features);
  void note_answers();
  Result<std::vector<std::byte>> adapter_file(const ft::Metadata& more = {});
  std::string fingerprint() const;
};

Status Training::Impl::compile(const std::string& model_path) {
  FT_TRY(const ft::Precision precision, ft::parse_precision(options.precision));
  FT_TRY(settings, step_settings(options, precision));
  FT_TRY(front_end, front_end_record(options.front_end));
  FT_TRY(const ft::BaseModel base,
         ft::load_base(model_path, precision, options.batch,
                       options.sequence_length));
  base_sha256 = base.sha256;
  settings.loss = ft::natural_loss(base.graph, settings.method);
  if (!options.start_from.empty()) {
    FT_TRY(ft::LoadedAdapter first, ft::open_adapter({options.start_from}));
    FT_TRY_STATUS(ft::fit_to_base(base, first));
    settings.method.masks = first.method.masks;
    start = std::move(first.adapter);
  } else if (ft::needs_gradient_mask(settings.method)) {
    return ft::usage_error(
        "a mask by gradients needs samples before the first step: make one "
        "with `fieldtune train` and give its adapter as start_from");
  }
  FT_TRY(step, ft::compile_training(base.graph, settings));
  FT_TRY(const ft::BaseModel single,
         ft::load_base(model_path, precision, 1, options.sequence_length));
  FT_TRY(inference, ft::compile_inference(single.graph, settings.method,
                                          settings.plan, precision));
  return ft::ok_status();
}

Status Training::Impl::open_sessions() {
  FT_TRY(ft::Session session, ft::Session::create(program()));
  train.push_back(std::move(session));
  FT_TRY(ft::Session sharing,
         ft::Session::create_sharing(inference.program, train[0]));
  eval.push_back(std::move(sharing));
  before.resize(train[0].all_persistent().size());
  answer.resize(elements(inference.program.outputs[ft::kAnswerOutput]));
  if (program().outputs.size() > ft::kAnswerOutput)
    logits.resize(elements(program().outputs[ft::kAnswerOutput]));
  return ft::ok_status();
}

Status Training::Impl::check_step(std::span<const float> features) const {
  if (state.step >= options.total_steps)
    return ft::usage_error(fmt::format("all {} steps (total_steps) are done",
                                       options.total_steps));
  return check_count("features", features.size(), feature_size() * batch());
}

void Training::Impl::run_calls(ft::Session& session) const {
  if (!between_calls) return session.run();
  for (size_t c = 0; c < program().calls.size(); ++c) {
    if (c > 0) between_calls();
    session.run_call(c);
  }
}

// Labels or targets are in place.
Result<float> Training::Impl::run_step(std::span<const float> features) {
  ft::Session& session = train[0];
  ft::write_features(session.input(0), program().inputs[0].type, 0, features);
  ft::write_hyper(session, settings.optimizer, state.step, options.total_steps,
                  options.seed);
  const auto region = session.all_persistent();
  std::ranges::copy(region, before.begin());
  run_calls(session);
  const double loss = ft::read_loss(session);
  if (!std::isfinite(loss)) {
    std::ranges::copy(before, region.begin());
    return ft::invalid_input(
        fmt::format("the loss became {} at step {}; the step was undone", loss,
                    state.step + 1));
  }
  ++state.step;
  note_answers();
  return static_cast<float>(loss);
}

// Merging a new head into an int8 model needs the range of its answers.
void Training::Impl::note_answers() {
  if (logits.empty()) return;
  ft::read_real(train[0], ft::kAnswerOutput, logits);
  const auto [low, high] = std::ranges::minmax(logits);
  state.answer_low = std::min(state.answer_low, static_cast<double>(low));
  state.answer_high = std::max(state.answer_high, static_cast<double>(high));
}

Result<std::vector<std::byte>> Training::Impl::adapter_file(
    const ft::Metadata& more) {
  FT_TRY(ft::Adapter adapter,
         ft::trained_adapter(train[0], step, settings, base_sha256));
  adapter.metadata.insert(more.begin(), more.end());
  if (!front_end.empty()) adapter.metadata["front_end"] = front_end;
  if (!options.classes.empty())
    adapter.metadata["classes"] =
        nlohmann::ordered_json(options.classes).dump();
  if (!logits.empty() && state.step > 0) {
    adapter.metadata["answer_low"] = fmt::format("{:.9g}", state.answer_low);
    adapter.metadata["answer_high"] = fmt::format("{:.9g}", state.answer_high);
  }
  return ft::encode_adapter(adapter);
}

// Everything that decides the bits of a run, but the samples.
std::string Training::Impl::fingerprint() const {
  std::string text =
      fmt::format("{} {} {} {}", ft::plan_hash(program()), base_sha256,
                  options.seed, options.total_steps);
  for (const auto& [name, value] : ft::describe(settings.optimizer))
    text += fmt::format(" {}={}", name, value);
  for (const auto& [name, value] : ft::to_metadata(settings.method))
    text += fmt::format(" {}={}", name, value);
  for (const ft::Binding& b : program().persistent)
    text += ft::sha256_hex(program().graph.value(b.value).data);
  return ft::sha256_hex(std::as_bytes(std::span(text)));
}

Training::Training(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Training::Training(Training&&) noexcept = default;
Training& Training::operator=(Training&&) noexcept = default;
Training::~Training() = default;

Result<Training> Training::create(const std::string& model_path,
                                  const TrainingOptions& options) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  FT_TRY_STATUS(impl->compile(model_path));
  if (!options.start_from.empty())
    FT_TRY_STATUS(ft::install_adapter(impl->start, impl->step));
  FT_TRY_STATUS(impl->open_sessions());
  return Training(std::move(impl));
}

MemoryBytes Training::memory() const { return memory_of(impl_->program()); }
size_t Training::feature_size() const { return impl_->feature_size(); }
size_t Training::label_size() const {
  return impl_->classifies() ? impl_->target_elements() : 0;
}
size_t Training::target_size() const {
  return impl_->classifies() ? 0 : impl_->target_elements();
}
int64_t Training::steps_done() const { return impl_->state.step; }
void Training::set_between_calls(std::function<void()> hook) {
  impl_->between_calls = std::move(hook);
}

Result<float> Training::step(std::span<const float> features,
                             std::span<const int32_t> labels) {
  Impl& self = *impl_;
  FT_TRY_STATUS(self.check_step(features));
  FT_TRY_STATUS(
      check_count("labels", labels.size(), label_size() * self.batch()));
  for (const int32_t label : labels)
    if (label < 0 || label >= self.classes())
      return ft::usage_error(fmt::format("label {}: the model knows {} classes",
                                         label, self.classes()));
  std::ranges::copy(labels,
                    self.train[0].input_as<int32_t>(ft::kTargetInput).begin());
  return self.run_step(features);
}

Result<float> Training::regression_step(std::span<const float> features,
                                        std::span<const float> targets) {
  Impl& self = *impl_;
  FT_TRY_STATUS(self.check_step(features));
  FT_TRY_STATUS(
      check_count("targets", targets.size(), target_size() * self.batch()));
  ft::write_features(self.train[0].input(ft::kTargetInput),
                     self.program().inputs[ft::kTargetInput].type, 0, targets);
  return self.run_step(features);
}

Result<std::span<const float>> Training::predict(
    std::span<const float> features) {
  Impl& self = *impl_;
  FT_TRY_STATUS(check_count("features", features.size(), self.feature_size()));
  ft::Session& session = self.eval[0];
  ft::write_features(session.input(0), session.program().inputs[0].type, 0,
                     features);
  session.run();
  ft::read_real(session, ft::kAnswerOutput, self.answer);
  return std::span<const float>(self.answer);
}

Status Training::save_adapter(
    const std::string& path,
    const std::map<std::string, std::string>& metadata) {
  FT_TRY(const auto bytes, impl_->adapter_file(metadata));
  return ft::write_file_atomically(path, bytes);
}

Result<std::vector<std::byte>> Training::adapter_bytes(
    const std::map<std::string, std::string>& metadata) {
  return impl_->adapter_file(metadata);
}

Result<std::string> Training::adapter_sha256() {
  FT_TRY(const auto bytes, impl_->adapter_file());
  return ft::sha256_hex(bytes);
}

Status Training::save_checkpoint(const std::string& path) {
  return ft::CheckpointWriter(path, impl_->fingerprint())
      .save(impl_->train[0].all_persistent(), impl_->state);
}

Status Training::load_checkpoint(const std::string& path) {
  FT_TRY(impl_->state, ft::load_checkpoint(path, impl_->fingerprint(),
                                           impl_->train[0].all_persistent()));
  return ft::ok_status();
}

}  // namespace fieldtune
