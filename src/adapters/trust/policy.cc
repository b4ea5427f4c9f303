#include "adapters/trust/policy.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sodium.h>

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <type_traits>

#include "base/file.h"
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace ft {
namespace {

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

// A file's text as a policy; every refusal has path and line.
class PolicyReader {
 public:
  PolicyReader(const toml::table& root, const std::string& path)
      : root_(root), path_(path) {}

  Result<TrustPolicy> run() {
    FT_TRY_STATUS(
        only(root_, {"format", "require_signature", "refuse_downgrade",
                     "max_bytes", "bases", "min_versions", "key"}));
    FT_TRY(const auto format, value<int64_t>(root_, "format"));
    if (format != 1)
      return refuse(root_.get("format"),
                    "'format' must be 1: that is what this program reads");
    FT_TRY(const auto require, value<bool>(root_, "require_signature"));
    policy_.require_signature = require.value_or(false);
    FT_TRY(const auto downgrade, value<bool>(root_, "refuse_downgrade"));
    policy_.refuse_downgrade = downgrade.value_or(false);
    FT_TRY(const auto most, value<int64_t>(root_, "max_bytes"));
    if (most.value_or(1) < 1)
      return refuse(root_.get("max_bytes"), "'max_bytes' must be at least 1");
    if (most) policy_.max_bytes = static_cast<uint64_t>(*most);
    FT_TRY_STATUS(read_bases());
    FT_TRY_STATUS(read_min_versions());
    FT_TRY_STATUS(read_keys());
    return std::move(policy_);
  }

 private:
  Status refuse(const toml::node* node, const std::string& sentence) const {
    const auto line = node ? node->source().begin.line : 0;
    return invalid_input(line > 0
                             ? fmt::format("{}:{}: {}", path_, line, sentence)
                             : fmt::format("{}: {}", path_, sentence));
  }

  Status only(const toml::table& table,
              std::initializer_list<std::string_view> known) const {
    for (const auto& [key, node] : table)
      if (std::ranges::find(known, key.str()) == known.end())
        return refuse(&node, fmt::format("unknown key '{}'; there are: {}",
                                         key.str(), fmt::join(known, ", ")));
    return ok_status();
  }

  // None where the key is absent.
  template <class T>
  Result<std::optional<T>> value(const toml::table& table,
                                 std::string_view key) const {
    const toml::node* node = table.get(key);
    if (node == nullptr) return std::optional<T>();
    const std::optional<T> found = node->value_exact<T>();
    if (found) return found;
    const char* wanted = std::is_same_v<T, bool>      ? "true or false"
                         : std::is_same_v<T, int64_t> ? "a whole number"
                                                      : "a text";
    return refuse(node, fmt::format("'{}' must be {}", key, wanted));
  }

  Status read_bases() {
    const toml::node* node = root_.get("bases");
    if (node == nullptr) return ok_status();
    const toml::array* list = node->as_array();
    if (list == nullptr || list->empty())
      return refuse(node,
                    "'bases' must be a list of SHA-256 with one entry at "
                    "least; leave it out to take any base");
    for (const toml::node& item : *list) {
      const auto hash = item.value_exact<std::string>();
      if (!hash || !is_hex(*hash, 64))
        return refuse(&item,
                      "'bases' must hold SHA-256 as 64 lower-case hex digits");
      policy_.bases.push_back(*hash);
    }
    return ok_status();
  }

  Status read_min_versions() {
    const toml::node* node = root_.get("min_versions");
    if (node == nullptr) return ok_status();
    const toml::table* table = node->as_table();
    if (table == nullptr)
      return refuse(node, "'min_versions' must be a table of names");
    for (const auto& [name, item] : *table) {
      const auto version = item.value_exact<int64_t>();
      if (!version || *version < 1)
        return refuse(&item, fmt::format("the least version of '{}' must be a "
                                         "whole number from 1",
                                         name.str()));
      policy_.min_versions[std::string(name.str())] =
          static_cast<uint64_t>(*version);
    }
    return ok_status();
  }

  Status read_keys() {
    const toml::node* node = root_.get("key");
    if (node == nullptr) return ok_status();
    const toml::array* list = node->as_array();
    if (list == nullptr) return refuse(node, "keys stand in tables [[key]]");
    for (const toml::node& item : *list) {
      const toml::table* table = item.as_table();
      if (table == nullptr)
        return refuse(&item, "keys stand in tables [[key]]");
      FT_TRY_STATUS(read_key(*table));
    }
    return ok_status();
  }

  Status read_key(const toml::table& table) {
    FT_TRY_STATUS(only(table, {"name", "public_key", "revoked"}));
    FT_TRY(const auto name, value<std::string>(table, "name"));
    FT_TRY(const auto key, value<std::string>(table, "public_key"));
    FT_TRY(const auto revoked, value<bool>(table, "revoked"));
    if (!name || name->empty() || !key)
      return refuse(&table, "a key needs 'name' and 'public_key'");
    PolicyKey entry{.name = *name, .revoked = revoked.value_or(false)};
    FT_TRY(entry.key, public_key(*table.get("public_key"), *key));
    if (policy_.find(entry.name) != nullptr)
      return refuse(&table, fmt::format("there are two keys '{}'", *name));
    if (const PolicyKey* same = policy_.find(entry.key); same != nullptr)
      return refuse(&table, fmt::format("keys '{}' and '{}' are the same",
                                        same->name, *name));
    policy_.keys.push_back(std::move(entry));
    return ok_status();
  }

  Result<PublicKey> public_key(const toml::node& node,
                               const std::string& text) const {
    PublicKey key;
    if (is_hex(text, 64)) {
      sodium_hex2bin(key.data(), key.size(), text.data(), text.size(), nullptr,
                     nullptr, nullptr);
      return key;
    }
    const auto path = std::filesystem::path(path_).parent_path() / text;
    const auto loaded = load_public_key(path.string());
    if (loaded.ok()) return *loaded;
    return refuse(&node, fmt::format("'public_key' is neither 64 lower-case "
                                     "hex digits nor a file with them: {}",
                                     loaded.status().message()));
  }

  const toml::table& root_;
  const std::string& path_;
  TrustPolicy policy_;
};

Result<toml::table> parse_toml(std::string_view text, const std::string& path) {
  toml::parse_result parsed = toml::parse(text, path);
  if (parsed) return std::move(parsed).table();
  return invalid_input(fmt::format("{}:{}: {}", path,
                                   parsed.error().source().begin.line,
                                   parsed.error().description()));
}

// TOML and JSON escape what a name may hold alike; no name may hold more.
Status check_name(const std::string& name) {
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
  FT_TRY(const toml::table root, parse_toml(text, path));
  return PolicyReader(root, path).run();
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
  FT_TRY(const toml::table root, parse_toml(text, path));
  const auto index = static_cast<size_t>(key - before.keys.data());
  const toml::table& table = *root["key"].as_array()->get(index)->as_table();
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
