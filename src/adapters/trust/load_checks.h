// The ten checks that an adapter file passes before anything of it is used, in
// an order that never changes: what is cheap and bounds the rest comes first,
// and no value is trusted for what a later check has to prove.
//
//   size           not larger than the policy allows, whole header there
//   header         safetensors: every byte described once, no more, no less
//   schema         metadata of an adapter, in a version that is read here
//   base           made for the base model at hand, which the policy allows
//   quantizer      dtypes and steps; the quantizer that was asked for
//   shapes         of all tensors; those that were asked for
//   finite values  finite, and integers that the quantizer has
//   digest         SHA-256 of the file, where one was asked for
//   signature      Ed25519, as the policy wants it (signature.h)
//   version        not below what the policy or the caller allows
//
// An adapter comes out whole or not at all; nothing of the caller's is touched
// by a file that is refused. `file` must not change during a call: read it into
// memory if others may write to it. Not for what the tensors mean to a model,
// which install_adapter() (train/adapted_model.h) finds out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/adapter_file.h"
#include "adapters/trust/policy.h"
#include "adapters/trust/signature.h"
#include "base/result.h"

namespace ft {

enum class LoadCheck {
  kSize,
  kHeader,
  kSchema,
  kBase,
  kQuantizer,
  kShapes,
  kFiniteValues,
  kDigest,
  kSignature,
  kVersion
};
inline constexpr int kNumLoadChecks = 10;

std::string_view name_of(LoadCheck check);  // "size", "finite values"

// What a file must be beyond well-formed; by default nothing.
struct LoadRules {
  TrustPolicy policy = {};
  std::string base_sha256 = {};              // of the base at hand
  std::optional<Quantizer> quantizer = {};   // of all tensors
  std::map<std::string, Shape> shapes = {};  // these tensors and no others
  std::string sha256 = {};                   // of the file
  // Of the adapter whose place it takes; only with refuse_downgrade.
  uint64_t current_version = 0;
  uint64_t min_version = 0;  // in any case
  // Tensors of another program's folder: there is no metadata of ours, and what
  // a signature would cover is not all of the adapter.
  bool foreign = false;
};

// Those of a policy file alone; none where the path is empty.
Result<LoadRules> rules_of_policy(const std::string& path);

// The part of the size check that needs no file, for those who would have to
// bring it into memory first.
Status check_before_reading(size_t bytes, const LoadRules& rules,
                            const std::string& origin);

// The adapter, if all ten checks pass. The first that fails is the error: one
// sentence "ORIGIN: refused by the NAME check: ...".
Result<Adapter> load_checked(std::span<const std::byte> file,
                             const LoadRules& rules, const std::string& origin);

// The same for the tensors of another program's folder (rules.foreign).
Result<Adapter> load_foreign(std::span<const std::byte> file, LoadRules rules,
                             const std::string& origin);

// Whether a policy lets this adapter stand under a name, in a store or of one:
// another than its own never, and without one of its own only where names are
// not required. The sentence names `origin`. Who has no policy does not ask.
Status check_own_name(const Adapter& adapter, const std::string& name,
                      const TrustPolicy& policy, const std::string& origin);

struct LoadFinding {
  LoadCheck check = LoadCheck::kSize;
  enum class Outcome { kPassed, kFailed, kNotRun } outcome = Outcome::kNotRun;
  std::string sentence;  // what was found, or why it did not run
};

// All ten for a reader: those that an earlier failure leaves possible still
// run. They all pass exactly if load_checked() gives an adapter.
std::vector<LoadFinding> check_all(std::span<const std::byte> file,
                                   const LoadRules& rules);

}  // namespace ft
