// fieldtune delta make | apply | inspect: small files that lead from one
// version of an adapter to the next.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "adapters/delta/delta_file.h"
#include "adapters/device_image.h"
#include "adapters/trust/load_checks.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/policy_option.h"
#include "fieldtune/adapter_store.h"
#include "formats/safetensors/safetensors.h"

namespace ft::cli {
namespace {

constexpr const char* kBinary = "adapter file or device image";

const char* name_of(ft_delta_mode mode) {
  switch (mode) {
    case FT_DELTA_LOSSLESS: return "lossless";
    case FT_DELTA_LOSSY: return "lossy";
    case FT_DELTA_FULL: return "full";
  }
  return "?";
}

std::string hex_digest(const uint8_t* digest) {
  std::string text;
  for (size_t i = 0; i < FT_DELTA_DIGEST_BYTES; ++i)
    text += fmt::format("{:02x}", digest[i]);
  return text;
}

bool is_same_file(const std::string& one, const std::string& other) {
  std::error_code none;  // where one of them is not there they differ
  return one == other || std::filesystem::equivalent(one, other, none);
}

// Whatever is written must not be what is read.
Status check_out(const std::string& out,
                 std::initializer_list<std::string> inputs) {
  const auto is_out = [&](const std::string& input) {
    return is_same_file(input, out);
  };
  if (std::ranges::any_of(inputs, is_out))
    return usage_error(fmt::format("'{}' is an input, too", out));
  return check_writable(out);
}

struct MakeOptions {
  std::string before, after, out, result;
  DeltaOptions delta;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("old", before, std::string("what devices have: ") + kBinary)
        ->required();
    app.add_option("new", after, "what they shall have")->required();
    app.add_option("--out,-o", out, "delta to write")->required();
    app.add_option("--bits", delta.bits,
                   "lossy: floats change by multiples of a step, in so many "
                   "bits (8 or 4); integers stay exact")
        ->check(CLI::IsMember({8, 4}));
    app.add_option("--result", result,
                   "write what applying gives, too: of a lossy delta not NEW "
                   "itself, and what the next delta must start from");
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status run_make(const MakeOptions& options) {
  if (options.delta.bits != 0 && options.result.empty())
    return usage_error(
        "--bits needs --result: what devices will have is not NEW, and the "
        "next delta starts from it");
  FT_TRY_STATUS(check_out(options.out, {options.before, options.after}));
  if (is_same_file(options.result, options.out))
    return usage_error(
        fmt::format("--out and --result are both '{}'", options.out));
  if (!options.result.empty())
    FT_TRY_STATUS(check_out(options.result, {options.before, options.after}));
  FT_TRY(const MappedFile before, MappedFile::open(options.before));
  FT_TRY(const MappedFile after, MappedFile::open(options.after));
  FT_TRY(const DeltaFile delta,
         make_delta(before.bytes(), after.bytes(), options.delta));
  if (!options.result.empty())
    FT_TRY_STATUS(write_file_atomically(options.result, delta.result));
  FT_TRY_STATUS(write_file_atomically(options.out, delta.bytes));
  print_result({{"delta", options.out},
                {"mode", name_of(delta.mode)},
                {"delta_bytes", delta.bytes.size()},
                {"old_bytes", before.bytes().size()},
                {"new_bytes", after.bytes().size()},
                {"share", static_cast<double>(delta.bytes.size()) /
                              static_cast<double>(after.bytes().size())},
                {"old_sha256", sha256_hex(before.bytes())},
                {"new_sha256", sha256_hex(delta.result)},
                {"delta_sha256", sha256_hex(delta.bytes)}},
               options.json);
  return ok_status();
}

struct ApplyOptions {
  std::string before, delta, out, max_bytes;
  PolicyOption policy;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("old", before,
                   "the file that the delta was made for, which stays as it is")
        ->required();
    app.add_option("delta", delta, "delta of 'fieldtune delta make'")
        ->required();
    app.add_option("--out,-o", out, "result to write; whole or not at all")
        ->required();
    app.add_option("--max-bytes", max_bytes,
                   "largest result, or less by the policy (default: 64M)");
    policy.add_to(app);
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

// Before anything is decoded: a small delta may promise a result of 4 GB.
Status check_size(const ApplyOptions& options, const TrustPolicy& policy,
                  const ft_delta_head& head) {
  uint64_t most = fieldtune::AdapterStore::kMostDeltaBytes;
  if (!options.max_bytes.empty()) {
    FT_TRY(most, parse_bytes(options.max_bytes));
  }
  most = std::min(most, policy.max_bytes);
  if (head.new_bytes <= most) return ok_status();
  return does_not_fit(fmt::format(
      "'{}': its result would have {} bytes, above the limit of {}; nothing "
      "was written",
      options.delta, head.new_bytes, most));
}

// The result passes the checks of any adapter that comes from outside, and
// where the policy says so its version must not be below that of OLD. Under a
// policy it is the adapter that OLD is, too.
Status check_result(const ApplyOptions& options, LoadRules rules,
                    std::span<const std::byte> before,
                    std::span<const std::byte> result) {
  if (is_device_image(result)) return ok_status();  // has a key of its own
  FT_TRY(const Adapter old_adapter, decode_adapter(before, options.before));
  FT_TRY(rules.current_version, adapter_version(old_adapter.metadata));
  const std::string origin = "the result of '" + options.delta + "'";
  FT_TRY(const Adapter adapter, load_checked(result, rules, origin));
  const std::string name = old_adapter.get("name");
  if (options.policy.path.empty() || name.empty()) return ok_status();
  return check_own_name(adapter, name, rules.policy, origin);
}

Status run_apply(const ApplyOptions& options) {
  FT_TRY_STATUS(check_out(options.out, {options.before, options.delta}));
  FT_TRY(const MappedFile before, MappedFile::open(options.before));
  FT_TRY(const MappedFile delta, MappedFile::open(options.delta));
  const std::string origin = "'" + options.delta + "'";
  FT_TRY(const ft_delta_head head, delta_head(delta.bytes(), origin));
  FT_TRY(const LoadRules rules, options.policy.rules());
  FT_TRY_STATUS(check_size(options, rules.policy, head));
  FT_TRY(const auto result, apply_delta(before.bytes(), delta.bytes(), origin));
  FT_TRY_STATUS(check_result(options, rules, before.bytes(), result));
  FT_TRY_STATUS(write_file_atomically(options.out, result));
  print_result({{"result", options.out},
                {"mode", name_of(head.mode)},
                {"result_bytes", result.size()},
                {"delta_bytes", delta.bytes().size()},
                {"old_sha256", hex_digest(head.old_sha256)},
                {"new_sha256", hex_digest(head.new_sha256)}},
               options.json);
  return ok_status();
}

struct InspectOptions {
  std::string delta, before;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("delta", delta, "delta file")->required();
    app.add_option("--old", before,
                   "what it is made for: says what each tensor takes");
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

struct Part {
  std::string name;
  size_t offset, bytes;
};

// Header and tensors of a result, or header and payload.
Result<std::vector<Part>> parts_of(std::span<const std::byte> file) {
  if (is_device_image(file))
    return std::vector<Part>{{"header", 0, 128},
                             {"payload", 128, file.size() - 128}};
  FT_TRY(const Safetensors parsed, parse_safetensors(file));
  std::vector<Part> parts{{"header", 0, file.size()}};
  for (const SafetensorsEntry& t : parsed.tensors) {
    parts[0].bytes -= t.data.size();
    parts.push_back({t.name, static_cast<size_t>(t.data.data() - file.data()),
                     t.data.size()});
  }
  return parts;
}

Result<Json> tensor_costs(std::span<const std::byte> before,
                          std::span<const std::byte> delta,
                          const std::string& origin) {
  FT_TRY(const AppliedDelta applied,
         apply_delta_with_costs(before, delta, origin));
  FT_TRY(const std::vector<Part> parts, parts_of(applied.result));
  Json list = Json::array();
  for (const Part& part : parts) {
    double cost = 0;
    for (size_t i = part.offset; i < part.offset + part.bytes; ++i)
      cost += double{applied.cost_bytes[i]};
    list.push_back({{"name", part.name},
                    {"bytes", part.bytes},
                    {"delta_bytes", std::round(cost * 10) / 10}});
  }
  return list;
}

Status run_inspect(const InspectOptions& options) {
  FT_TRY(const MappedFile delta, MappedFile::open(options.delta));
  const std::string origin = "'" + options.delta + "'";
  FT_TRY(const ft_delta_head head, delta_head(delta.bytes(), origin));
  Json fields = {{"delta", options.delta},
                 {"mode", name_of(head.mode)},
                 {"delta_bytes", delta.bytes().size()},
                 {"head_bytes", FT_DELTA_HEAD_BYTES},
                 {"old_bytes", head.old_bytes},
                 {"new_bytes", head.new_bytes},
                 {"old_sha256", hex_digest(head.old_sha256)},
                 {"new_sha256", hex_digest(head.new_sha256)},
                 {"old_crc32", fmt::format("{:08x}", head.old_crc32)},
                 {"new_crc32", fmt::format("{:08x}", head.new_crc32)}};
  if (!options.before.empty()) {
    FT_TRY(const MappedFile before, MappedFile::open(options.before));
    FT_TRY(fields["tensors"],
           tensor_costs(before.bytes(), delta.bytes(), origin));
  }
  print_result(fields, options.json);
  return ok_status();
}

}  // namespace

void add_delta(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand(
      "delta", "Make, apply and show small files from version to version");
  sub->require_subcommand(1);
  sub->footer(
      "Example:\n  fieldtune delta make v1.safetensors v2.safetensors -o "
      "v2.delta\n  fieldtune delta apply v1.safetensors v2.delta -o "
      "v2.safetensors");
  add_command<MakeOptions>(
      *sub, action, "make", "Write what leads from one version to the next",
      "fieldtune delta make v1.safetensors v2.safetensors -o v2.delta\n  "
      "fieldtune delta make v1.safetensors v2.safetensors --bits 8 -o v2.delta "
      "--result v2-there.safetensors",
      run_make);
  add_command<ApplyOptions>(
      *sub, action, "apply", "Make the next version of what is there",
      "fieldtune delta apply v1.safetensors v2.delta -o v2.safetensors",
      run_apply);
  add_command<InspectOptions>(
      *sub, action, "inspect", "Show a delta's head, and what tensors take",
      "fieldtune delta inspect v2.delta --old v1.safetensors", run_inspect);
}

}  // namespace ft::cli
