// libFuzzer entry: any bytes give an adapter or a refusal, never a crash; the
// report agrees; what loads can be written and read again; and under a policy
// that requires signatures nothing loads but the very file that was signed.
//
// Bytes are tried as a file, as header and data (the header's length is put in
// front), and as a change of a signed file: position, then bytes to write
// there.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "adapters/trust/load_checks.h"
#include "adapters/trust/signed_example.h"
#include "base/fuzz_seeds.h"

namespace {

using Bytes = std::vector<std::byte>;

struct Signed {
  ft::SigningKey key = ft::example_key();
  Bytes file = ft::signed_file(ft::example_adapter(), key);
  ft::LoadRules rules{.policy = ft::example_policy()};
};

const Signed& signed_example() {
  static const Signed example;
  return example;
}

void check(std::span<const std::byte> file) {
  const ft::LoadRules any, foreign{.foreign = true};
  for (const ft::LoadRules* rules : {&any, &foreign}) {
    const auto adapter = ft::load_checked(file, *rules, "fuzz");
    const auto findings = ft::check_all(file, *rules);
    FT_CHECK(adapter.ok() ==
             std::ranges::all_of(findings, [](const ft::LoadFinding& f) {
               return f.outcome == ft::LoadFinding::Outcome::kPassed;
             }));
    if (!adapter.ok()) continue;
    const auto bytes = ft::encode_adapter(*adapter);
    // A 4-bit file may have steps so small that its values round to others.
    if (!bytes.ok()) continue;
    ft::Metadata metadata = adapter->metadata;
    ft::drop_signature(metadata);
    FT_CHECK(ft::decode_foreign_adapter(*bytes, "fuzz").ok());
  }
  const Signed& example = signed_example();
  const bool loads = ft::load_checked(file, example.rules, "fuzz").ok();
  FT_CHECK(loads == std::ranges::equal(file, example.file));
}

ft::Adapter in_format(ft::Quantizer::Format format) {
  ft::Adapter adapter = ft::example_adapter();
  for (ft::AdapterEntry& t : adapter.tensors) t.quantizer.format = format;
  return adapter;
}

// Zero is a value of every integer tensor.
ft::Adapter in_integers() {
  ft::Adapter adapter = ft::example_integers();
  for (ft::AdapterEntry& t : adapter.tensors)
    t.values.assign(t.values.size(), 0);
  return adapter;
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  const ft::SigningKey key = ft::example_key();
  const ft::Adapter plain = ft::example_adapter();
  const ft::Adapter integers = in_integers();
  ft::write_fuzz_seed("floats", ft::encode_adapter(plain).value());
  ft::write_fuzz_seed("integers", ft::encode_adapter(integers).value());
  for (const auto format :
       {ft::Quantizer::Format::kF16, ft::Quantizer::Format::kBF16}) {
    const auto file = ft::encode_adapter(in_format(format)).value();
    ft::write_fuzz_seed(
        format == ft::Quantizer::Format::kF16 ? "float16" : "bfloat16", file);
  }
  // No other signed one: check() takes it for the only file that loads.
  ft::write_fuzz_seed("signed", ft::signed_file(plain, key));
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  check(input);
  // The header ends behind its last brace.
  const auto* end = static_cast<const uint8_t*>(
      size > 0 ? memrchr(data, '}', size) : nullptr);
  if (end != nullptr) {
    const uint64_t header = static_cast<uint64_t>(end - data) + 1;
    Bytes file(8 + size);
    std::memcpy(file.data(), &header, 8);
    std::memcpy(file.data() + 8, data, size);
    check(file);
  }
  if (size < 3) return 0;
  Bytes file = signed_example().file;
  const size_t at = (data[0] | static_cast<size_t>(data[1]) << 8) % file.size();
  const size_t count = std::min(size - 2, file.size() - at);
  std::memcpy(file.data() + at, data + 2, count);
  check(file);
  return 0;
}
