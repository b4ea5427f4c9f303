// Whose adapters a device takes: a TOML file that its owner writes.
//
//   format = 1
//   require_signature = true    # default false
//   require_name = true         # default: as require_signature
//   refuse_downgrade = true     # default false
//   max_bytes = 16777216        # of an adapter file; default: any size
//   bases = ["5a0c..."]         # SHA-256 of base models; default: any
//
//   [min_versions]              # by the adapter's metadata `name`
//   kitchen = 3
//
//   [[key]]
//   name = "release"
//   public_key = "9f2c..."      # 64 hex digits, or a file (KEY.pub) by its
//   revoked = false             # path from the policy's folder
//
// An unknown or malformed key is refused with its line: a policy that is half
// understood protects nothing. Not for secrets: a policy has public keys only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/signing_key.h"
#include "base/result.h"

namespace ft {

struct PolicyKey {
  std::string name;
  PublicKey key = {};
  bool revoked = false;
};

struct TrustPolicy {
  std::vector<PolicyKey> keys = {};
  // Takes only what a key of the list signed that is not revoked. Without it
  // unsigned files and those of unknown signers are taken too; a signature that
  // does not verify and one of a revoked key are refused in any case.
  bool require_signature = false;
  // Under a name takes only a file that says this name itself: otherwise what
  // was signed for one place could be put into any other.
  bool require_name = false;
  // Takes no lower version than that of the adapter whose place it takes.
  bool refuse_downgrade = false;
  uint64_t max_bytes = UINT64_MAX;
  std::vector<std::string> bases = {};  // empty: any
  std::map<std::string, uint64_t> min_versions = {};

  const PolicyKey* find(const PublicKey& key) const;
  const PolicyKey* find(std::string_view name) const;
};

// `path` is for messages, and public keys in files are found from its folder.
Result<TrustPolicy> parse_policy(std::string_view text,
                                 const std::string& path);
Result<TrustPolicy> load_policy(const std::string& path);

// The text of a policy with one key more, or with that key revoked; everything
// else stays as it was, comments too. An empty text becomes a policy that
// requires signatures and refuses downgrades. Fails (usage) for a name or key
// that is there already, or is not.
Result<std::string> with_trusted_key(const std::string& text,
                                     const std::string& path,
                                     const std::string& name,
                                     const PublicKey& key);
Result<std::string> with_revoked_key(const std::string& text,
                                     const std::string& path,
                                     const std::string& name);

}  // namespace ft
