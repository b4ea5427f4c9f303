#include "formats/safetensors/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/random.h"

namespace ft {
namespace {

std::vector<std::byte> file_of(std::string_view header,
                               std::string_view data = "") {
  std::vector<std::byte> out(8 + header.size() + data.size());
  const uint64_t n = header.size();
  std::memcpy(out.data(), &n, 8);
  std::memcpy(out.data() + 8, header.data(), header.size());
  std::memcpy(out.data() + 8 + header.size(), data.data(), data.size());
  return out;
}

std::string error_of(std::string_view header, std::string_view data = "") {
  const auto parsed = parse_safetensors(file_of(header, data));
  return parsed.ok() ? "" : parsed.status().message();
}

template <class T>
SafetensorsEntry entry(std::string name, DType dtype,
                       std::vector<int64_t> shape,
                       const std::vector<T>& values) {
  return {std::move(name), dtype, std::move(shape),
          std::as_bytes(std::span(values))};
}

std::vector<std::byte> example_file() {
  const std::vector<int8_t> codes = {1, -2, 3};
  const std::vector<float> a = {1.5f, -2.0f, 0.25f, 8.0f}, empty, one = {7};
  const SafetensorsEntry tensors[] = {
      entry("codes", DType::kS8, {3}, codes),
      entry("conv1.lora_A.weight", DType::kF32, {2, 2}, a),
      entry("empty", DType::kF32, {0, 5}, empty),
      entry("scalar \"q\" \xc3\xa9", DType::kF32, {}, one),
  };
  auto bytes = write_safetensors(
      tensors, {{"method", "lora"}, {"base_sha256", "00ff"}, {"a\nb", "\t"}});
  return std::move(bytes).value();
}

TEST(Safetensors, RoundTripKeepsNamesShapesAndBytes) {
  const auto bytes = example_file();
  const auto file = parse_safetensors(bytes);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->tensors.size(), 4u);
  EXPECT_EQ(file->metadata.at("a\nb"), "\t");
  const SafetensorsEntry* a = file->find("conv1.lora_A.weight");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->shape, (std::vector<int64_t>{2, 2}));
  float values[4];
  ASSERT_EQ(a->data.size(), sizeof values);
  std::memcpy(values, a->data.data(), sizeof values);
  EXPECT_EQ(values[3], 8.0f);
  EXPECT_EQ(file->find("scalar \"q\" \xc3\xa9")->shape.size(), 0u);
  EXPECT_EQ(file->find("absent"), nullptr);
  // Views, aligned within the file.
  EXPECT_GE(a->data.data(), bytes.data());
  EXPECT_EQ((a->data.data() - bytes.data()) % 4, 0);
  const auto again = write_safetensors(file->tensors, file->metadata);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, bytes);
}

TEST(Safetensors, EmptyFileOfNoTensors) {
  const auto bytes = write_safetensors({}, {});
  ASSERT_TRUE(bytes.ok());
  const auto file = parse_safetensors(*bytes);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_TRUE(file->tensors.empty());
}

// "name":{...} of a header.
std::string tensor(std::string_view name, std::string_view dtype,
                   std::string_view shape, std::string_view offsets) {
  return "\"" + std::string(name) + "\":{\"dtype\":\"" + std::string(dtype) +
         "\",\"shape\":" + std::string(shape) +
         ",\"data_offsets\":" + std::string(offsets) + "}";
}

void expect_error(std::string_view part, std::string_view header,
                  std::string_view data = "") {
  const std::string error = error_of(header, data);
  EXPECT_NE(error.find(part), std::string::npos)
      << header << " gave: '" << error << "'";
}

TEST(Safetensors, RefusesMalformedJsonAndUnknownStructure) {
  EXPECT_EQ(error_of("{" + tensor("a", "U8", "[4]", "[0,4]") + "}", "abcd"),
            "");
  EXPECT_EQ(error_of("{} ", ""), "");
  expect_error("does not start", " {}");
  expect_error("malformed JSON", "{");
  expect_error("malformed JSON", "{} x");
  expect_error("malformed JSON", "{\"\xff\":1}");
  expect_error("dtype", "{" + tensor("a", "F8", "[4]", "[0,4]") + "}", "abcd");
  expect_error("duplicate key 'a'",
               "{" + tensor("a", "U8", "[2]", "[0,2]") + "," +
                   tensor("a", "U8", "[2]", "[2,4]") + "}",
               "abcd");
  expect_error("duplicate key 'k'", R"({"__metadata__":{"k":"1","k":"2"}})");
  expect_error("duplicate key '__metadata__'",
               R"({"__metadata__":{},"__metadata__":{}})");
  expect_error(
      "duplicate key 'dtype'",
      R"({"a":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}})",
      "a");
  expect_error("a number", R"({"__metadata__":{"k":1}})");
  expect_error("an object", R"({"__metadata__":{"k":{}}})");
  expect_error("an array", R"({"a":[1]})");
  expect_error("null", R"({"a":null})");
  expect_error("an array", R"({"a":{"dtype":"U8","extra":[]}})");
  expect_error("a string", R"({"a":{"dtype":"U8","extra":"x"}})");
}

TEST(Safetensors, RefusesShapesAndOffsetsThatDoNotFit) {
  expect_error("lacks", R"({"a":{"dtype":"U8","shape":[1]}})", "a");
  expect_error("negative", R"({"a":{"dtype":"U8","shape":[-1]}})");
  expect_error("fraction", R"({"a":{"dtype":"U8","shape":[1.5]}})");
  expect_error(
      "above 2^63",
      "{" + tensor("a", "F32", "[4294967296,4294967296]", "[0,4]") + "}",
      "abcd");
  expect_error("number above",
               "{" + tensor("a", "U8", "[18446744073709551615]", "[0,4]") + "}",
               "abcd");
  expect_error("needs 8 bytes", "{" + tensor("a", "F32", "[2]", "[0,4]") + "}",
               "abcd");
  expect_error("outside", "{" + tensor("a", "U8", "[5]", "[0,5]") + "}",
               "abcd");
  expect_error("outside", "{" + tensor("a", "U8", "[1]", "[3,2]") + "}",
               "abcd");
  expect_error("outside", "{" + tensor("a", "U8", "[1]", "[0]") + "}", "a");
  expect_error("hole", "{" + tensor("a", "U8", "[3]", "[1,4]") + "}", "abcd");
  expect_error("overlap",
               "{" + tensor("a", "U8", "[3]", "[0,3]") + "," +
                   tensor("b", "U8", "[2]", "[2,4]") + "}",
               "abcd");
  expect_error("2 bytes after", "{" + tensor("a", "U8", "[2]", "[0,2]") + "}",
               "abcd");
  std::string ones = "[1";
  for (int i = 0; i < 40; ++i) ones += ",1";
  expect_error("more than 32", R"({"a":{"dtype":"U8","shape":)" + ones + "]}}");
}

TEST(Safetensors, RefusesBadLengthsAndDeepNesting) {
  std::vector<std::byte> file = file_of("{}");
  EXPECT_FALSE(parse_safetensors({}).ok());
  EXPECT_FALSE(parse_safetensors(std::span(file).first(7)).ok());
  EXPECT_FALSE(parse_safetensors(std::span(file).first(9)).ok());
  std::memset(file.data(), 0xff, 8);
  EXPECT_FALSE(parse_safetensors(file).ok());
  EXPECT_NE(error_of("{\"a\":" + std::string(1'000'000, '[')), "");
  EXPECT_NE(error_of("{\"a\":" + std::string(1'000'000, '{')), "");
}

TEST(Safetensors, SaysTheNumbersOfAHeaderThatIsTooLong) {
  const auto refused = [](uint64_t length, uint64_t file_bytes) {
    std::vector<std::byte> begin(8);
    std::memcpy(begin.data(), &length, 8);
    const auto found = safetensors_header_bytes(begin, file_bytes);
    return found.ok() ? "" : found.status().message();
  };
  EXPECT_EQ(refused(kMaxHeaderBytes, UINT64_MAX), "");
  EXPECT_EQ(refused(kMaxHeaderBytes + 1, UINT64_MAX),
            "safetensors: header length 100000001, where the format allows "
            "100000000 bytes (the file has 18446744073709551615)");
  EXPECT_EQ(refused(UINT64_MAX, 100),
            "safetensors: header length 18446744073709551615 in a file of 100 "
            "bytes");
  EXPECT_EQ(refused(92, 100), "");
  EXPECT_NE(refused(93, 100), "");
  EXPECT_NE(refused(0, 7), "");
}

TEST(Safetensors, WriterRefusesWhatCannotBeReadBack) {
  const std::vector<uint8_t> one = {1};
  const auto write = [](std::vector<SafetensorsEntry> tensors,
                        SafetensorsMetadata metadata = {}) {
    return write_safetensors(tensors, metadata).ok();
  };
  const SafetensorsEntry good = entry("a", DType::kU8, {1}, one);
  EXPECT_TRUE(write({good}));
  EXPECT_FALSE(write({good, good}));
  EXPECT_FALSE(write({entry("__metadata__", DType::kU8, {1}, one)}));
  EXPECT_FALSE(write({entry("a", DType::kU8, {2}, one)}));
  EXPECT_FALSE(write({entry("a", DType::kU8, {-1}, one)}));
  EXPECT_FALSE(write({entry("\xff", DType::kU8, {1}, one)}));
  EXPECT_FALSE(write({good}, {{"k", "\xc0"}}));
}

// No mutation may crash, and none that parses may give a view outside the
// file. 20,000 files take well under a second.
TEST(Safetensors, RandomMutationsNeverEscapeTheFile) {
  constexpr uint64_t kSeed = 20240;
  std::printf("seed %llu\n", static_cast<unsigned long long>(kSeed));
  const Random random(kSeed, "safetensors mutations");
  const std::vector<std::byte> original = example_file();
  uint64_t draw = 0;
  int parsed_count = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::byte> file = original;
    const uint32_t flips = random.below(draw++, 4);
    for (uint32_t i = 0; i < flips; ++i) {
      const auto size = static_cast<uint32_t>(file.size());
      std::byte& hit = file[random.below(draw++, size)];
      hit ^= static_cast<std::byte>(1u << random.below(draw++, 8));
    }
    if (random.below(draw++, 4) == 0)
      file.resize(random.below(draw++, static_cast<uint32_t>(file.size())));
    const auto result = parse_safetensors(file);
    const Status header = check_safetensors_header(file, file.size());
    EXPECT_EQ(header.message(), result.status().message());
    if (!result.ok()) {
      EXPECT_FALSE(result.status().message().empty());
      continue;
    }
    ++parsed_count;
    for (const SafetensorsEntry& t : result->tensors) {
      ASSERT_GE(t.data.data(), file.data());
      ASSERT_LE(t.data.data() + t.data.size(), file.data() + file.size());
    }
  }
  EXPECT_GT(parsed_count, 1000);
}

}  // namespace
}  // namespace ft
