#include "cli/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>

#include "cli/output.h"
#include "ops/all_ops.h"
#include "passes/stripes.h"

namespace ft::cli {
namespace {

// "--use-rslora" for "use_rslora".
// The optimizer has betas of its own.
std::string option_name(std::string_view setting) {
  if (setting == "beta1" || setting == "beta2")
    return "--importance-" + std::string(setting);
  std::string name = "--" + std::string(setting);
  std::ranges::replace(name, '_', '-');
  return name;
}

// "" if there is such a row, else what is wrong.
std::string unknown_kernel(const std::string& symbol) {
  for (const OpDef* op : ops::all_ops())
    for (const KernelDef& row : op->kernels)
      if (row.symbol == symbol) return {};
  return fmt::format("there is no kernel '{}'", symbol);
}

// "" if this is a value of --patches, else what is wrong.
std::string unknown_patches(const std::string& word) {
  if (word == "off" || word == "auto") return {};
  int n = 0;
  const char* end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, n);
  if (error == std::errc() && rest == end && n >= 2 && n <= kMostStripes)
    return {};
  return fmt::format("'{}' is neither off, auto nor from 2 to {}", word,
                     kMostStripes);
}

}  // namespace

void AdapterOptions::add_to(CLI::App& app) {
  app.add_option("--adapter", paths,
                 "adapter beside the model: a file or a PEFT folder; several "
                 "are applied in the order given")
      ->allow_extra_args(false);
  app.add_option("--adapter-weight", weights,
                 "factor of what the adapter adds, one for each --adapter, in "
                 "order (0: disabled) [1]")
      ->allow_extra_args(false);
  app.add_flag("--no-adapter", disabled,
               "disable all adapters: the base's own answers");
  policy.add_to(app);
}

Result<std::vector<AdapterChoice>> AdapterOptions::choices() const {
  if (!weights.empty() && weights.size() != paths.size())
    return usage_error(fmt::format(
        "--adapter-weight was given {} times for {} adapters: give it once for "
        "each --adapter, or not at all",
        weights.size(), paths.size()));
  FT_TRY(const LoadRules rules, policy.rules());
  std::vector<AdapterChoice> choices;
  for (size_t i = 0; i < paths.size(); ++i) {
    const double weight = weights.empty() ? 1 : weights[i];
    if (!(std::abs(weight) <= 1e4))
      return usage_error(fmt::format(
          "--adapter-weight {}: must lie between -10000 and 10000", weight));
    choices.push_back({paths[i], disabled ? 0 : weight, rules});
  }
  return choices;
}

void KernelOptions::add_to(CLI::App& app) {
  app.add_flag("--exact", exact,
               "only kernels whose bits are equal on every machine");
  app.add_flag("--c99", c99, "only the portable C99 reference kernels");
  layout.add_to(app);
  app.add_option("--without-kernel", without,
                 "leave out a kernel, to compare it with the one that takes "
                 "its place; may be repeated")
      ->allow_extra_args(false)
      ->check(CLI::Validator(unknown_kernel, "NAME"));
}

void LayoutOptions::add_to(CLI::App& app) {
  app.add_flag("--keep-order", keep_order,
               "run operations in the order of the model and of "
               "differentiation, instead of one that needs less memory; same "
               "bits");
  app.add_option("--patches", patches,
                 "compute the model's first convolutions in this many stripes "
                 "of image rows, so that their large outputs never exist "
                 "whole; rows between two stripes are computed twice; same "
                 "bits. auto: as needs the least RAM for at most 1.3 times the "
                 "multiply-accumulates, or with --ram the least work that "
                 "fits; off: none")
      ->capture_default_str()
      ->check(CLI::Validator(unknown_patches, "off|auto|N"));
}

PlanOptions LayoutOptions::plan(PlanOptions options) const {
  options.reorder = !keep_order;
  options.in_place = in_place;
  options.stripes = patches == "off"    ? 0
                    : patches == "auto" ? PlanOptions::kLeastRam
                                        : std::stoi(patches);
  return options;
}

Status LayoutOptions::check(
    std::initializer_list<const Program*> programs) const {
  if (patches == "off" || patches == "auto") return ok_status();
  for (const Program* p : programs)
    if (p != nullptr && stripes_of(p->graph) > 0) return ok_status();
  return usage_error(fmt::format(
      "--patches {}: nothing can be computed in so many stripes: it takes "
      "convolutions at the beginning, of one image of as many rows, whose "
      "outputs no backward pass needs",
      patches));
}

// Those that say what is trained; an adapter to go on from says it, too.
void MethodOptions::add_deciding_options(CLI::App& app) {
  const std::vector<CLI::Option*> before = app.get_options();
  std::string methods;
  for (const MethodDef* m : all_methods())
    methods += fmt::format("{}{}", methods.empty() ? "" : ", ", m->name);
  app.add_option("--method", method,
                 "PEFT method: " + methods + " (see 'fieldtune methods')")
      ->capture_default_str();
  app.add_option("--rank,-r", rank,
                 "rank of the low-rank update (small layers: what they can "
                 "have, unless they are named; default: the method's)");
  app.add_option("--alpha", alpha,
                 "lora_alpha; the update is scaled by alpha / rank "
                 "(default: twice the rank)");
  app.add_option("--target-modules", target_modules,
                 "layers to adapt: names, last parts of names or patterns, "
                 "comma separated (default: all; see 'fieldtune inspect')")
      ->delimiter(',');
  app.add_option(
         "--rank-pattern", rank_pattern,
         "another rank for some layers: 'pattern=rank', comma separated")
      ->delimiter(',');
  app.add_option("--alpha-pattern", alpha_pattern,
                 "another alpha for some layers: 'pattern=alpha'")
      ->delimiter(',');
  add_own_settings(app);
  app.add_option("--classes", classes,
                 "new classification head with this many classes");
  app.add_flag("--new-head", new_head,
               "new classification head, one class for each label of the data");
  for (const CLI::Option* option : app.get_options())
    if (std::ranges::find(before, option) == before.end())
      deciding_.push_back(option);
}

void MethodOptions::add_to(CLI::App& app) {
  add_deciding_options(app);
  app.add_option("--precision", precision,
                 "mixed: int8 forward as deployed, float gradients; f32: all "
                 "float; integer: an int8 model without any float")
      ->capture_default_str();
  app.add_option("--loss", loss,
                 "auto, cross-entropy or mse (auto: cross-entropy for models "
                 "that end in a softmax or get a new head)")
      ->capture_default_str();
  app.add_option(
         "--recompute", recompute,
         "computing values twice instead of keeping them: never, always "
         "those that cost little, all activations, or auto: as few as "
         "the budget asks for")
      ->capture_default_str();
  app.add_option("--recompute-limit", recompute_limit,
                 "compute activations twice so that the step needs the least "
                 "RAM for at most so many times the multiply-accumulates, "
                 "e.g. 1.3 (0: --recompute decides)")
      ->capture_default_str();
  app.add_option("--batch", batch, "samples in one step")
      ->capture_default_str();
  add_seq_len(app, seq_len);
  app.add_option("--ram", ram,
                 "RAM budget of the step, e.g. 256K: refuse what does not fit");
  storage.add_to(app);
  storage.add_training_to(app);
}

void StorageOptions::add_to(CLI::App& app) {
  app.add_option("--adapter-dtype", dtype,
                 "how the adapter is stored, and trained for: f32, f16, bf16, "
                 "int2 to int8 (int8 takes 1/4, int4 1/8 of f32), int16")
      ->capture_default_str();
  app.add_option("--adapter-scales", scales,
                 "values that share a step of an integer --adapter-dtype: "
                 "tensor, channel (the rank of a low-rank factor) or "
                 "block<size>, such as block32")
      ->capture_default_str();
  app.add_flag("--adapter-asymmetric", asymmetric,
               "with a zero point for each step");
  app.add_option("--adapter-f32", keep_f32,
                 "adapter tensors that stay f32: names or patterns, comma "
                 "separated")
      ->delimiter(',');
  app.add_flag("--adapter-vectors", vectors,
               "store tensors of one axis (biases, scales) in fewer bits too");
}

void StorageOptions::add_training_to(CLI::App& app) {
  app.add_flag("--learn-steps", learn_steps,
               "train the steps of an integer --adapter-dtype (LSQ), and with "
               "--adapter-asymmetric the zero points (LSQ+)");
}

Result<AdapterStorage> StorageOptions::storage() const {
  AdapterStorage s{
      .keep_f32 = keep_f32, .vectors = vectors, .learn_steps = learn_steps};
  FT_TRY_STATUS(parse_format(dtype, s.quantizer));
  FT_TRY_STATUS(parse_granularity(scales, s.quantizer));
  s.quantizer.symmetric = !asymmetric;
  if (!s.quantizer.is_integer() && (asymmetric || learn_steps))
    return usage_error(fmt::format(
        "--adapter-dtype {} has no steps: leave out --adapter-asymmetric and "
        "--learn-steps",
        dtype));
  if (s.is_f32() && (vectors || !keep_f32.empty()))
    return usage_error(
        "--adapter-vectors and --adapter-f32 need an --adapter-dtype of fewer "
        "bits than f32");
  return s;
}

void add_seq_len(CLI::App& app, int& seq_len) {
  app.add_option("--seq-len", seq_len,
                 "tokens in a sample, for models that read tokens (0: the "
                 "adapter's, else the model's longest, at most 128)")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
}

Status read_init_text(const BaseModel& base, MethodSettings& settings) {
  const auto text = settings.own.find("prompt_tuning_init_text");
  if (text == settings.own.end()) return ok_status();
  if (base.tokenizer == nullptr)
    return usage_error(
        "this model comes without a tokenizer; give "
        "--prompt-tuning-init-tokens "
        "in place of --prompt-tuning-init-text");
  std::string& tokens = settings.own["prompt_tuning_init_tokens"];
  if (!tokens.empty())
    return usage_error(
        "--prompt-tuning-init-text contradicts --prompt-tuning-init-tokens");
  tokens =
      fmt::format("{}", fmt::join(base.tokenizer->encode(text->second), ","));
  return ok_status();
}

// One option for each word, whichever methods have it.
void MethodOptions::add_own_settings(CLI::App& app) {
  std::map<const SettingDef*, std::string> users;
  for (const MethodDef* m : all_methods())
    for (const SettingDef* s : m->settings)
      users[s] += (users[s].empty() ? "" : ", ") + std::string(m->name);
  std::map<std::string_view, const SettingDef*> by_name;
  for (const auto& [setting, names] : users) by_name[setting->name] = setting;
  for (const auto& [name, setting] : by_name) {
    const std::string option = option_name(name);
    std::string& text = own[std::string(name)];
    const std::string help =
        fmt::format("{}: {}{}", users[setting], setting->summary,
                    setting->kind == SettingDef::Kind::kFlag
                        ? ""
                        : fmt::format(" [{}]", setting->preset));
    if (setting->kind == SettingDef::Kind::kFlag)
      app.add_flag_callback(
          option, [&text] { text = "true"; }, help);
    else
      app.add_option(option, text, help);
  }
}

Result<std::vector<std::pair<std::string, double>>> parse_patterns(
    const std::vector<std::string>& texts) {
  std::vector<std::pair<std::string, double>> patterns;
  for (const std::string& text : texts) {
    const size_t eq = text.rfind('=');
    double value = 0;
    const char* end = text.data() + text.size();
    if (eq == std::string::npos || eq == 0 ||
        std::from_chars(text.data() + eq + 1, end, value).ptr != end ||
        eq + 1 == text.size())
      return usage_error(
          fmt::format("'{}' is not of the form pattern=number", text));
    patterns.emplace_back(text.substr(0, eq), value);
  }
  return patterns;
}

bool MethodOptions::is_decided() const {
  return decided || std::ranges::any_of(deciding_, [](const auto* option) {
           return option->count() > 0;
         });
}

Status MethodOptions::check_sizes(int num_classes) const {
  if (classes < 0)
    return usage_error(fmt::format("--classes {}: must be positive", classes));
  if (new_head && classes > 0 && classes != num_classes)
    return usage_error(fmt::format(
        "--classes {} contradicts --new-head: the data has {} classes", classes,
        num_classes));
  if (batch < 1 || batch > 4096)
    return usage_error(
        fmt::format("--batch {}: must lie between 1 and 4096", batch));
  return ok_status();
}

Result<MethodSettings> MethodOptions::settings(
    int num_classes, uint64_t seed, const MethodSettings* start) const {
  FT_TRY_STATUS(check_sizes(num_classes));
  if (start != nullptr && !is_decided()) return *start;
  FT_TRY(const MethodDef* def, find_method(method));
  MethodSettings s;
  s.method = def->name;
  if (def->default_rank == 0 &&
      (rank || alpha || !rank_pattern.empty() || !alpha_pattern.empty()))
    return usage_error(fmt::format(
        "method {} has no rank: leave out --rank, --alpha and their patterns",
        def->name));
  s.r = rank.value_or(def->default_rank);
  s.lora_alpha = alpha.value_or(2.0 * s.r);
  s.target_modules = target_modules;
  FT_TRY(const auto ranks, parse_patterns(rank_pattern));
  for (const auto& [pattern, value] : ranks)
    s.rank_pattern.emplace_back(pattern, static_cast<int>(value));
  FT_TRY(s.alpha_pattern, parse_patterns(alpha_pattern));
  for (const auto& [name, text] : own)
    if (!text.empty()) FT_TRY_STATUS(set_setting(*def, name, text, s));
  s.num_classes = new_head ? num_classes : classes;
  s.seed = seed;
  return s;
}

Result<StepSettings> MethodOptions::step(const Graph& base,
                                         MethodSettings settings,
                                         const OptimizerSettings& optimizer,
                                         const PlanOptions& plan) const {
  if (optimizer.clip_per_sample > 0 && batch != 1)
    return usage_error(fmt::format(
        "--clip-per-sample needs --batch 1, not {}: a batch's gradient is a "
        "mean over samples (use --accumulate {} for an update of as many)",
        batch, batch));
  StepSettings s;
  FT_TRY(s.loss, loss_for(loss, base, settings));
  FT_TRY(s.precision, parse_precision(precision));
  FT_TRY(s.recompute, parse_recompute(recompute));
  FT_TRY_STATUS(check_recompute_limit());
  s.recompute_limit = recompute_limit;
  FT_TRY(s.ram_bytes, ram_bytes());
  FT_TRY(s.storage, storage.storage());
  s.method = std::move(settings);
  s.optimizer = optimizer;
  s.plan = plan;
  return s;
}

Status MethodOptions::check_recompute_limit() const {
  if (recompute_limit == 0) return ok_status();
  if (!(recompute_limit >= 1 && recompute_limit <= 100))
    return usage_error(fmt::format(
        "--recompute-limit {}: must lie between 1 and 100 (0: none)",
        recompute_limit));
  if (recompute != "auto")
    return usage_error(fmt::format(
        "--recompute-limit {} chooses what is computed twice: leave out "
        "--recompute {}",
        recompute_limit, recompute));
  return ok_status();
}

Result<size_t> MethodOptions::ram_bytes() const {
  if (ram.empty()) return SIZE_MAX;
  return parse_bytes(ram);
}

Result<Loss> loss_for(const std::string& loss, const Graph& base,
                      const MethodSettings& settings) {
  if (loss == "auto") return natural_loss(base, settings);
  if (loss == "cross-entropy" || loss == "ce")
    return Loss::kSoftmaxCrossEntropy;
  if (loss == "mse") return Loss::kMse;
  return usage_error(
      fmt::format("no loss '{}'; there are: auto, cross-entropy, mse", loss));
}

void OptimizerOptions::add_to(CLI::App& app) {
  app.add_option("--optimizer", settings.optimizer,
                 "adamw, adamw8bit (moments in 8 bits) or sgd")
      ->capture_default_str();
  app.add_option("--lr", settings.lr, "learning rate at the start")
      ->capture_default_str();
  app.add_option("--momentum", settings.momentum, "of sgd")
      ->capture_default_str();
  app.add_flag("--nesterov", settings.nesterov, "of sgd: Nesterov's step");
  app.add_option("--beta1", settings.beta1, "of adamw")->capture_default_str();
  app.add_option("--beta2", settings.beta2, "of adamw")->capture_default_str();
  app.add_option("--eps", settings.eps, "of adamw")->capture_default_str();
  app.add_option("--weight-decay", settings.weight_decay, "decoupled for adamw")
      ->capture_default_str();
  app.add_option("--schedule", settings.schedule,
                 "cosine or linear (to zero over the run), or constant")
      ->capture_default_str();
  app.add_option("--warmup", settings.warmup_steps, "updates of linear warm-up")
      ->capture_default_str();
  app.add_option("--min-8bit-size", settings.min_8bit_size,
                 "of adamw8bit: tensors with fewer values keep float32 moments")
      ->capture_default_str();
  add_gradient_options(app);
  app.add_option("--epochs", epochs, "passes over the training samples")
      ->capture_default_str();
  app.add_flag("--in-order", in_order,
               "take the samples in their own order instead of shuffling");
  app.add_option("--patience", patience,
                 "stop after this many epochs without improvement (0: never)")
      ->capture_default_str();
}

void OptimizerOptions::add_gradient_options(CLI::App& app) {
  app.add_option("--accumulate", settings.accumulate,
                 "average the gradients of this many batches for one update")
      ->capture_default_str();
  app.add_option("--update-fraction", settings.update_fraction,
                 "update only this part of each tensor's entries, those with "
                 "the largest gradients of the step, and store no other's "
                 "gradient (above 0 to 1: all)")
      ->capture_default_str();
  app.add_option("--max-grad-norm", settings.max_grad_norm,
                 "scale the gradients down to this norm of all together (0: "
                 "never; keeps all of them in memory at once)")
      ->capture_default_str();
  app.add_option("--clip-value", settings.clip_value,
                 "hold each gradient element within this magnitude (0: never)")
      ->capture_default_str();
  app.add_option("--clip-per-sample", settings.clip_per_sample,
                 "scale each sample's gradient down to this norm before "
                 "--accumulate adds it up (0: never; needs --batch 1)")
      ->capture_default_str();
}

}  // namespace ft::cli
