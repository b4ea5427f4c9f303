// fieldtune keys: makes signing keys, and says in a policy file which are
// trusted and which are not any more. fieldtune keygen: the first of these.
#include <fmt/format.h>
#include <sys/stat.h>

#include "adapters/signing_key.h"
#include "base/file.h"
#include "base/writer_lock.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/policy_option.h"

namespace ft::cli {
namespace {

// For another command that changes the same policy.
constexpr int kLockWaitMs = 5000;

struct NewKeyOptions {
  std::string key;
  bool json = false;
  void add_to(CLI::App& app) {
    app.add_option("key", key,
                   "file to make: the signing key, readable by you only; the "
                   "public key goes to KEY.pub")
        ->required();
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

struct KeyOptions {
  std::string key;
  bool json = false;
  void add_to(CLI::App& app) {
    app.add_option("key", key, "file of a signing key, or KEY.pub")->required();
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

struct PolicyOptions {
  PolicyOption policy;
  bool json = false;
  void add_to(CLI::App& app) {
    policy.add_to(app);
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

struct TrustOptions : PolicyOptions {
  std::string name, key;
  void add_to(CLI::App& app) {
    app.add_option("name", name, "what messages call the key")->required();
    app.add_option("key", key, "public key: KEY.pub of 'keys generate'")
        ->required();
    PolicyOptions::add_to(app);
  }
};

struct RevokeOptions : PolicyOptions {
  std::string name;
  void add_to(CLI::App& app) {
    app.add_option("name", name, "of the key in the policy")->required();
    PolicyOptions::add_to(app);
  }
};

Status generate(const NewKeyOptions& options) {
  FT_TRY(const PublicKey key, create_signing_key(options.key));
  print_result({{"signing_key", options.key},
                {"public_key_file", options.key + ".pub"},
                {"public_key", to_hex(key)}},
               options.json);
  return ok_status();
}

// Of a signing key, whose bytes are never shown, or of a public one.
Status show(const KeyOptions& options) {
  FT_TRY(const MappedFile file, MappedFile::open(options.key));
  const bool secret = file.bytes().size() == 32;
  PublicKey key;
  if (secret) {
    FT_TRY(const SigningKey signing, load_signing_key(options.key));
    key = signing.public_key();
  } else {
    FT_TRY(key, load_public_key(options.key));
  }
  print_result({{"key", options.key},
                {"kind", secret ? "signing key" : "public key"},
                {"public_key", to_hex(key)}},
               options.json);
  return ok_status();
}

Status check_named(const PolicyOption& policy) {
  if (!policy.path.empty()) return ok_status();
  return usage_error(
      "no policy was named: give --policy FILE or set FIELDTUNE_POLICY");
}

Status list(const PolicyOptions& options) {
  FT_TRY_STATUS(check_named(options.policy));
  FT_TRY(const TrustPolicy policy, load_policy(options.policy.path));
  Json keys = Json::array();
  for (const PolicyKey& k : policy.keys)
    keys.push_back({{"name", k.name},
                    {"state", k.revoked ? "revoked" : "trusted"},
                    {"public_key", to_hex(k.key)}});
  Json result = {
      {"policy", options.policy.path},
      {"require_signature", policy.require_signature},
      {"require_name", policy.require_name},
      {"refuse_downgrade", policy.refuse_downgrade},
      {"max_bytes",
       policy.max_bytes == UINT64_MAX ? Json() : Json(policy.max_bytes)},
      {"bases", policy.bases},
      {"min_versions", policy.min_versions},
      {"keys", std::move(keys)}};
  if (options.json) {
    print_result(result, true);
    return ok_status();
  }
  result.erase("keys");  // whole, which a table of print_result() is not
  print_result(result, false);
  for (const PolicyKey& k : policy.keys)
    std::printf("%-7s  %s  %s\n", k.revoked ? "revoked" : "trusted",
                to_hex(k.key).c_str(), k.name.c_str());
  return ok_status();
}

Result<std::string> text_of(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0 && errno == ENOENT) return std::string();
  return read_text_file(path);
}

Status trust(const TrustOptions& options) {
  FT_TRY_STATUS(check_named(options.policy));
  FT_TRY(const PublicKey key, load_public_key(options.key));
  const std::string& path = options.policy.path;
  FT_TRY(const WriterLock lock, WriterLock::acquire(path, kLockWaitMs));
  FT_TRY(const std::string text, text_of(path));
  FT_TRY(const std::string changed,
         with_trusted_key(text, path, options.name, key));
  FT_TRY_STATUS(write_file_atomically(path, changed));
  print_result({{"policy", path},
                {"trusted", options.name},
                {"public_key", to_hex(key)}},
               options.json);
  return ok_status();
}

Status revoke(const RevokeOptions& options) {
  FT_TRY_STATUS(check_named(options.policy));
  const std::string& path = options.policy.path;
  FT_TRY(const WriterLock lock, WriterLock::acquire(path, kLockWaitMs));
  FT_TRY(const std::string text, read_text_file(path));
  FT_TRY(const std::string changed, with_revoked_key(text, path, options.name));
  if (changed != text) FT_TRY_STATUS(write_file_atomically(path, changed));
  print_result({{"policy", path}, {"revoked", options.name}}, options.json);
  return ok_status();
}

}  // namespace

void add_keygen(CLI::App& app, Action& action) {
  add_command<NewKeyOptions>(
      app, action, "keygen",
      "Make an Ed25519 key that signs adapters and device images",
      "fieldtune keygen release.key", generate);
}

void add_keys(CLI::App& app, Action& action) {
  CLI::App* keys = app.add_subcommand(
      "keys", "Make signing keys; say in a policy which are trusted");
  keys->require_subcommand(1);
  keys->footer(
      "Example:\n"
      "  fieldtune keys generate release.key\n"
      "  fieldtune keys trust release release.key.pub --policy trust.toml");
  add_command<NewKeyOptions>(
      *keys, action, "generate",
      "Make an Ed25519 key that signs adapters and device "
      "images, and KEY.pub beside it",
      "fieldtune keys generate release.key", generate);
  add_command<KeyOptions>(*keys, action, "show", "The public half of a key",
                          "fieldtune keys show release.key", show);
  add_command<PolicyOptions>(*keys, action, "list",
                             "What a policy asks for, and its keys",
                             "fieldtune keys list --policy trust.toml", list);
  add_command<TrustOptions>(
      *keys, action, "trust",
      "Add a public key to a policy; a new policy requires signatures and "
      "refuses downgrades",
      "fieldtune keys trust release release.key.pub --policy trust.toml",
      trust);
  add_command<RevokeOptions>(
      *keys, action, "revoke",
      "Trust a key no more: what it signed is refused, wherever it was signed",
      "fieldtune keys revoke release --policy trust.toml", revoke);
}

}  // namespace ft::cli
