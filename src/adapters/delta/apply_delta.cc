#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "adapters/delta/delta_file.h"
#include "adapters/delta/range_coder.h"
#include "base/hash.h"
#include "ft_delta.h"

namespace ft {
namespace {

const uint8_t* data(std::span<const std::byte> bytes) {
  return reinterpret_cast<const uint8_t*>(bytes.data());
}

std::string hex_of(const uint8_t* digest) {
  std::string text;
  for (size_t i = 0; i < FT_DELTA_DIGEST_BYTES; ++i)
    text += fmt::format("{:02x}", digest[i]);
  return text;
}

// The applier's memory, and files in RAM for it to read and write.
struct Applier : ft_delta {
  std::span<const std::byte> old_file;
  AppliedDelta out;
  bool with_costs = false;
  ft_delta_io files = {};

  explicit Applier(std::span<const std::byte> from) : old_file(from) {
    files.context = this;
    files.old_bytes = static_cast<uint32_t>(from.size());
    files.read = [](void* self, uint32_t offset, uint8_t* bytes,
                    uint32_t count) {
      const auto& from = static_cast<Applier*>(self)->old_file;
      if (offset > from.size() || count > from.size() - offset) return 1;
      std::memcpy(bytes, from.data() + offset, count);
      return 0;
    };
    files.write = [](void* self, const uint8_t* bytes, uint32_t count) {
      auto& to = static_cast<Applier*>(self)->out.result;
      const auto* first = reinterpret_cast<const std::byte*>(bytes);
      to.insert(to.end(), first, first + count);
      return 0;
    };
    ft_delta_begin(this, &files);
  }

  // Notes what each decision takes on the byte that it belongs to.
  void count_costs() {
    read_bit_ = coder.bit;
    read_direct_ = coder.direct;
    coder.bit = [](ft_delta_coder* self, uint16_t* state, uint32_t value) {
      auto& me = of(self);
      const uint16_t before = *state;
      value = me.read_bit_(self, state, value);
      me.note(cost_in_bits(before, value));
      return value;
    };
    coder.direct = [](ft_delta_coder* self, uint32_t value, uint32_t count) {
      auto& me = of(self);
      me.note(count);
      return me.read_direct_(self, value, count);
    };
  }

 private:
  // `coder` is the first member of ft_delta, which is the first base.
  static Applier& of(ft_delta_coder* self) {
    return *static_cast<Applier*>(reinterpret_cast<ft_delta*>(self));
  }
  void note(double bits) {
    const size_t at = out.result.size() + out_count;
    if (out.cost_bytes.size() <= at) out.cost_bytes.resize(at + 1);
    out.cost_bytes[at] += static_cast<float>(bits / 8);
  }

  decltype(ft_delta_coder::bit) read_bit_ = nullptr;
  decltype(ft_delta_coder::direct) read_direct_ = nullptr;
};

Result<AppliedDelta> apply(std::span<const std::byte> old_file,
                           std::span<const std::byte> delta,
                           const std::string& origin, bool with_costs) {
  FT_TRY(const ft_delta_head head, delta_head(delta, origin));
  const std::string want = hex_of(head.old_sha256), have = sha256_hex(old_file);
  if (old_file.size() != head.old_bytes || want != have)
    return invalid_input(fmt::format(
        "{} was made for another precursor ({} bytes, sha256 {}) than this one "
        "({} bytes, sha256 {})",
        origin, head.old_bytes, want, old_file.size(), have));
  Applier applier(old_file);
  if (with_costs) applier.count_costs();
  constexpr size_t kPiece = size_t{1} << 20;
  for (size_t at = 0; at < delta.size(); at += kPiece)
    (void)ft_delta_push(
        &applier, data(delta) + at,
        static_cast<uint32_t>(std::min(kPiece, delta.size() - at)));
  const ft_delta_status status = ft_delta_end(&applier);
  if (status != FT_DELTA_OK)
    return invalid_input(
        fmt::format("{}: {}", origin, ft_delta_status_text(status)));
  const std::string promised = hex_of(head.new_sha256);
  const std::string got = sha256_hex(applier.out.result);
  if (got != promised)
    return invalid_input(fmt::format(
        "{} gives a result with sha256 {}, not the {} that it promises", origin,
        got, promised));
  return std::move(applier.out);
}

}  // namespace

bool is_delta(std::span<const std::byte> file) {
  return file.size() >= 4 && std::memcmp(file.data(), "FTDL", 4) == 0;
}

Result<ft_delta_head> delta_head(std::span<const std::byte> delta,
                                 const std::string& origin) {
  if (!is_delta(delta))
    return invalid_input(fmt::format("{} is not a delta", origin));
  ft_delta_head head = {};
  if (delta.size() < FT_DELTA_HEAD_BYTES)
    return invalid_input(
        fmt::format("{} is truncated: {} bytes are fewer than the {} of a "
                    "delta's head",
                    origin, delta.size(), FT_DELTA_HEAD_BYTES));
  const ft_delta_status status = ft_delta_decode_head(data(delta), &head);
  if (status == FT_DELTA_BAD_FORMAT)
    return invalid_input(fmt::format(
        "{} is of format {}, mode {}; this version applies format {}, modes 0 "
        "to {}: make the delta anew",
        origin, static_cast<int>(delta[4]), static_cast<int>(delta[5]),
        static_cast<int>(FT_DELTA_FORMAT), static_cast<int>(FT_DELTA_FULL)));
  if (status != FT_DELTA_OK)
    return invalid_input(
        fmt::format("{}: {}", origin, ft_delta_status_text(status)));
  const size_t promised = FT_DELTA_HEAD_BYTES + size_t{head.stream_bytes};
  if (delta.size() == promised) return head;
  return invalid_input(
      fmt::format("{} is {}: its head promises {} bytes, the file has {}",
                  origin, delta.size() < promised ? "truncated" : "padded",
                  promised, delta.size()));
}

Result<std::vector<std::byte>> apply_delta(std::span<const std::byte> old_file,
                                           std::span<const std::byte> delta,
                                           const std::string& origin) {
  FT_TRY(AppliedDelta applied, apply(old_file, delta, origin, false));
  return std::move(applied.result);
}

Result<AppliedDelta> apply_delta_with_costs(std::span<const std::byte> old_file,
                                            std::span<const std::byte> delta,
                                            const std::string& origin) {
  FT_TRY(AppliedDelta applied, apply(old_file, delta, origin, true));
  applied.cost_bytes.resize(applied.result.size());
  return applied;
}

}  // namespace ft
