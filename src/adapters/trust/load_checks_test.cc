#include "adapters/trust/load_checks.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>

#include "adapters/trust/signed_example.h"
#include "base/hash.h"

namespace ft {
namespace {

using Outcome = LoadFinding::Outcome;
using Bytes = std::vector<std::byte>;

LoadRules example_rules() {
  return {.policy = example_policy(),
          .base_sha256 = example_base(),
          .quantizer = Quantizer(),
          .shapes = {{"base_model.model.fc.lora_A.weight", {2, 3}},
                     {"base_model.model.fc.lora_B.weight", {3, 2}}},
          .current_version = 3,
          .min_version = 2};
}

Bytes example_file() { return signed_file(example_adapter(), example_key()); }

Bytes signed_with(const std::function<void(Adapter&)>& change) {
  Adapter adapter = example_adapter();
  change(adapter);
  return signed_file(adapter, example_key());
}

// Exactly this check fails, with these words, and load_checked() says so; those
// that work on its result do not run.
void expect_refused(const Bytes& file, const LoadRules& rules, LoadCheck check,
                    const std::string& words,
                    std::vector<LoadCheck> not_run = {}) {
  SCOPED_TRACE(words);
  for (const LoadFinding& f : check_all(file, rules)) {
    const bool skipped = std::ranges::count(not_run, f.check) > 0;
    const Outcome wanted = f.check == check ? Outcome::kFailed
                           : skipped        ? Outcome::kNotRun
                                            : Outcome::kPassed;
    EXPECT_EQ(f.outcome, wanted) << name_of(f.check) << ": " << f.sentence;
    EXPECT_FALSE(f.sentence.empty());
  }
  const auto loaded = load_checked(file, rules, "it");
  ASSERT_FALSE(loaded.ok());
  const std::string& message = loaded.status().message();
  EXPECT_EQ(loaded.status().code(), Code::kInvalidInput);
  EXPECT_EQ(message.find("it: refused by the " + std::string(name_of(check)) +
                         " check: "),
            0u)
      << message;
  EXPECT_NE(message.find(words), std::string::npos) << message;
}

constexpr LoadCheck kAfterHeader[] = {
    LoadCheck::kSchema, LoadCheck::kBase,         LoadCheck::kQuantizer,
    LoadCheck::kShapes, LoadCheck::kFiniteValues, LoadCheck::kSignature,
    LoadCheck::kVersion};

std::vector<LoadCheck> after_header(bool size_failed) {
  std::vector<LoadCheck> checks(std::begin(kAfterHeader),
                                std::end(kAfterHeader));
  if (size_failed) {
    checks.push_back(LoadCheck::kHeader);
    checks.push_back(LoadCheck::kDigest);
  }
  return checks;
}

TEST(LoadChecks, TenInTheirOrder) {
  const char* names[] = {"size",      "header", "schema",        "base",
                         "quantizer", "shapes", "finite values", "digest",
                         "signature", "version"};
  const Bytes file = example_file();
  const auto findings = check_all(file, example_rules());
  ASSERT_EQ(findings.size(), 10u);
  for (size_t i = 0; i < findings.size(); ++i) {
    EXPECT_EQ(static_cast<size_t>(findings[i].check), i);
    EXPECT_EQ(name_of(findings[i].check), names[i]);
    EXPECT_EQ(findings[i].outcome, Outcome::kPassed) << findings[i].sentence;
  }
  const Adapter adapter = load_checked(file, example_rules(), "it").value();
  EXPECT_EQ(adapter.tensors[1].values, example_adapter().tensors[1].values);
  EXPECT_EQ(encode_adapter(adapter).value(), file);
}

TEST(LoadChecks, SizeAndHeader) {
  LoadRules rules = example_rules();
  rules.policy.max_bytes = 100;
  expect_refused(example_file(), rules, LoadCheck::kSize, "at most 100",
                 after_header(true));
  rules = example_rules();
  const Bytes file = example_file();
  expect_refused({file.begin(), file.begin() + 5}, rules, LoadCheck::kSize,
                 "too short", after_header(true));
  expect_refused({file.begin(), file.begin() + 90}, rules, LoadCheck::kSize,
                 "header length", after_header(true));
  expect_refused({file.begin(), file.end() - 1}, rules, LoadCheck::kHeader,
                 "outside", after_header(false));
  Bytes padded = file;
  padded.push_back(std::byte{0});
  expect_refused(padded, rules, LoadCheck::kHeader, "after the last tensor",
                 after_header(false));
}

TEST(LoadChecks, SchemaAndBase) {
  const LoadRules rules = example_rules();
  expect_refused(signed_with([](Adapter& a) { a.metadata.erase("method"); }),
                 rules, LoadCheck::kSchema, "'method' is missing");
  expect_refused(
      signed_with([](Adapter& a) { a.metadata["base_sha256"] = "other"; }),
      rules, LoadCheck::kBase, "another base model");
  LoadRules other = rules;
  other.policy.bases = {std::string(64, 'c')};
  expect_refused(example_file(), other, LoadCheck::kBase,
                 "none of the 1 that the policy allows");
}

TEST(LoadChecks, QuantizerShapesAndValues) {
  LoadRules rules = example_rules();
  rules.quantizer = parse_quantizer("int8/channel").value();
  expect_refused(example_file(), rules, LoadCheck::kQuantizer,
                 "stored as float32, where int8/channel is wanted",
                 {LoadCheck::kShapes, LoadCheck::kFiniteValues});
  rules = example_rules();
  rules.shapes["base_model.model.fc.lora_B.weight"] = {3, 4};
  expect_refused(example_file(), rules, LoadCheck::kShapes,
                 "has shape [3, 2], expected [3, 4]",
                 {LoadCheck::kFiniteValues});
  rules = example_rules();
  rules.shapes["more"] = {1};
  expect_refused(example_file(), rules, LoadCheck::kShapes,
                 "2 tensors, where the model takes 3",
                 {LoadCheck::kFiniteValues});
  rules.shapes = {{"more", {1}}};
  expect_refused(example_file(), rules, LoadCheck::kShapes,
                 "has no place in this model", {LoadCheck::kFiniteValues});
  const auto infinite = signed_with([](Adapter& a) {
    a.tensors[0].values[4] = std::numeric_limits<float>::infinity();
  });
  expect_refused(infinite, example_rules(), LoadCheck::kFiniteValues,
                 "holds inf at element 4");
}

TEST(LoadChecks, DigestSignatureAndVersion) {
  LoadRules rules = example_rules();
  const Bytes file = example_file();
  rules.sha256 = sha256_hex(file);
  EXPECT_TRUE(load_checked(file, rules, "it").ok());
  rules.sha256[0] = rules.sha256[0] == '0' ? '1' : '0';
  expect_refused(file, rules, LoadCheck::kDigest, "expected " + rules.sha256);

  rules = example_rules();
  expect_refused(encode_adapter(example_adapter()).value(), rules,
                 LoadCheck::kSignature, "not signed");
  expect_refused(signed_file(example_adapter(), example_key(8)), rules,
                 LoadCheck::kSignature, "key 'old'");
  expect_refused(signed_file(example_adapter(), example_key(9)), rules,
                 LoadCheck::kSignature, "does not trust");
  Bytes changed = file;
  changed.back() ^= std::byte{1};
  expect_refused(changed, rules, LoadCheck::kSignature, "was changed after");

  rules.current_version = 4;
  expect_refused(file, rules, LoadCheck::kVersion,
                 "take the place of version 4");
  rules.policy.refuse_downgrade = false;
  EXPECT_TRUE(load_checked(file, rules, "it").ok());
  rules.min_version = 4;
  expect_refused(file, rules, LoadCheck::kVersion, "at least 4");
  rules = example_rules();
  rules.policy.min_versions = {{"kitchen", 9}, {"bath", 99}};
  expect_refused(file, rules, LoadCheck::kVersion, "from 9");
  for (const char* bad :
       {"", "0", "03", "-1", "1.0", "x", "99999999999999999999"})
    expect_refused(
        signed_with([&](Adapter& a) { a.metadata["version"] = bad; }),
        example_rules(), LoadCheck::kVersion, "not a whole number from 1");
}

TEST(LoadChecks, WithoutAPolicyUnsignedAndUnknownAreTakenButNotChanged) {
  const LoadRules rules;
  EXPECT_TRUE(
      load_checked(encode_adapter(example_adapter()).value(), rules, "it")
          .ok());
  Bytes file = signed_file(example_adapter(), example_key(9));
  EXPECT_TRUE(load_checked(file, rules, "it").ok());
  file.back() ^= std::byte{1};
  expect_refused(file, rules, LoadCheck::kSignature, "was changed after");
  LoadRules revoked;
  revoked.policy.keys = example_policy().keys;
  expect_refused(signed_file(example_adapter(), example_key(8)), revoked,
                 LoadCheck::kSignature, "revoked");
}

TEST(LoadChecks, IntegersKeepTheirQuantizer) {
  LoadRules rules;
  rules.quantizer = parse_quantizer("int4/asymmetric/channel").value();
  Adapter adapter = example_integers();
  for (AdapterEntry& t : adapter.tensors)
    for (size_t i = 0; i < t.values.size(); ++i) t.values[i] = 0;
  const auto file = signed_file(adapter, example_key());
  const auto loaded = load_checked(file, rules, "it");
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  EXPECT_EQ(encode_adapter(*loaded).value(), file);
  rules.quantizer = Quantizer();
  EXPECT_NE(load_checked(file, rules, "it")
                .status()
                .message()
                .find("where float32 is wanted"),
            std::string::npos);
}

TEST(LoadChecks, FoldersOfOthersHaveNoSchemaAndNoWholeSignature) {
  Adapter theirs = example_adapter();
  theirs.metadata = {{"format", "pt"}};
  const Bytes plain = encode_adapter(theirs).value();
  LoadRules rules{.foreign = true};
  EXPECT_TRUE(load_checked(plain, rules, "it").ok());
  rules.foreign = false;
  EXPECT_FALSE(load_checked(plain, rules, "it").ok());
  rules = {.policy = example_policy(), .foreign = true};
  expect_refused(plain,
                 {.policy = {.bases = {example_base()}}, .foreign = true},
                 LoadCheck::kBase, "names no base model");
  rules.policy.bases.clear();
  expect_refused(plain, rules, LoadCheck::kSignature, "not signed");
  expect_refused(signed_file(theirs, example_key()), rules,
                 LoadCheck::kSignature, "covers the folder's tensors but not");
}

}  // namespace
}  // namespace ft
