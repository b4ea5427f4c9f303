#include "adapters/trust/policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sodium.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/plain_text.h"
#include "base/toml_table.h"

namespace ft {
namespace {

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// A file's text as a policy.
class PolicyReader {
 public:
  // `path`: files of keys are named from its folder.
  PolicyReader(const TomlFile& file, const std::string& path)
      : file_(file), root_(file.root()), path_(path) {}

  Result<TrustPolicy> run() {
    if (!root_.has("format") || root_.whole("format") != 1)
      root_.fail("format", "1: that is what this program reads");
    root_.read("require_signature", policy_.require_signature);
    policy_.require_name = policy_.require_signature;
    root_.read("require_name", policy_.require_name);
    root_.read("refuse_downgrade", policy_.refuse_downgrade);
    if (root_.has("max_bytes"))
      policy_.max_bytes = static_cast<uint64_t>(root_.whole("max_bytes", 1));
    if (root_.has("bases")) read_bases();
    if (root_.has("min_versions")) read_min_versions();
    if (root_.has("key"))
      for (const TomlTable& key : root_.tables("key")) read_key(key);
    root_.done();
    FT_TRY_STATUS(file_.status());
    return std::move(policy_);
  }

 private:
  void read_bases() {
    policy_.bases = root_.texts("bases");
    if (policy_.bases.empty())
      root_.fail("bases",
                 "a list of SHA-256 with one entry at least; leave it out to "
                 "take any base");
    for (size_t i = 0; i < policy_.bases.size(); ++i)
      if (!is_hex(policy_.bases[i], 64))
        root_.refuse(*root_.raw()["bases"][i].node(),
                     "'bases' must hold SHA-256 as 64 lower-case hex digits");
  }

  void read_min_versions() {
    TomlTable versions = root_.table("min_versions");
    for (const auto& [name, item] : versions.raw())
      policy_.min_versions[std::string(name.str())] =
          static_cast<uint64_t>(versions.whole(name.str(), 1));
  }

  void read_key(TomlTable table) {
    PolicyKey entry{.name = table.text("name"), .revoked = false};
    if (entry.name.empty()) table.fail("name", "at least one letter long");
    const std::string key = table.text("public_key");
    if (file_.status().ok()) entry.key = public_key(table, key);
    table.read("revoked", entry.revoked);
    table.done();
    if (policy_.find(entry.name) != nullptr)
      table.refuse(table.raw(),
                   fmt::format("there are two keys '{}'", entry.name));
    if (const PolicyKey* same = policy_.find(entry.key); same != nullptr)
      table.refuse(table.raw(), fmt::format("keys '{}' and '{}' are the same",
                                            same->name, entry.name));
    policy_.keys.push_back(std::move(entry));
  }

  PublicKey public_key(TomlTable& table, const std::string& text) const {
    PublicKey key{};
    if (is_hex(text, 64)) {
      sodium_hex2bin(key.data(), key.size(), text.data(), text.size(), nullptr,
                     nullptr, nullptr);
      return key;
    }
    const auto path = std::filesystem::path(path_).parent_path() / text;
    const auto loaded = load_public_key(path.string());
    if (loaded.ok()) return *loaded;
    table.refuse("public_key",
                 fmt::format("'public_key' is neither 64 lower-case hex digits "
                             "nor a file with them: {}",
                             loaded.status().message()));
    return key;
  }

  const TomlFile& file_;
  TomlTable root_;
  const std::string& path_;
  TrustPolicy policy_;
};

// TOML and JSON escape what a name may hold alike; no name may hold more.
Status check_name(const std::string& name) {
  constexpr size_t kLongestName = 128;
  FT_TRY_STATUS(check_plain_text("the name of a key", name, kLongestName));
  const bool plain = !name.empty() && std::ranges::all_of(name, [](char c) {
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
  });
  if (plain) return ok_status();
  return usage_error(fmt::format(
      "'{}' is no name of a key: printable ASCII without '\"' and '\\'", name));
}

constexpr const char* kNewPolicy =
    "# Whose adapters this device takes (fieldtune keys --help).\n"
    "format = 1\n"
    "require_signature = true\n"
    "refuse_downgrade = true\n";

// Where line `line` (from 1) begins.
size_t line_at(std::string_view text, size_t line) {
  size_t at = 0;
  for (; line > 1 && at < text.size(); --line)
    at = std::min(text.find('\n', at), text.size() - 1) + 1;
  return at;
}

}  // namespace

const PolicyKey* TrustPolicy::find(const PublicKey& key) const {
  const auto at = std::ranges::find(keys, key, &PolicyKey::key);
  return at == keys.end() ? nullptr : &*at;
}

const PolicyKey* TrustPolicy::find(std::string_view name) const {
  const auto at = std::ranges::find(keys, name, &PolicyKey::name);
  return at == keys.end() ? nullptr : &*at;
}

Result<TrustPolicy> parse_policy(std::string_view text,
                                 const std::string& path) {
  FT_TRY(const TomlFile file, TomlFile::parse(text, path));
  return PolicyReader(file, path).run();
}

Result<TrustPolicy> load_policy(const std::string& path) {
  FT_TRY(const std::string text, read_text_file(path));
  return parse_policy(text, path);
}

Result<std::string> with_trusted_key(const std::string& text,
                                     const std::string& path,
                                     const std::string& name,
                                     const PublicKey& key) {
  FT_TRY_STATUS(check_name(name));
  std::string out = text.empty() ? kNewPolicy : text;
  FT_TRY(const TrustPolicy before, parse_policy(out, path));
  if (before.find(name) != nullptr)
    return usage_error(fmt::format(
        "'{}' has a key '{}' already; take another name", path, name));
  if (const PolicyKey* same = before.find(key); same != nullptr)
    return usage_error(fmt::format("'{}' has this key already as '{}'{}", path,
                                   same->name,
                                   same->revoked ? ", revoked" : ""));
  if (!out.ends_with('\n')) out += '\n';
  out += fmt::format("\n[[key]]\nname = \"{}\"\npublic_key = \"{}\"\n", name,
                     to_hex(key));
  FT_TRY(const TrustPolicy after, parse_policy(out, path));
  if (after.find(key) != nullptr) return out;
  return internal_error("the policy did not take the key");
}

Result<std::string> with_revoked_key(const std::string& text,
                                     const std::string& path,
                                     const std::string& name) {
  FT_TRY(const TrustPolicy before, parse_policy(text, path));
  const PolicyKey* key = before.find(name);
  if (key == nullptr)
    return usage_error(fmt::format("'{}' has no key '{}'", path, name));
  if (key->revoked) return text;
  FT_TRY(const TomlFile file, TomlFile::parse(text, path));
  const auto index = static_cast<size_t>(key - before.keys.data());
  const toml::table& table = file.root().tables("key")[index].raw();
  std::string out = text;
  if (const toml::node* flag = table.get("revoked"); flag != nullptr) {
    const size_t at = line_at(text, flag->source().begin.line) +
                      flag->source().begin.column - 1;
    if (out.compare(at, 5, "false") == 0) out.replace(at, 5, "true");
  } else {
    const size_t head = line_at(text, table.source().begin.line);
    if (out.compare(head, 2, "[[") == 0)
      out.insert(line_at(text, table.source().begin.line + 1),
                 "revoked = true\n");
  }
  const auto after = parse_policy(out, path);
  if (after.ok() && after->find(name) != nullptr && after->find(name)->revoked)
    return out;
  return usage_error(fmt::format(
      "'{}' cannot be edited here: write 'revoked = true' to key '{}'", path,
      name));
}

}  // namespace ft
