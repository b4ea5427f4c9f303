// Deltas from outside: whatever the bytes, applying them ends, stays within its
// memory and gives nothing that the head does not promise.
//
// An input is tried as it is; as the stream behind a head that fits the
// precursor, so that the decoder itself is reached; and as damage to a good
// delta's stream, so that its depths are.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "adapters/delta/delta_file.h"
#include "base/fuzz_seeds.h"
#include "base/hash.h"
#include "ft_crc32.h"
#include "ft_delta.h"

namespace {

// Tensors of several kinds; `change` tells one version from the next, which
// says what its parent is.
std::vector<std::byte> version(float change, const std::string& parent = "") {
  ft::Adapter adapter;
  adapter.metadata = {{"base_sha256", "00"}, {"method", "lora"}};
  adapter.metadata["loss"] = std::to_string(0.25F + change);
  if (!parent.empty()) adapter.metadata["parent_sha256"] = parent;
  for (const char* name : {"float32", "float16", "int8", "same"}) {
    ft::AdapterEntry t{.name = name, .shape = {4, 16}, .values = {}};
    for (int i = 0; i < 64; ++i) {
      const auto moved = change * static_cast<float>(i % 5 - 2);
      t.values.push_back(static_cast<float>(i * i % 61 - 30) + moved);
    }
    if (t.name == "float16") t.quantizer.format = ft::Quantizer::Format::kF16;
    if (t.name == "int8") {
      t.quantizer = ft::parse_quantizer("int8/channel").value();
      t.scale.assign(4, 0.5F);
    }
    if (t.name == "same") t.values.assign(64, 3);
    adapter.tensors.push_back(std::move(t));
  }
  return ft::encode_adapter(adapter).value();
}

const std::vector<std::byte>& precursor() {
  static const std::vector<std::byte> file = version(0);
  return file;
}

const std::vector<std::byte>& successor() {
  static const std::vector<std::byte> file =
      version(0.5F, ft::sha256_hex(precursor()));
  return file;
}

// Lossless and lossy ones that fit.
const std::vector<std::byte>& good_delta(bool lossy) {
  static const auto make = [](int bits) {
    return ft::make_delta(precursor(), successor(), {.bits = bits})
        .value()
        .bytes;
  };
  static const std::vector<std::byte> exact = make(0), few = make(8);
  return lossy ? few : exact;
}

struct Result {
  uint32_t bytes = 0;
};

// On a device: no digests, only the CRC-32 of the precursor.
void apply_on_device(std::span<const uint8_t> delta, size_t piece) {
  static const auto* old_file =
      reinterpret_cast<const uint8_t*>(precursor().data());
  Result result;
  ft_delta_io io = {};
  io.context = &result;
  io.old_bytes = static_cast<uint32_t>(precursor().size());
  io.read = [](void*, uint32_t at, uint8_t* to, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      if (at + i >= precursor().size()) std::abort();
      to[i] = old_file[at + i];
    }
    return 0;
  };
  io.write = [](void* self, const uint8_t*, uint32_t count) {
    static_cast<Result*>(self)->bytes += count;
    return 0;
  };
  ft_delta applier;
  ft_delta_begin(&applier, &io);
  for (size_t at = 0; at < delta.size(); at += piece)
    (void)ft_delta_push(
        &applier, delta.data() + at,
        static_cast<uint32_t>(std::min(piece, delta.size() - at)));
  const bool ok = ft_delta_end(&applier) == FT_DELTA_OK;
  ft_delta_head head;
  if (delta.size() < FT_DELTA_HEAD_BYTES ||
      ft_delta_decode_head(delta.data(), &head) != FT_DELTA_OK) {
    if (ok) std::abort();
    return;
  }
  if (result.bytes > head.new_bytes) std::abort();
  if (ok && result.bytes != head.new_bytes) std::abort();
}

// The rest of the input is laid over a good stream from byte `at` on.
void apply_damaged(bool lossy, size_t at, std::span<const uint8_t> damage) {
  const auto& good = good_delta(lossy);
  std::vector<uint8_t> delta;
  for (const std::byte b : good) delta.push_back(static_cast<uint8_t>(b));
  at = FT_DELTA_HEAD_BYTES + at % (delta.size() - FT_DELTA_HEAD_BYTES);
  for (size_t i = 0; i < damage.size() && at + i < delta.size(); ++i)
    delta[at + i] ^= damage[i];
  apply_on_device(delta, 37);
}

// As a file, and as the stream behind a head that the fuzzer makes itself.
void write_seeds(const std::string& name, int bits) {
  const auto delta =
      ft::make_delta(precursor(), successor(), {.bits = bits}).value();
  ft::write_fuzz_seed(name, delta.bytes);
  const auto size = delta.result.size();
  std::vector<std::byte> stream = {static_cast<std::byte>(size >> 8),
                                   static_cast<std::byte>(size), std::byte{36}};
  stream.insert(stream.end(), delta.bytes.begin() + FT_DELTA_HEAD_BYTES,
                delta.bytes.end());
  ft::write_fuzz_seed(name + "-stream", stream);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  write_seeds("lossless", 0);
  write_seeds("8-bit", 8);
  write_seeds("4-bit", 4);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)ft::apply_delta(precursor(), std::as_bytes(std::span(data, size)),
                        "delta");
  if (size < 3) return 0;
  ft_delta_head head = {};
  head.mode = FT_DELTA_LOSSLESS;
  head.old_bytes = static_cast<uint32_t>(precursor().size());
  head.old_crc32 =
      ft_crc32(0, reinterpret_cast<const uint8_t*>(precursor().data()),
               precursor().size());
  head.new_bytes = static_cast<uint32_t>(data[0] << 8 | data[1]);
  head.stream_bytes = static_cast<uint32_t>(size - 3);
  std::vector<uint8_t> delta(FT_DELTA_HEAD_BYTES);
  ft_delta_encode_head(&head, delta.data());
  delta.insert(delta.end(), data + 3, data + size);
  apply_on_device(delta, 1 + data[2]);
  apply_damaged((data[2] & 1) != 0, static_cast<size_t>(data[0] << 8 | data[1]),
                std::span(data + 3, size - 3));
  return 0;
}
