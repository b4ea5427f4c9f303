#include "adapters/trust/signature.h"

#include <gtest/gtest.h>

#include <cstring>

#include "adapters/trust/signed_example.h"
#include "formats/safetensors/safetensors.h"

namespace ft {
namespace {

using Bytes = std::vector<std::byte>;

Bytes example_file() { return signed_file(example_adapter(), example_key()); }

Status check(const Bytes& file) {
  FT_TRY(const Safetensors parsed, parse_safetensors(file));
  FT_TRY(const auto found, find_signature(file, {parsed.metadata.begin(),
                                                 parsed.metadata.end()}));
  if (!found) return invalid_input("unsigned");
  return verify_signature(file, *found);
}

Bytes replaced(const Bytes& file, std::string_view what,
               std::string_view with) {
  std::string text(reinterpret_cast<const char*>(file.data()), file.size());
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos);
  text.replace(at, what.size(), with);
  uint64_t header = 0;
  std::memcpy(&header, text.data(), 8);
  header += with.size() - what.size();
  std::memcpy(text.data(), &header, 8);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(Signature, IsDeterministicAndSaysItsKey) {
  const Bytes file = example_file();
  EXPECT_EQ(file, example_file());
  EXPECT_TRUE(check(file).ok());
  const Safetensors parsed = parse_safetensors(file).value();
  EXPECT_EQ(parsed.metadata.at("signature_key"),
            to_hex(example_key().public_key()));
  // Signing again, with the same key or another, replaces the signature.
  EXPECT_EQ(sign_adapter(file, example_key()).value(), file);
  const Bytes other = sign_adapter(file, example_key(9)).value();
  EXPECT_TRUE(check(other).ok());
  EXPECT_EQ(sign_adapter(other, example_key()).value(), file);
}

TEST(Signature, MetadataMayChangeWhileSigning) {
  const Bytes file =
      sign_adapter(example_file(), example_key(), {{"version", "12"}}).value();
  EXPECT_TRUE(check(file).ok());
  EXPECT_EQ(decode_adapter(file, "x").value().get("version"), "12");
}

TEST(Signature, EveryFlippedBitIsFound) {
  const Bytes file = example_file();
  for (size_t i = 0; i < file.size(); ++i)
    for (int bit = 0; bit < 8; ++bit) {
      Bytes changed = file;
      changed[i] ^= static_cast<std::byte>(1 << bit);
      EXPECT_FALSE(check(changed).ok()) << "byte " << i << " bit " << bit;
    }
}

TEST(Signature, HasOneSpelling) {
  const Bytes file = example_file();
  const auto expect = [](const Bytes& changed, const char* words) {
    const Status status = check(changed);
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.message().find(words), std::string::npos)
        << status.message();
  };
  expect(replaced(file, "\"signature\":\"", "\"signature\": \""), "blanks");
  expect(replaced(file, "\"signature\":\"", "\"\\u0073ignature\":\""),
         "blanks");
  expect(replaced(file, ",\"signature\":\"", ",\"x\":\""), "is missing");
  expect(replaced(file, ",\"signature_key\":\"", ",\"x\":\""), "is missing");
  const std::string key = to_hex(example_key().public_key());
  std::string upper = key;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  expect(replaced(file, key, upper), "64 lower-case");
  expect(replaced(file, key, key.substr(2)), "64 lower-case");
}

// Where a metadata value looks like the place of the signature.
TEST(Signature, IsNotFoundInTexts) {
  Adapter adapter = example_adapter();
  const std::string zeros(128, '0');
  adapter.metadata["a"] = "{\"signature\":\"" + zeros + "\",\"signature\":\"";
  adapter.metadata["x,\"signature\":\"" + zeros] = zeros;
  adapter.tensors[0].name = ",\"signature\":\"" + zeros + "\"";
  const Bytes file = signed_file(adapter, example_key());
  EXPECT_TRUE(check(file).ok());
  EXPECT_EQ(sign_adapter(file, example_key()).value(), file);
}

// libsodium refuses the other representative of a scalar; so must we.
TEST(Signature, OfAnotherScalarIsRefused) {
  const Bytes file = example_file();
  const Safetensors parsed = parse_safetensors(file).value();
  auto found =
      find_signature(file, {parsed.metadata.begin(), parsed.metadata.end()})
          .value()
          .value();
  // S + L, L being the order of the base point.
  constexpr uint8_t kOrder[32] = {
      0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
      0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
      0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
  int carry = 0;
  for (size_t i = 0; i < 32; ++i) {
    carry += found.bytes[32 + i] + kOrder[i];
    found.bytes[32 + i] = static_cast<uint8_t>(carry);
    carry >>= 8;
  }
  EXPECT_FALSE(verify_signature(file, found).ok());
}

TEST(Signature, IsDroppedWhole) {
  Adapter adapter = decode_adapter(example_file(), "x").value();
  drop_signature(adapter.metadata);
  EXPECT_EQ(encode_adapter(adapter).value(),
            encode_adapter(example_adapter()).value());
}

}  // namespace
}  // namespace ft
