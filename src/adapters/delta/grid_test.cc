// Integers of a stored grid, element by element: what is written is what is
// read, whatever the values, in so few decisions that a step of the applier
// has the bytes for them.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "ft_delta_model.h"

namespace ft {
namespace {

// Writes bits to a list or reads them from it.
struct Tape : ft_delta_coder {
  std::vector<uint32_t> bits;
  size_t at = 0;
  bool reads = false;

  Tape() {
    bit = [](ft_delta_coder* self, uint16_t* state, uint32_t value) {
      value = static_cast<Tape*>(self)->next(value);
      ft_delta_learn(state, value);
      return value;
    };
    direct = [](ft_delta_coder* self, uint32_t value, uint32_t count) {
      const auto low =
          static_cast<uint32_t>(value & ((uint64_t{1} << count) - 1));
      return static_cast<Tape*>(self)->next(low);
    };
  }
  uint32_t next(uint32_t value) {
    if (reads) return bits.at(at++);
    bits.push_back(value);
    return value;
  }
};

struct Case {
  ft_delta_segment segment = {};
  std::vector<uint32_t> before, after;
};

// Also values that no quantizer makes, and ones far from what is expected.
Case random_case(std::mt19937& generator) {
  const auto random = [&] { return static_cast<uint32_t>(generator()); };
  Case out;
  const bool is_4 = random() % 2 != 0;
  const uint32_t count = 2 * (1 + random() % 300);
  out.segment.kind = is_4 ? FT_DELTA_I4 : FT_DELTA_I8;
  out.segment.count = is_4 ? count / 2 : count;
  out.segment.row = random() % 3 != 0 ? 1 : 1 + random() % 40;
  out.segment.groups = static_cast<uint8_t>(1 + random() % 16);
  out.segment.has_old = random() % 4 != 0 ? 1 : 0;
  const uint32_t half = is_4 ? 8 : 128, mask = 2 * half - 1;
  const uint32_t spread = 1 + random() % half;
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t old = random() & mask;
    uint32_t moved = old + random() % spread - spread / 2;
    if (random() % 50 == 0) moved = random();
    out.before.push_back(out.segment.has_old != 0 ? old : 0);
    out.after.push_back(moved & mask);
  }
  return out;
}

TEST(DeltaGrid, ReadsWhatWasWritten) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  ft_delta_model writer, reader;
  ft_delta_model_init(&writer);
  ft_delta_model_init(&reader);
  for (int round = 0; round < 200; ++round) {
    const Case c = random_case(random);
    Tape tape;
    ft_delta_code_segment(&writer, &tape, &c.segment);
    for (size_t i = 0; i < c.after.size(); ++i) {
      const size_t decisions = tape.bits.size();
      ASSERT_EQ(ft_delta_code_element(&writer, &tape, c.before[i], c.after[i]),
                c.after[i]);
      // A byte each, and a step may have two elements.
      ASSERT_LE(tape.bits.size() - decisions, 20U);
    }
    tape.reads = true;
    const ft_delta_segment none = {};
    ft_delta_code_segment(&reader, &tape, &none);
    ASSERT_EQ(reader.segment.count, c.segment.count);
    ASSERT_EQ(reader.segment.row, c.segment.row);
    ASSERT_EQ(reader.segment.groups, c.segment.groups);
    for (size_t i = 0; i < c.after.size(); ++i)
      ASSERT_EQ(ft_delta_code_element(&reader, &tape, c.before[i], 0),
                c.after[i]);
    ASSERT_EQ(tape.at, tape.bits.size());
  }
}

}  // namespace
}  // namespace ft
