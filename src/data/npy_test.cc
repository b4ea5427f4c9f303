#include "data/npy.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "data/test_files.h"

namespace ft {
namespace {

std::vector<std::byte> file_of(std::string_view header, std::string_view data,
                               char version = 1) {
  std::string text = "\x93NUMPY";
  text += {version, '\0', static_cast<char>(header.size()), '\0'};
  if (version > 1) text += {'\0', '\0'};
  text += header;
  text += data;
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

constexpr std::string_view kGood =
    "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2), }\n";

TEST(Npy, RoundTripOfEachType) {
  const std::vector<std::byte> data(24, std::byte{1});
  for (const DType t : {DType::kF32, DType::kF64, DType::kS8, DType::kU8,
                        DType::kS16, DType::kS32, DType::kS64, DType::kBool}) {
    const int64_t shape[] = {3, static_cast<int64_t>(8 / size_of(t))};
    const auto bytes = write_npy(t, shape, data);
    ASSERT_TRUE(bytes.ok()) << bytes.status().message();
    EXPECT_EQ((bytes->size() - data.size()) % 64, 0u);
    const auto view = parse_npy(*bytes);
    ASSERT_TRUE(view.ok()) << view.status().message();
    EXPECT_EQ(view->dtype, t);
    EXPECT_EQ(view->shape, (std::vector<int64_t>(shape, shape + 2)));
    EXPECT_TRUE(std::equal(data.begin(), data.end(), view->data.begin()));
    EXPECT_EQ(npy_floats(*view).size(), 24 / size_of(t));
  }
}

TEST(Npy, ScalarsVectorsAndEmptyArrays) {
  const float one = 2.5f;
  const auto data = std::as_bytes(std::span(&one, 1));
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{}, {1}, {1, 1, 1}}) {
    const auto bytes = write_npy(DType::kF32, shape, data);
    const auto view = parse_npy(*bytes);
    ASSERT_TRUE(view.ok()) << view.status().message();
    EXPECT_EQ(view->shape, shape);
    EXPECT_EQ(npy_floats(*view), std::vector<float>{2.5f});
  }
  const int64_t empty[] = {0, 7};
  const auto bytes = write_npy(DType::kF32, empty, {});
  EXPECT_TRUE(parse_npy(*bytes).ok());
  EXPECT_FALSE(write_npy(DType::kF32, empty, data).ok());
  EXPECT_FALSE(write_npy(DType::kBF16, {}, data).ok());
}

TEST(Npy, IntegersKeepTheirSign) {
  const std::vector<int16_t> values = {-3, 7};
  const int64_t shape[] = {2};
  const auto bytes =
      write_npy(DType::kS16, shape, std::as_bytes(std::span(values)));
  const auto view = parse_npy(*bytes);
  EXPECT_EQ(*npy_integers(*view), (std::vector<int64_t>{-3, 7}));
  EXPECT_EQ(npy_floats(*view), (std::vector<float>{-3, 7}));
  NpyView floats = *view;
  floats.dtype = DType::kF32;
  EXPECT_ERROR_HAS(npy_integers(floats), "integers expected, found float32");
}

TEST(Npy, AcceptsOtherVersionsAndSpacing) {
  EXPECT_TRUE(parse_npy(file_of(kGood, "abcd")).ok());
  EXPECT_TRUE(parse_npy(file_of(kGood, "abcd", 2)).ok());
  EXPECT_TRUE(parse_npy(file_of(kGood, "abcd", 3)).ok());
  const auto terse =
      file_of(R"({"shape":(4,),"fortran_order":False,"descr":"|i1"})", "abcd");
  EXPECT_TRUE(parse_npy(terse).ok());
}

TEST(Npy, RefusesEachMalformedFile) {
  const auto expect = [](std::string_view part, std::string_view header,
                         std::string_view data = "abcd") {
    EXPECT_ERROR_HAS(parse_npy(file_of(header, data)), part);
  };
  expect("does not fill", kGood, "abc");
  expect("does not fill", kGood, "abcde");
  expect("Fortran", "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 2)}");
  expect("element type '>f4'",
         "{'descr': '>f4', 'fortran_order': False, 'shape': ()}");
  expect("structured",
         "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': ()}");
  expect("malformed", "{'descr': '|u1', 'shape': (2, 2)}");
  expect("malformed",
         "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, "
         "'shape': (4,)}");
  expect("malformed",
         "{'descr': '|u1', 'fortran_order': False, 'shape': (-4)}");
  expect("malformed", "{'descr': '|u1', 'fortran_order': False, 'shape': (4");
  expect("malformed", "{'descr': '|u1', 'fortran_order': False, 'shape': 4}");
  expect("malformed", "{'descr");
  expect("malformed", "");
  expect("does not fill",
         "{'descr': '<f8', 'fortran_order': False, "
         "'shape': (4294967296, 4294967296)}");
  EXPECT_ERROR_HAS(parse_npy({}), "not an .npy");
  EXPECT_ERROR_HAS(parse_npy(file_of(kGood, "abcd", 4)), "version 4");
  const auto good = file_of(kGood, "abcd");
  EXPECT_ERROR_HAS(parse_npy(std::span(good).first(40)), "header length");
}

TEST(Npy, RandomMutationsNeverEscapeTheFile) {
  constexpr uint64_t kSeed = 77;
  std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  const Random random(kSeed, "npy mutations");
  const std::vector<std::byte> original = file_of(kGood, "abcd");
  uint64_t draw = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> file = original;
    for (uint32_t flips = random.below(draw++, 4); flips > 0; --flips) {
      const auto size = static_cast<uint32_t>(file.size());
      std::byte& hit = file[random.below(draw++, size)];
      hit = static_cast<std::byte>(random.bits(draw++));
    }
    if (random.below(draw++, 4) == 0)
      file.resize(random.below(draw++, static_cast<uint32_t>(file.size())));
    const auto view = parse_npy(file);
    if (!view.ok()) continue;
    ASSERT_GE(view->data.data(), file.data());
    ASSERT_EQ(view->data.data() + view->data.size(), file.data() + file.size());
    EXPECT_EQ(npy_floats(*view).size(), view->elements());
  }
}

}  // namespace
}  // namespace ft
