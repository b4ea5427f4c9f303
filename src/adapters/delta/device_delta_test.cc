// The applier as a device calls it: pieces of any size, and what must be
// refused there, where SHA-256 is not checked.
#include <gtest/gtest.h>

#include <cstring>

#include "adapters/delta/delta_file.h"
#include "adapters/delta/random_adapters.h"
#include "ft_bytes.h"
#include "ft_crc32.h"
#include "ft_delta.h"

namespace ft {
namespace {

using Bytes = std::vector<std::byte>;

// With the stack (tests/python/test_mcu_delta.py) below 1 KB.
static_assert(sizeof(void*) != 8 || sizeof(ft_delta) <= 512);

struct Device {
  Bytes old_file, result;
  int starts = 0, refuse = 0;
  size_t fail_read_at = SIZE_MAX, fail_write_at = SIZE_MAX;
  ft_delta_io io = {};
  ft_delta delta = {};

  explicit Device(Bytes file) : old_file(std::move(file)) {
    io.context = this;
    io.old_bytes = static_cast<uint32_t>(old_file.size());
    io.read = [](void* self, uint32_t at, uint8_t* to, uint32_t count) {
      auto& me = *static_cast<Device*>(self);
      EXPECT_LE(size_t{at} + count, me.old_file.size());
      if (at >= me.fail_read_at) return 1;
      std::memcpy(to, me.old_file.data() + at, count);
      return 0;
    };
    io.write = [](void* self, const uint8_t* from, uint32_t count) {
      auto& me = *static_cast<Device*>(self);
      EXPECT_EQ(me.starts, 1);
      if (me.result.size() >= me.fail_write_at) return 1;
      const auto* first = reinterpret_cast<const std::byte*>(from);
      me.result.insert(me.result.end(), first, first + count);
      return 0;
    };
    io.start = [](void* self, const ft_delta_head*) {
      auto& me = *static_cast<Device*>(self);
      ++me.starts;
      return me.refuse;
    };
  }

  ft_delta_status apply(const Bytes& file, size_t piece) {
    ft_delta_begin(&delta, &io);
    for (size_t at = 0; at < file.size(); at += piece)
      (void)ft_delta_push(
          &delta, reinterpret_cast<const uint8_t*>(file.data()) + at,
          static_cast<uint32_t>(std::min(piece, file.size() - at)));
    return ft_delta_end(&delta);
  }
};

struct DeviceDelta : testing::Test {
  unsigned seed = std::random_device{}();
  std::mt19937 random{seed};
  testing::ScopedTrace trace{__FILE__, __LINE__,
                             "seed " + std::to_string(seed)};
  AdapterPair pair = random_pair(random, "int8/channel", 0.1F);
  Bytes file = make_delta(pair.before, pair.after, {}).value().bytes;
};

TEST_F(DeviceDelta, PiecesOfAnySize) {
  for (size_t piece = 1; piece <= 300; ++piece) {
    Device device(pair.before);
    ASSERT_EQ(device.apply(file, piece), FT_DELTA_OK) << piece;
    ASSERT_TRUE(device.result == pair.after) << piece;
  }
}

TEST_F(DeviceDelta, NothingIsWrittenForAnotherPrecursor) {
  Device device(pair.after);
  EXPECT_EQ(device.apply(file, 64), FT_DELTA_WRONG_OLD);
  Device refusing(pair.before);
  refusing.refuse = 1;
  EXPECT_EQ(refusing.apply(file, 64), FT_DELTA_REFUSED);
  EXPECT_TRUE(device.result.empty() && refusing.result.empty());
}

TEST_F(DeviceDelta, EveryTruncationIsFound) {
  for (size_t bytes = 0; bytes < file.size(); bytes += 1 + bytes / 50) {
    Device device(pair.before);
    const Bytes part(file.begin(),
                     file.begin() + static_cast<ptrdiff_t>(bytes));
    EXPECT_EQ(device.apply(part, 50), FT_DELTA_TRUNCATED) << bytes;
  }
}

TEST_F(DeviceDelta, PaddingIsFound) {
  for (const size_t more : {1, 5, 500}) {
    Bytes padded = file;
    padded.resize(file.size() + more);
    Device device(pair.before);
    EXPECT_EQ(device.apply(padded, 33), FT_DELTA_PADDED);
    // And if the head says that it belongs there; a few zeros are part of it,
    // written or not.
    if (more < 5) continue;
    auto* head = reinterpret_cast<uint8_t*>(padded.data());
    ft_put_u32(head + 16, static_cast<uint32_t>(padded.size() - 96));
    ft_put_u32(head + 92, ft_crc32(0, head, 92));
    Device other(pair.before);
    EXPECT_EQ(other.apply(padded, 33), FT_DELTA_PADDED);
  }
}

// In the stream only the CRC-32 of the result can find it.
TEST_F(DeviceDelta, FlippedBitsAreFound) {
  for (size_t bit = 0; bit < 8 * file.size(); bit += 1 + random() % 20) {
    Bytes damaged = file;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    Device device(pair.before);
    const ft_delta_status status = device.apply(damaged, 77);
    // The last bytes have bits to spare.
    if (bit / 8 + 4 < file.size() || device.result != pair.after) {
      EXPECT_NE(status, FT_DELTA_OK) << "bit " << bit;
    }
    EXPECT_LE(device.result.size(), pair.after.size());
  }
}

// An element that ends behind the stream's end is not put anywhere (found by
// delta_fuzz).
TEST_F(DeviceDelta, StreamsThatEndInAnElement) {
  for (size_t bytes = 96; bytes < file.size(); bytes += 1 + random() % 9) {
    Bytes part(file.begin(), file.begin() + static_cast<ptrdiff_t>(bytes));
    auto* head = reinterpret_cast<uint8_t*>(part.data());
    ft_put_u32(head + 16, static_cast<uint32_t>(bytes - 96));
    ft_put_u32(head + 92, ft_crc32(0, head, 92));
    Device device(pair.before);
    const ft_delta_status status = device.apply(part, 50);
    EXPECT_TRUE(status != FT_DELTA_OK || device.result == pair.after) << bytes;
    EXPECT_LE(device.result.size(), pair.after.size());
  }
}

TEST_F(DeviceDelta, FailuresOfFlashEndIt) {
  Device reading(pair.before), writing(pair.before);
  reading.fail_read_at = pair.before.size() / 2;
  EXPECT_EQ(reading.apply(file, 40), FT_DELTA_READ_FAILED);
  writing.fail_write_at = pair.after.size() / 2;
  EXPECT_EQ(writing.apply(file, 40), FT_DELTA_WRITE_FAILED);
  EXPECT_LE(writing.result.size(), pair.after.size() / 2 + 32);
}

TEST(DeltaHead, SaysWhatIsWrong) {
  uint8_t bytes[FT_DELTA_HEAD_BYTES];
  ft_delta_head head = {}, back = {};
  head.mode = FT_DELTA_LOSSY;
  head.old_bytes = 5;
  head.new_sha256[31] = 9;
  ft_delta_encode_head(&head, bytes);
  ASSERT_EQ(ft_delta_decode_head(bytes, &back), FT_DELTA_OK);
  EXPECT_EQ(back.mode, FT_DELTA_LOSSY);
  EXPECT_EQ(back.old_bytes, 5U);
  EXPECT_EQ(back.new_sha256[31], 9);
  bytes[30] ^= 1;
  EXPECT_EQ(ft_delta_decode_head(bytes, &back), FT_DELTA_BAD_HEAD_CRC);
  bytes[30] ^= 1;
  for (const int format : {1, 3}) {
    bytes[4] = static_cast<uint8_t>(format);
    ft_put_u32(bytes + 92, ft_crc32(0, bytes, 92));
    EXPECT_EQ(ft_delta_decode_head(bytes, &back), FT_DELTA_BAD_FORMAT);
  }
  bytes[0] = 'X';
  EXPECT_EQ(ft_delta_decode_head(bytes, &back), FT_DELTA_NOT_A_DELTA);
}

}  // namespace
}  // namespace ft
