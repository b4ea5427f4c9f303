#include "adapters/trust/load_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "adapters/stored_tensor.h"
#include "adapters/tensor_reader.h"
#include "base/hash.h"
#include "formats/safetensors/safetensors.h"

namespace ft {
namespace {

// A file on its way through the checks; each leaves what later ones need.
struct Load {
  std::span<const std::byte> file;
  const LoadRules& rules;
  std::optional<Safetensors> parsed = {};
  Adapter adapter = {};
  std::optional<TensorReader> reader = {};
};

// What was found, or why the file is refused.
using Finding = Result<std::string>;

Status within_limit(size_t bytes, const LoadRules& rules) {
  const uint64_t most = rules.policy.max_bytes;
  if (bytes <= most) return ok_status();
  return invalid_input(
      fmt::format("{} bytes, where the policy takes at most {}", bytes, most));
}

Finding check_size(Load& load) {
  const size_t bytes = load.file.size();
  FT_TRY_STATUS(within_limit(bytes, load.rules));
  FT_TRY(const size_t header, safetensors_header_bytes(load.file));
  return fmt::format("{} bytes, {} of them header", bytes, header);
}

Finding check_header(Load& load) {
  FT_TRY(load.parsed, parse_safetensors(load.file));
  load.adapter.metadata.insert(load.parsed->metadata.begin(),
                               load.parsed->metadata.end());
  load.reader.emplace(*load.parsed);
  return fmt::format("{} tensors and {} metadata values account for every byte",
                     load.parsed->tensors.size(), load.parsed->metadata.size());
}

Finding check_schema(Load& load) {
  if (load.rules.foreign)
    return std::string("tensors of another program's folder");
  FT_TRY_STATUS(ft::check_schema(load.adapter.metadata));
  return fmt::format("adapter of method {} in format version {}",
                     load.adapter.get("method"),
                     load.adapter.get("format_version"));
}

Finding check_base(Load& load) {
  const LoadRules& rules = load.rules;
  const std::string made_for = load.adapter.get("base_sha256");
  if (!rules.base_sha256.empty())
    FT_TRY_STATUS(ft::check_base(load.adapter, rules.base_sha256));
  const std::string& base = made_for.empty() ? rules.base_sha256 : made_for;
  const auto& allowed = rules.policy.bases;
  if (!allowed.empty() && std::ranges::find(allowed, base) == allowed.end())
    return invalid_input(
        base.empty()
            ? "it names no base model, and the policy says which are allowed"
            : fmt::format("base model {} is none of the {} that the policy "
                          "allows",
                          base, allowed.size()));
  if (base.empty()) return std::string("any base whose layers it fits");
  return fmt::format("for base model {}{}", base,
                     rules.base_sha256.empty() ? ", which was not at hand"
                                               : ", which is at hand");
}

// The quantizer of every tensor in words; of integers, which may leave some
// tensors in float32, theirs.
std::string quantizer_in_words(const TensorReader& reader) {
  if (reader.quantizer()) return reader.quantizer()->to_string();
  std::string word;
  for (const AdapterEntry& t : reader.tensors()) {
    const std::string own = t.quantizer.dtype_name();
    if (!word.empty() && own != word) return word + " and " + own;
    word = own;
  }
  return word.empty() ? Quantizer().dtype_name() : word;
}

Finding check_quantizer(Load& load) {
  FT_TRY_STATUS(load.reader->read_quantizer());
  std::string found = quantizer_in_words(*load.reader);
  const auto& wanted = load.rules.quantizer;
  if (!wanted) return found;
  const std::string words =
      wanted->is_integer() ? wanted->to_string() : wanted->dtype_name();
  if (found == words) return found;
  return invalid_input(fmt::format(
      "the adapter is stored as {}, where {} is wanted", found, words));
}

Finding check_shapes(Load& load) {
  FT_TRY_STATUS(load.reader->read_shapes());
  const auto& tensors = load.reader->tensors();
  const auto& wanted = load.rules.shapes;
  if (wanted.empty())
    return fmt::format("{} tensors, each as long as its shape", tensors.size());
  for (const AdapterEntry& t : tensors) {
    const auto at = wanted.find(t.name);
    if (at == wanted.end())
      return invalid_input(
          fmt::format("tensor '{}' has no place in this model", t.name));
    if (at->second != t.shape)
      return invalid_input(fmt::format("tensor '{}' has shape {}, expected {}",
                                       t.name, t.shape.to_string(),
                                       at->second.to_string()));
  }
  if (tensors.size() != wanted.size())
    return invalid_input(fmt::format("{} tensors, where the model takes {}",
                                     tensors.size(), wanted.size()));
  return fmt::format("{} tensors of the model's shapes", tensors.size());
}

Finding check_values(Load& load) {
  FT_TRY_STATUS(load.reader->read_values());
  load.adapter.tensors = load.reader->take();
  size_t values = 0;
  for (const AdapterEntry& t : load.adapter.tensors) values += t.values.size();
  return fmt::format("{} values, all finite", values);
}

Finding check_digest(Load& load) {
  const std::string& wanted = load.rules.sha256;
  if (wanted.empty()) return std::string("no digest was given to compare with");
  const std::string found = sha256_hex(load.file);
  if (found == wanted) return "SHA-256 " + found;
  return invalid_input(
      fmt::format("SHA-256 is {}, expected {}", found, wanted));
}

// Of a file that has a signature, verified: what the policy says of its key.
Finding check_signer(const Load& load, const PublicKey& key) {
  const TrustPolicy& policy = load.rules.policy;
  const PolicyKey* known = policy.find(key);
  if (known != nullptr && known->revoked)
    return invalid_input(
        fmt::format("signed with key '{}' ({}), which is "
                    "revoked",
                    known->name, to_hex(key)));
  if (known != nullptr) return fmt::format("signed with key '{}'", known->name);
  if (policy.require_signature)
    return invalid_input(fmt::format(
        "signed with key {}, which the policy does not trust", to_hex(key)));
  return fmt::format("signed with key {}, which no policy knows", to_hex(key));
}

Finding check_signature(Load& load) {
  const char* way_out = load.rules.foreign
                            ? "; 'fieldtune sign FOLDER --base MODEL' makes a "
                              "signed file of the folder"
                            : "";
  FT_TRY(const auto signature,
         find_signature(load.file, load.adapter.metadata));
  const bool required = load.rules.policy.require_signature;
  if (!signature) {
    if (!required) return std::string("not signed, which no policy forbids");
    return invalid_input(fmt::format(
        "not signed, and the policy requires a signature{}", way_out));
  }
  FT_TRY_STATUS(verify_signature(load.file, *signature));
  FT_TRY(std::string signer, check_signer(load, signature->key));
  if (!required || !load.rules.foreign) return signer;
  return invalid_input(fmt::format(
      "the signature covers the folder's tensors but not its settings, and the "
      "policy requires one{}",
      way_out));
}

Finding check_version(Load& load) {
  FT_TRY(const uint64_t version, adapter_version(load.adapter.metadata));
  const LoadRules& rules = load.rules;
  const std::string name = load.adapter.get("name");
  if (version < rules.min_version)
    return invalid_input(fmt::format("version {}, at least {} is wanted",
                                     version, rules.min_version));
  const auto least = rules.policy.min_versions.find(name);
  if (least != rules.policy.min_versions.end() && version < least->second)
    return invalid_input(
        fmt::format("version {} of '{}', which the policy takes from {}",
                    version, name, least->second));
  if (rules.policy.refuse_downgrade && version < rules.current_version)
    return invalid_input(fmt::format(
        "version {} would take the place of version {}, and the policy refuses "
        "downgrades",
        version, rules.current_version));
  return version == 0 ? std::string("it has no version")
                      : fmt::format("version {}", version);
}

struct CheckRow {
  LoadCheck check;
  std::string_view name;
  Finding (*run)(Load&);
  // The check whose result it works on; itself where it needs none.
  LoadCheck needs;
};

// The order is the contract.
constexpr std::array<CheckRow, kNumLoadChecks> kChecks = {{
    {LoadCheck::kSize, "size", check_size, LoadCheck::kSize},
    {LoadCheck::kHeader, "header", check_header, LoadCheck::kSize},
    {LoadCheck::kSchema, "schema", check_schema, LoadCheck::kHeader},
    {LoadCheck::kBase, "base", check_base, LoadCheck::kHeader},
    {LoadCheck::kQuantizer, "quantizer", check_quantizer, LoadCheck::kHeader},
    {LoadCheck::kShapes, "shapes", check_shapes, LoadCheck::kQuantizer},
    {LoadCheck::kFiniteValues, "finite values", check_values,
     LoadCheck::kShapes},
    {LoadCheck::kDigest, "digest", check_digest, LoadCheck::kSize},
    {LoadCheck::kSignature, "signature", check_signature, LoadCheck::kHeader},
    {LoadCheck::kVersion, "version", check_version, LoadCheck::kHeader},
}};

size_t index_of(LoadCheck check) { return static_cast<size_t>(check); }

}  // namespace

std::string_view name_of(LoadCheck check) {
  return kChecks[index_of(check)].name;
}

Result<LoadRules> rules_of_policy(const std::string& path) {
  LoadRules rules;
  if (path.empty()) return rules;
  FT_TRY(rules.policy, load_policy(path));
  return rules;
}

Status check_before_reading(size_t bytes, const LoadRules& rules,
                            const std::string& origin) {
  Status status = within_limit(bytes, rules);
  if (status.ok()) return status;
  return status.in(origin + ": refused by the size check");
}

Result<Adapter> load_checked(std::span<const std::byte> file,
                             const LoadRules& rules,
                             const std::string& origin) {
  Load load{.file = file, .rules = rules};
  for (const CheckRow& row : kChecks) {
    const Finding found = row.run(load);
    if (!found.ok())
      return Status(found.status())
          .in(fmt::format("{}: refused by the {} check", origin, row.name));
  }
  return std::move(load.adapter);
}

Result<Adapter> load_foreign(std::span<const std::byte> file, LoadRules rules,
                             const std::string& origin) {
  rules.foreign = true;
  return load_checked(file, rules, origin);
}

Status check_own_name(const Adapter& adapter, const std::string& name,
                      const TrustPolicy& policy, const std::string& origin) {
  const std::string own = adapter.get("name");
  if (own == name || (own.empty() && !policy.require_name)) return ok_status();
  if (own.empty())
    return invalid_input(fmt::format(
        "{}: the file does not say which adapter it is, and the policy "
        "requires that of what stands as '{}': sign it with --adapter-name {}",
        origin, name, name));
  return invalid_input(
      fmt::format("{}: the file says that it is adapter '{}': under a policy "
                  "it is not taken as '{}'",
                  origin, own, name));
}

std::vector<LoadFinding> check_all(std::span<const std::byte> file,
                                   const LoadRules& rules) {
  using Outcome = LoadFinding::Outcome;
  Load load{.file = file, .rules = rules};
  std::vector<LoadFinding> findings;
  for (const CheckRow& row : kChecks) {
    const bool can_run =
        row.needs == row.check ||
        findings[index_of(row.needs)].outcome == Outcome::kPassed;
    if (!can_run) {
      findings.push_back(
          {row.check, Outcome::kNotRun,
           fmt::format("needs what the {} check reads", name_of(row.needs))});
      continue;
    }
    const Finding found = row.run(load);
    findings.push_back({row.check,
                        found.ok() ? Outcome::kPassed : Outcome::kFailed,
                        found.ok() ? *found : found.status().message()});
  }
  return findings;
}

}  // namespace ft
