// Hostile adapters: 10,000 seeded mutations of signed files, of which a policy
// that requires signatures takes none. FT_SEED replays a run.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "adapters/trust/signed_example.h"
#include "base/random.h"
#include "formats/safetensors/safetensors.h"
#include "tests/draws.h"

namespace ft {
namespace {

using Bytes = std::vector<std::byte>;

void flip_bits(Bytes& file, Draws& draw) {
  for (size_t n = 1 + draw.below(4); n > 0; --n)
    file[draw.below(file.size())] ^= static_cast<std::byte>(1 << draw.below(8));
}

void change_bytes(Bytes& file, Draws& draw) {
  for (size_t n = 1 + draw.below(8); n > 0; --n)
    file[draw.below(file.size())] = draw.byte();
}

void truncate(Bytes& file, Draws& draw) {
  file.resize(draw.below(file.size()));
}

void pad(Bytes& file, Draws& draw) {
  for (size_t n = 1 + draw.below(64); n > 0; --n) file.push_back(draw.byte());
}

void move_block(Bytes& file, Draws& draw) {
  const size_t n = 1 + draw.below(32);
  const size_t from = draw.below(file.size() - n);
  const Bytes block(file.begin() + static_cast<ptrdiff_t>(from),
                    file.begin() + static_cast<ptrdiff_t>(from + n));
  file.erase(file.begin() + static_cast<ptrdiff_t>(from),
             file.begin() + static_cast<ptrdiff_t>(from + n));
  const size_t to = draw.below(file.size());
  file.insert(file.begin() + static_cast<ptrdiff_t>(to), block.begin(),
              block.end());
}

// Blanks in front of the data, with a header length to match.
void pad_header(Bytes& file, Draws& draw) {
  uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  const size_t n = 1 + draw.below(16);
  file.insert(file.begin() + static_cast<ptrdiff_t>(8 + header), n,
              std::byte{' '});
  header += n;
  std::memcpy(file.data(), &header, 8);
}

// The rest write a well-formed file that says something else under the same
// signature.
template <class Fn>
void rewrite(Bytes& file, const Fn& change) {
  const Bytes old = file;
  Safetensors parsed = parse_safetensors(old).value();
  std::vector<Bytes> storage;
  change(parsed, storage);
  auto out = write_safetensors(parsed.tensors, parsed.metadata);
  if (out.ok()) file = std::move(*out);
}

void swap_tensors(Bytes& file, Draws& draw) {
  rewrite(file, [&](Safetensors& parsed, auto&) {
    auto& tensors = parsed.tensors;
    auto& a = tensors[draw.below(tensors.size())];
    auto& b = tensors[draw.below(tensors.size())];
    if (draw.below(2) == 0)
      std::swap(a, b);  // another order
    else
      std::swap(a.name, b.name);
  });
}

void change_value(Bytes& file, Draws& draw) {
  rewrite(file, [&](Safetensors& parsed, std::vector<Bytes>& storage) {
    auto& t = parsed.tensors[draw.below(parsed.tensors.size())];
    storage.emplace_back(t.data.begin(), t.data.end());
    storage[0][draw.below(t.data.size())] = draw.byte();
    t.data = storage[0];
  });
}

constexpr const char* kEdited[] = {"version",   "name",           "base_sha256",
                                   "method",    "format_version", "extra",
                                   "quantizer", "packed_shapes"};

void edit_metadata(Bytes& file, Draws& draw) {
  rewrite(file, [&](Safetensors& parsed, auto&) {
    const std::string key = kEdited[draw.below(std::size(kEdited))];
    const size_t what = draw.below(3);
    if (what == 0)
      parsed.metadata.erase(key);
    else if (what == 1)
      parsed.metadata[key] = std::to_string(draw.below(1000));
    else
      parsed.metadata[key] += "0";
  });
}

void edit_signature(Bytes& file, Draws& draw) {
  rewrite(file, [&](Safetensors& parsed, auto&) {
    const char* key = draw.below(2) == 0 ? "signature" : "signature_key";
    std::string& text = parsed.metadata[key];
    switch (draw.below(5)) {
      case 0: parsed.metadata.erase(key); break;
      case 1:
        parsed.metadata.erase("signature");
        parsed.metadata.erase("signature_key");
        break;
      case 2: text[draw.below(text.size())] = 'A'; break;
      case 3: text.assign(text.size(), '0'); break;
      default:
        parsed.metadata["signature_key"] = to_hex(example_key(9).public_key());
    }
  });
}

void sign_with_another_key(Bytes& file, Draws& draw) {
  const uint8_t other = draw.below(2) == 0 ? 8 : 9;
  file = sign_adapter(file, example_key(other),
                      {{"version", std::to_string(4 + draw.below(90))}})
             .value();
  if (draw.below(2) == 0) return;
  rewrite(file, [&](Safetensors& parsed, auto&) {  // and say it was ours
    parsed.metadata["signature_key"] = to_hex(example_key().public_key());
  });
}

constexpr void (*kMutations[])(Bytes&, Draws&) = {flip_bits,
                                                  change_bytes,
                                                  truncate,
                                                  pad,
                                                  move_block,
                                                  pad_header,
                                                  swap_tensors,
                                                  change_value,
                                                  edit_metadata,
                                                  edit_signature,
                                                  sign_with_another_key};

std::vector<Bytes> originals() {
  Adapter integers = example_integers();
  for (AdapterEntry& t : integers.tensors)
    t.values.assign(t.values.size(), 0.0f);
  Adapter half = example_adapter();
  for (AdapterEntry& t : half.tensors)
    t.quantizer.format = Quantizer::Format::kF16;
  return {signed_file(example_adapter(), example_key()),
          signed_file(integers, example_key()),
          signed_file(half, example_key())};
}

TEST(MutatedAdapters, NoneLoadsUnderAPolicyThatRequiresSignatures) {
  std::printf("FT_SEED=%llu\n", static_cast<unsigned long long>(test_seed()));
  constexpr uint64_t kCount = 10'000;
  const std::vector<Bytes> files = originals();
  const LoadRules rules{.policy = example_policy()};
  for (const Bytes& file : files)
    ASSERT_TRUE(load_checked(file, rules, "it").ok());
  std::map<LoadCheck, uint64_t> refused_by;
  uint64_t same = 0, done = 0;
  for (uint64_t i = 0; done < kCount; ++i) {
    SCOPED_TRACE(i);
    Draws draw(i);
    const Bytes& original = files[draw.below(files.size())];
    Bytes file = original;
    kMutations[draw.below(std::size(kMutations))](file, draw);
    if (file == original) {
      ++same;
      continue;
    }
    ++done;
    const auto loaded = load_checked(file, rules, "it");
    ASSERT_FALSE(loaded.ok());
    const auto findings = check_all(file, rules);
    const auto first = std::ranges::find(
        findings, LoadFinding::Outcome::kFailed, &LoadFinding::outcome);
    ASSERT_NE(first, findings.end());
    EXPECT_NE(loaded.status().message().find(first->sentence),
              std::string::npos);
    ++refused_by[first->check];
  }
  for (const auto& [check, count] : refused_by)
    std::printf("%6llu refused by the %s check\n",
                static_cast<unsigned long long>(count),
                std::string(name_of(check)).c_str());
  std::printf("%6llu mutations left the bytes as they were\n",
              static_cast<unsigned long long>(same));
  EXPECT_GT(refused_by[LoadCheck::kSignature], 1000u);
  EXPECT_GT(refused_by[LoadCheck::kHeader], 1000u);
}

// What is not signed may load, but never crashes and never differs from what
// the report says.
TEST(MutatedAdapters, WithoutAPolicyAreReadAsTheReportSays) {
  const LoadRules rules;
  const std::vector<Bytes> files = originals();
  for (uint64_t i = 0; i < 3000; ++i) {
    SCOPED_TRACE(i);
    Draws draw(1'000'000 + i);
    Bytes file = files[draw.below(files.size())];
    edit_signature(file, draw);
    kMutations[draw.below(std::size(kMutations) - 1)](file, draw);
    const bool loads = load_checked(file, rules, "it").ok();
    EXPECT_EQ(loads, std::ranges::all_of(
                         check_all(file, rules), [](const LoadFinding& f) {
                           return f.outcome == LoadFinding::Outcome::kPassed;
                         }));
  }
}

}  // namespace
}  // namespace ft
