// fieldtune verify: the ten load checks of an adapter file, one line each.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "adapters/adapter_bytes.h"
#include "adapters/trust/load_checks.h"
#include "base/hash.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/policy_option.h"
#include "cli/whole_number.h"
#include "exchange/any_adapter.h"
#include "train/adapted_model.h"
#include "train/base_model.h"

namespace ft::cli {
namespace {

using Outcome = LoadFinding::Outcome;

struct Options {
  std::string adapter, base, sha256, quantizer;
  PolicyOption policy;
  uint64_t min_version = 0;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("adapter", adapter,
                   "adapter file (.safetensors), or a folder of PEFT or "
                   "AdapterHub")
        ->required();
    policy.add_to(app);
    app.add_option("--base", base, "the base model that it must be for");
    app.add_option("--quantizer", quantizer,
                   "how it must be stored: float32, float16, int8/channel, "
                   "int4/asymmetric/block32 ...");
    app.add_option("--sha256", sha256, "digest that its file must have");
    app.add_option("--min-version", min_version,
                   "refuse lower versions of the adapter")
        ->check(whole_number(uint64_t{0}, UINT64_MAX));
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Result<LoadRules> rules_of(const Options& options) {
  FT_TRY(LoadRules rules, options.policy.rules());
  rules.min_version = options.min_version;
  rules.sha256 = options.sha256;
  if (!options.quantizer.empty()) {
    auto quantizer = parse_quantizer(options.quantizer);
    if (!quantizer.ok())
      return usage_error("--quantizer: " + quantizer.status().message());
    rules.quantizer = *quantizer;
  }
  if (!options.base.empty()) {
    FT_TRY(const BaseModel base, open_base_model(options.base));
    rules.base_sha256 = base.sha256;
  }
  std::error_code ignored;
  rules.foreign = std::filesystem::is_directory(options.adapter, ignored);
  return rules;
}

// What the base says of the adapter's tensors: those of its method with its
// settings. Fails where they do not go together, or the file is no adapter.
Result<std::map<std::string, Shape>> shapes_of(const std::string& base_path,
                                               std::span<const std::byte> file,
                                               const std::string& origin) {
  FT_TRY(LoadedAdapter loaded, read_adapter(file, origin));
  FT_TRY(const Precision precision, common_precision(std::span(&loaded, 1)));
  FT_TRY(const BaseModel base,
         load_base(base_path, precision, 1, recorded_seq_len(loaded.adapter)));
  FT_TRY_STATUS(fit_to_base(base, loaded));
  FT_TRY(
      const CompiledStep step,
      compile_inference(base.graph, loaded.method,
                        {.placement_rounds = 0, .reorder = false}, precision));
  std::map<std::string, Shape> shapes;
  for (const AdapterTensor& t : step.adapted.tensors)
    shapes[t.name] = t.file_shape();
  return shapes;
}

const char* word_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kPassed: return "passed";
    case Outcome::kFailed: return "failed";
    case Outcome::kNotRun: break;
  }
  return "not run";
}

void print(const Options& options, const std::vector<LoadFinding>& findings,
           const std::string& sha256, bool passed) {
  if (!options.json) {
    for (const LoadFinding& f : findings)
      std::printf("%-7s  %-13s  %s\n", word_of(f.outcome),
                  std::string(name_of(f.check)).c_str(), f.sentence.c_str());
    return;
  }
  Json checks = Json::array();
  for (const LoadFinding& f : findings)
    checks.push_back({{"check", name_of(f.check)},
                      {"outcome", word_of(f.outcome)},
                      {"sentence", f.sentence}});
  print_result({{"adapter", options.adapter},
                {"passed", passed},
                {"adapter_sha256", sha256},
                {"checks", std::move(checks)}},
               true);
}

Status run(const Options& options) {
  FT_TRY(LoadRules rules, rules_of(options));
  FT_TRY(const std::vector<std::byte> file,
         read_adapter_bytes(adapter_tensor_file(options.adapter)));
  if (!options.base.empty() && !rules.foreign) {
    auto shapes = shapes_of(options.base, file, "'" + options.adapter + "'");
    if (shapes.ok()) rules.shapes = std::move(shapes).value();
  }
  const auto findings = check_all(file, rules);
  const auto failed =
      std::ranges::find(findings, Outcome::kFailed, &LoadFinding::outcome);
  print(options, findings, sha256_hex(file), failed == findings.end());
  if (failed == findings.end()) return ok_status();
  return invalid_input(fmt::format("'{}': refused by the {} check: {}",
                                   options.adapter, name_of(failed->check),
                                   failed->sentence));
}

}  // namespace

void add_verify(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "verify",
                       "Show the ten checks that an adapter passes before it "
                       "is used; exit 3 if one fails",
                       "fieldtune verify me.safetensors --policy trust.toml "
                       "--base kws.tflite",
                       run);
}

}  // namespace ft::cli
