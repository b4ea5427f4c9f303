#include "adapters/trust/policy.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"

namespace ft {
namespace {

const std::string kKeyA(64, 'a'), kKeyB(64, 'b');

std::string key_text(const std::string& name, const std::string& key) {
  return "[[key]]\nname = \"" + name + "\"\npublic_key = \"" + key + "\"\n";
}

void expect_refused(const std::string& text, const std::string& words) {
  const auto policy = parse_policy(text, "p.toml");
  ASSERT_FALSE(policy.ok()) << text;
  EXPECT_EQ(policy.status().code(), Code::kInvalidInput);
  EXPECT_NE(policy.status().message().find(words), std::string::npos)
      << policy.status().message();
}

TEST(Policy, ReadsEveryKey) {
  const auto policy = parse_policy(
      "format = 1\nrequire_signature = true\nrefuse_downgrade = true\n"
      "max_bytes = 4096\nbases = [\"" +
          std::string(64, '0') +
          "\"]\n[min_versions]\nkitchen = 3\n\"a room\" = 4\n" +
          key_text("a", kKeyA) + key_text("b", kKeyB) + "revoked = true\n",
      "p.toml");
  ASSERT_TRUE(policy.ok()) << policy.status().message();
  EXPECT_TRUE(policy->require_signature && policy->refuse_downgrade);
  EXPECT_EQ(policy->max_bytes, 4096u);
  EXPECT_EQ(policy->bases.size(), 1u);
  EXPECT_EQ(policy->min_versions.at("a room"), 4u);
  EXPECT_FALSE(policy->find("a")->revoked);
  EXPECT_TRUE(policy->find("b")->revoked);
  EXPECT_EQ(policy->find(policy->find("b")->key)->name, "b");
  EXPECT_EQ(policy->find("c"), nullptr);
}

TEST(Policy, AsksForNothingByDefault) {
  const TrustPolicy policy = parse_policy("format = 1", "p").value();
  EXPECT_FALSE(policy.require_signature || policy.refuse_downgrade);
  EXPECT_FALSE(policy.require_name);
  EXPECT_EQ(policy.max_bytes, UINT64_MAX);
  EXPECT_TRUE(policy.bases.empty() && policy.keys.empty());
}

// Whoever wants signatures wants to know what was signed, too.
TEST(Policy, RequiresNamesWithSignatures) {
  const auto require_name = [](const std::string& text) {
    return parse_policy("format = 1\n" + text, "p").value().require_name;
  };
  EXPECT_TRUE(require_name("require_signature = true"));
  EXPECT_FALSE(require_name("require_signature = false"));
  EXPECT_FALSE(require_name("require_signature = true\nrequire_name = false"));
  EXPECT_TRUE(require_name("require_name = true"));
}

TEST(Policy, RefusesWhatIsWrongWithItsLine) {
  expect_refused("", "'format' must be 1");
  expect_refused("\nformat = 2", "p.toml:2: 'format' must be 1");
  expect_refused("format = 1\nrequire_signature = 1",
                 "p.toml:2: 'require_signature' must be true or false");
  expect_refused("format = 1\nrequire_signatures = true",
                 "p.toml:2: unknown key 'require_signatures'");
  expect_refused("format = 1\nmax_bytes = 0", "at least 1");
  expect_refused("format = 1\nmax_bytes = 1.5", "a whole number");
  expect_refused("format = 1\nbases = []", "one entry at least");
  expect_refused("format = 1\nbases = [\"ABC\"]", "64 lower-case");
  expect_refused("format = 1\n[min_versions]\nx = 0",
                 "p.toml:3: 'min_versions.x' must be at least 1");
  expect_refused("format = 1\nmin_versions = 3", "a table");
  expect_refused("format = 1\nkey = 3", "[[key]]");
  expect_refused("format = 1\n[[key]]\nname = \"a\"",
                 "p.toml:2: 'public_key' must be text");
  expect_refused("format = 1\n" + key_text("", kKeyA),
                 "p.toml:3: 'name' must be at least one letter long");
  expect_refused("format = 1\n" + key_text("a", kKeyA) + "trusted = true",
                 "p.toml:5: unknown key 'trusted'");
  expect_refused("format = 1\n" + key_text("a", kKeyA) + "revoked = 1",
                 "true or false");
  expect_refused("format = 1\n" + key_text("a", kKeyA) + key_text("a", kKeyB),
                 "p.toml:5: there are two keys 'a'");
  expect_refused("format = 1\n" + key_text("a", kKeyA) + key_text("b", kKeyA),
                 "'a' and 'b' are the same");
  expect_refused("format = 1\n" + key_text("a", "no/such.pub"),
                 "p.toml:4: 'public_key' is neither");
  expect_refused("format = 1\n[[key]", "p.toml:2: ");
}

TEST(Policy, FindsPublicKeysBesideIt) {
  const auto folder =
      std::filesystem::path(testing::TempDir()) / "policy_beside";
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(
      write_file_atomically((folder / "a.pub").string(), kKeyA + "\n").ok());
  const auto path = (folder / "p.toml").string();
  ASSERT_TRUE(
      write_file_atomically(path, "format = 1\n" + key_text("a", "a.pub"))
          .ok());
  const auto policy = load_policy(path);
  ASSERT_TRUE(policy.ok()) << policy.status().message();
  EXPECT_EQ(to_hex(policy->keys[0].key), kKeyA);
  std::filesystem::remove_all(folder);
}

PublicKey key_of(uint8_t byte) {
  PublicKey key;
  key.fill(byte);
  return key;
}

TEST(Policy, IsEditedWithoutLosingComments) {
  const std::string first =
      with_trusted_key("", "p.toml", "a", key_of(0xaa)).value();
  EXPECT_TRUE(parse_policy(first, "p")->require_signature);
  const std::string second = with_trusted_key("# mine\n" + first + "# end",
                                              "p.toml", "b c", key_of(0xbb))
                                 .value();
  EXPECT_NE(second.find("# mine\n"), std::string::npos);
  EXPECT_NE(second.find("# end\n"), std::string::npos);
  const std::string third = with_revoked_key(second, "p.toml", "a").value();
  const TrustPolicy policy = parse_policy(third, "p").value();
  EXPECT_TRUE(policy.find("a")->revoked);
  EXPECT_FALSE(policy.find("b c")->revoked);
  EXPECT_EQ(third.size(), second.size() + sizeof("revoked = true\n") - 1);
  EXPECT_EQ(with_revoked_key(third, "p.toml", "a").value(), third);
}

TEST(Policy, EditsRefuseWhatTheyCannotDo) {
  const std::string text =
      with_trusted_key("", "p.toml", "a", key_of(1)).value();
  const auto usage = [](const auto& result, const char* words) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), Code::kUsage);
    EXPECT_NE(result.status().message().find(words), std::string::npos)
        << result.status().message();
  };
  usage(with_trusted_key(text, "p", "a", key_of(2)), "take another name");
  usage(with_trusted_key(text, "p", "b", key_of(1)), "already as 'a'");
  usage(with_trusted_key(text, "p", "a\"b", key_of(2)), "no name of a key");
  usage(with_trusted_key(text, "p", "", key_of(2)), "no name of a key");
  usage(with_revoked_key(text, "p", "b"), "has no key 'b'");
  const std::string in_line =
      "format = 1\nkey = [{name = \"a\", public_key = \"" + kKeyA + "\"}]\n";
  usage(with_revoked_key(in_line, "p", "a"), "cannot be edited here");
  const std::string flag = "format = 1\n" + key_text("a", kKeyA) +
                           "revoked = false # yet\n" + key_text("b", kKeyB);
  const std::string done = with_revoked_key(flag, "p", "a").value();
  EXPECT_NE(done.find("revoked = true # yet"), std::string::npos);
  EXPECT_TRUE(parse_policy(done, "p")->find("a")->revoked);
}

}  // namespace
}  // namespace ft
