#include "adapters/delta/delta_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "adapters/adapter_file.h"
#include "adapters/delta/random_adapters.h"
#include "adapters/device_image.h"
#include "base/hash.h"
#include "ft_bytes.h"
#include "ft_crc32.h"

namespace ft {
namespace {

using Bytes = std::vector<std::byte>;

struct DeltaFileTest : testing::Test {
  unsigned seed = std::random_device{}();
  std::mt19937 random{seed};
  testing::ScopedTrace trace{__FILE__, __LINE__,
                             "seed " + std::to_string(seed)};
};

Bytes made(const AdapterPair& pair, int bits = 0) {
  auto delta = make_delta(pair.before, pair.after, {.bits = bits});
  EXPECT_TRUE(delta.ok()) << delta.status().message();
  return delta.ok() ? delta->bytes : Bytes{};
}

std::string refusal(const Result<Bytes>& result) {
  if (result.ok()) return "taken";
  EXPECT_EQ(result.status().code(), Code::kInvalidInput);
  return result.status().message();
}

TEST_F(DeltaFileTest, RoundTripsInEveryDtype) {
  for (const std::string& quantizer : kAllQuantizers) {
    for (const float change : {0.0F, 0.001F, 0.1F, 2.0F}) {
      SCOPED_TRACE(quantizer + " " + std::to_string(change));
      const AdapterPair pair = random_pair(random, quantizer, change);
      const Bytes delta = made(pair);
      const auto applied = apply_delta(pair.before, delta, "delta");
      ASSERT_TRUE(applied.ok()) << applied.status().message();
      EXPECT_TRUE(applied.value() == pair.after);
      // Never much larger than the file, whatever happened to it.
      EXPECT_LE(delta.size(), pair.after.size() + 150);
    }
  }
}

TEST_F(DeltaFileTest, IsDeterministic) {
  const AdapterPair pair = random_pair(random, "int8/channel", 0.1F);
  EXPECT_TRUE(made(pair) == made(pair));
}

TEST_F(DeltaFileTest, EqualFilesAreNextToNothing) {
  for (const std::string& quantizer : kAllQuantizers) {
    const Bytes file = random_pair(random, quantizer, 0).before;
    const Bytes delta = made({file, file});
    EXPECT_LT(delta.size(), 96 + 40 + file.size() / 100) << quantizer;
  }
}

// A version says what its parent is: the digest that the head has, too.
TEST_F(DeltaFileTest, TheParentsDigestTakesLittle) {
  AdapterPair pair = random_pair(random, "int8/channel", 0.1F);
  const auto with_parent = [](const Bytes& file, const std::string& sha256) {
    Adapter adapter = decode_adapter(file, "").value();
    adapter.metadata["parent_sha256"] = sha256;
    return encode_adapter(adapter).value();
  };
  const std::string other = sha256_hex(pair.after);
  const Bytes other_parent = with_parent(pair.before, other);
  // Apart from the padding, which may differ.
  const size_t without = made(pair).size() + 8;
  pair.after = with_parent(pair.after, sha256_hex(pair.before));
  const Bytes delta = made(pair);
  EXPECT_LE(delta.size(), without + 8);
  EXPECT_TRUE(apply_delta(pair.before, delta, "delta").value() == pair.after);
  // In place of another parent's.
  pair.before = other_parent;
  pair.after = with_parent(pair.after, sha256_hex(pair.before));
  EXPECT_LE(made(pair).size(), without + 8);
  EXPECT_TRUE(apply_delta(pair.before, made(pair), "delta").value() ==
              pair.after);
  // Of something else it is text as any other.
  pair.after = with_parent(pair.after, other.substr(1) + "0");
  EXPECT_TRUE(apply_delta(pair.before, made(pair), "delta").value() ==
              pair.after);
}

TEST_F(DeltaFileTest, OlderFormatsAreRefusedByNumber) {
  const AdapterPair pair = random_pair(random, "int8/channel", 0.1F);
  Bytes delta = made(pair);
  delta[4] = std::byte{1};
  auto* head = reinterpret_cast<uint8_t*>(delta.data());
  ft_put_u32(head + 92, ft_crc32(0, head, 92));
  EXPECT_EQ(refusal(apply_delta(pair.before, delta, "'x'")),
            "'x' is of format 1, mode 0; this version applies format 2, modes "
            "0 to 2: make the delta anew");
}

TEST_F(DeltaFileTest, SparseChangesTakeLittle) {
  const AdapterPair dense = random_pair(random, "int8/channel", 0.5F);
  const AdapterPair sparse = random_pair(random, "int8/channel", 0.5F, 0.01F);
  const auto per_byte = [&](const AdapterPair& pair) {
    return static_cast<double>(made(pair).size()) /
           static_cast<double>(pair.after.size());
  };
  EXPECT_LT(per_byte(sparse), per_byte(dense));
}

// Of an adapter of other layers nothing helps but the header.
TEST_F(DeltaFileTest, UnrelatedAdaptersFallBackToTheFullFile) {
  const AdapterPair one = random_pair(random, "float32", 0);
  AdapterPair other = random_pair(random, "float32", 0);
  Adapter renamed = decode_adapter(other.before, "").value();
  for (AdapterEntry& t : renamed.tensors) t.name += ".other";
  other.before = encode_adapter(renamed).value();
  const auto delta = make_delta(one.before, other.before, {});
  ASSERT_TRUE(delta.ok()) << delta.status().message();
  EXPECT_EQ(delta->mode, FT_DELTA_FULL);
  EXPECT_LE(delta->bytes.size(), other.before.size() + 150);
  const auto applied = apply_delta(one.before, delta->bytes, "delta");
  ASSERT_TRUE(applied.ok()) << applied.status().message();
  EXPECT_TRUE(applied.value() == other.before);
}

TEST_F(DeltaFileTest, AnotherPrecursorIsRefused) {
  const AdapterPair pair = random_pair(random, "int8/channel", 0.1F);
  const Bytes delta = made(pair);
  EXPECT_NE(refusal(apply_delta(pair.after, delta, "'x.delta'"))
                .find("'x.delta' was made for another precursor"),
            std::string::npos);
  Bytes flipped = pair.before;
  flipped.back() ^= std::byte{1};
  EXPECT_NE(refusal(apply_delta(flipped, delta, "delta"))
                .find(sha256_hex(pair.before)),
            std::string::npos);
}

TEST_F(DeltaFileTest, TruncatedAndPaddedDeltasAreRefused) {
  const AdapterPair pair = random_pair(random, "int4/channel", 0.1F);
  Bytes delta = made(pair);
  for (size_t bytes = 0; bytes < delta.size(); ++bytes) {
    const auto part = std::span(delta).first(bytes);
    const std::string why = refusal(apply_delta(pair.before, part, "delta"));
    EXPECT_TRUE(why.find("truncated") != std::string::npos ||
                why.find("not a delta") != std::string::npos)
        << bytes << ": " << why;
  }
  delta.push_back(std::byte{0});
  EXPECT_NE(refusal(apply_delta(pair.before, delta, "delta")).find("padded"),
            std::string::npos);
}

// Or changes nothing: the last byte of the stream has bits to spare.
TEST_F(DeltaFileTest, EveryFlippedBitIsFound) {
  for (const int bits : {0, 8}) {
    const AdapterPair pair = random_pair(random, "float32", 0.1F);
    const DeltaFile delta =
        make_delta(pair.before, pair.after, {.bits = bits}).value();
    for (int round = 0; round < 2000; ++round) {
      Bytes damaged = delta.bytes;
      const size_t bit = random() % (8 * damaged.size());
      damaged[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
      const auto applied = apply_delta(pair.before, damaged, "delta");
      if (bit / 8 + 4 < damaged.size()) {
        EXPECT_NE(refusal(applied), "taken") << "bit " << bit;
      } else if (applied.ok()) {
        EXPECT_TRUE(applied.value() == delta.result) << "bit " << bit;
      }
    }
  }
}

TEST_F(DeltaFileTest, AnotherBaseOrQuantizerIsRefused) {
  const Bytes int8 = random_pair(random, "int8/channel", 0).before;
  const Bytes int4 = random_pair(random, "int4/channel", 0).before;
  const auto delta = make_delta(int8, int4, {});
  ASSERT_FALSE(delta.ok());
  EXPECT_NE(delta.status().message().find(
                "one quantizer to another: the old file has int8/channel, the "
                "new file has int4/channel"),
            std::string::npos)
      << delta.status().message();
  Adapter other = decode_adapter(int8, "").value();
  other.metadata["base_sha256"] = std::string(64, 'e');
  const auto foreign = make_delta(int8, encode_adapter(other).value(), {});
  ASSERT_FALSE(foreign.ok());
  EXPECT_NE(foreign.status().message().find("base model"), std::string::npos);
  EXPECT_FALSE(make_delta(int8, std::span(int8).first(40), {}).ok());
}

// |result - new| is at most half a step, and the next delta mends it.
TEST_F(DeltaFileTest, LossyErrorsDoNotAddUp) {
  for (const int bits : {8, 4}) {
    AdapterPair pair = random_pair(random, "float32", 0.1F);
    for (int version = 2; version < 6; ++version) {
      const auto delta = make_delta(pair.before, pair.after, {.bits = bits});
      ASSERT_TRUE(delta.ok()) << delta.status().message();
      EXPECT_EQ(delta->mode, FT_DELTA_LOSSY);
      const auto applied = apply_delta(pair.before, delta->bytes, "delta");
      ASSERT_TRUE(applied.ok()) << applied.status().message();
      EXPECT_TRUE(applied.value() == delta->result);
      const Adapter was = decode_adapter(pair.before, "").value();
      const Adapter want = decode_adapter(pair.after, "").value();
      const Adapter got = decode_adapter(delta->result, "").value();
      EXPECT_EQ(got.metadata, want.metadata);
      for (size_t t = 0; t < want.tensors.size(); ++t) {
        float moved = 0, missed = 0;
        for (size_t i = 0; i < want.tensors[t].values.size(); ++i) {
          const float to = want.tensors[t].values[i];
          moved = std::max(moved, std::fabs(to - was.tensors[t].values[i]));
          missed = std::max(missed, std::fabs(to - got.tensors[t].values[i]));
        }
        const float most = static_cast<float>((1 << (bits - 1)) - 1);
        EXPECT_LE(missed, 1.001F * moved / most) << want.tensors[t].name;
      }
      // The target stays: what is left to tell shrinks from one to the next.
      pair.before = delta->result;
    }
  }
}

TEST_F(DeltaFileTest, LossyKeepsTheGridOfIntegers) {
  const AdapterPair pair = random_pair(random, "int8/channel", 0.1F);
  const auto delta = make_delta(pair.before, pair.after, {.bits = 4});
  ASSERT_TRUE(delta.ok());
  const Adapter want = decode_adapter(pair.after, "").value();
  const Adapter got = decode_adapter(delta->result, "").value();
  for (size_t t = 0; t < want.tensors.size(); ++t)
    if (want.tensors[t].quantizer.is_integer()) {
      EXPECT_EQ(got.tensors[t].values, want.tensors[t].values);
    }
}

TEST_F(DeltaFileTest, LossyOfASignedFileIsRefused) {
  const AdapterPair pair = random_pair(random, "float32", 0.1F);
  Adapter adapter = decode_adapter(pair.after, "").value();
  adapter.metadata["signature"] = "00";
  const auto file = encode_adapter(adapter).value();
  const auto delta = make_delta(pair.before, file, {.bits = 8});
  ASSERT_FALSE(delta.ok());
  EXPECT_EQ(delta.status().code(), Code::kUsage);
  EXPECT_TRUE(make_delta(pair.before, file, {}).ok());
  EXPECT_FALSE(make_delta(pair.before, pair.after, {.bits = 5}).ok());
}

Bytes image_of(std::span<const std::byte> payload, uint32_t version) {
  DeviceImage image;
  image.version = version;
  image.payload = payload;
  return encode_device_image(image, nullptr).value();
}

TEST_F(DeltaFileTest, DeviceImagesWithValuesOfSeveralWidths) {
  std::normal_distribution<double> normal;
  Bytes before, after;
  const auto add = [&](auto from, auto to) {
    const auto* a = reinterpret_cast<const std::byte*>(&from);
    const auto* b = reinterpret_cast<const std::byte*>(&to);
    before.insert(before.end(), a, a + sizeof(from));
    after.insert(after.end(), b, b + sizeof(to));
  };
  const auto to_int16 = [](double v) {
    return static_cast<int16_t>(std::clamp(v, -32767.0, 32767.0));
  };
  const auto to_int8 = [](double v) {
    return static_cast<int8_t>(std::clamp(v, -127.0, 127.0));
  };
  for (int i = 0; i < 1000; ++i) {
    const double v = 9000 * normal(random), d = 40 * normal(random);
    add(to_int16(v), to_int16(v + d));
  }
  for (int i = 0; i < 500; ++i) {
    const double v = normal(random), d = 0.01 * normal(random);
    add(static_cast<float>(v), static_cast<float>(v + d));
  }
  for (int i = 0; i < 1001; ++i) {
    const double v = 40 * normal(random), d = 3 * normal(random);
    add(to_int8(v), to_int8(v + d));
  }
  const AdapterPair pair{image_of(before, 1), image_of(after, 2)};
  const Bytes delta = made(pair);
  const auto applied = apply_delta(pair.before, delta, "delta");
  ASSERT_TRUE(applied.ok()) << applied.status().message();
  EXPECT_TRUE(applied.value() == pair.after);
  // About 7.5, 20 and 3.7 bits a value.
  EXPECT_LT(delta.size(), 3100U);
  EXPECT_FALSE(make_delta(pair.before, image_of({}, 2), {}).ok());
  EXPECT_FALSE(make_delta(pair.before, pair.after, {.bits = 8}).ok());
}

TEST_F(DeltaFileTest, CostsAreThoseOfTheFile) {
  const AdapterPair pair = random_pair(random, "float16", 0.1F);
  const Bytes delta = made(pair);
  const auto applied =
      apply_delta_with_costs(pair.before, delta, "delta").value();
  ASSERT_EQ(applied.cost_bytes.size(), pair.after.size());
  double sum = 0;
  for (const float cost : applied.cost_bytes) sum += cost;
  EXPECT_NEAR(sum, static_cast<double>(delta.size() - 96), 6);
}

}  // namespace
}  // namespace ft
