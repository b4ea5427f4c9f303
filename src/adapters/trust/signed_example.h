// For tests and the fuzzer: a small adapter with a name and a version, the key
// that signs it, and a policy that asks for its signature.
#pragma once

#include <array>
#include <vector>

#include "adapters/adapter_file.h"
#include "adapters/trust/load_checks.h"

namespace ft {

inline SigningKey example_key(uint8_t seed = 7) {
  std::array<uint8_t, 32> bytes;
  bytes.fill(seed);
  return SigningKey(bytes);
}

inline std::string example_base() { return std::string(64, 'b'); }

inline Adapter example_adapter() {
  const std::string module = "base_model.model.fc.";
  return {.metadata = {{"base_sha256", example_base()},
                       {"method", "lora"},
                       {"name", "kitchen"},
                       {"version", "3"}},
          .tensors = {{module + "lora_A.weight", {2, 3}, {1, 2, 3, 4, 5, 6}},
                      {module + "lora_B.weight", {3, 2}, {6, 5, 4, 3, 2, 1}}}};
}

// One with integers: two values in a byte, with steps and zero points.
inline Adapter example_integers() {
  Adapter adapter = example_adapter();
  for (AdapterEntry& t : adapter.tensors) {
    t.quantizer = {
        .format = Quantizer::Format::kInteger, .bits = 4, .symmetric = false};
    t.scale = {1, 0.5f};
    t.zero_point = {1, -2};
  }
  return adapter;
}

inline std::vector<std::byte> signed_file(const Adapter& adapter,
                                          const SigningKey& key) {
  auto bytes = encode_adapter(adapter);
  FT_CHECK(bytes.ok());
  auto out = sign_adapter(*bytes, key);
  FT_CHECK(out.ok());
  return std::move(*out);
}

inline TrustPolicy example_policy() {
  return {.keys = {{"release", example_key().public_key(), false},
                   {"old", example_key(8).public_key(), true}},
          .require_signature = true,
          .refuse_downgrade = true,
          .max_bytes = 100'000,
          .bases = {example_base()}};
}

}  // namespace ft
