#include "adapters/adapter_file.h"

#include <gtest/gtest.h>

#include <limits>

namespace ft {
namespace {

Adapter example() {
  return {
      .metadata = {{"base_sha256", "abc"}, {"method", "lora"}},
      .tensors = {
          {"base_model.model.fc.lora_A.weight", {2, 3}, {1, 2, 3, 4, 5, 6}}}};
}

TEST(AdapterFile, RoundTripsWithEqualBytes) {
  const auto bytes = encode_adapter(example()).value();
  const Adapter back = decode_adapter(bytes, "test").value();
  EXPECT_EQ(back.tensors[0].values, example().tensors[0].values);
  EXPECT_EQ(back.tensors[0].shape, (Shape{2, 3}));
  EXPECT_EQ(back.get("method"), "lora");
  EXPECT_EQ(encode_adapter(back).value(), bytes);
}

TEST(AdapterFile, RefusesAnotherBase) {
  EXPECT_TRUE(check_base(example(), "abc").ok());
  const Status status = check_base(example(), "def");
  EXPECT_EQ(status.code(), Code::kInvalidInput);
  EXPECT_NE(status.message().find("another base model"), std::string::npos);
}

TEST(AdapterFile, RefusesValuesThatAreNotFinite) {
  Adapter adapter = example();
  adapter.tensors[0].values[4] = std::numeric_limits<float>::quiet_NaN();
  const auto bytes = encode_adapter(adapter).value();
  const auto back = decode_adapter(bytes, "x");
  ASSERT_FALSE(back.ok());
  EXPECT_NE(back.status().message().find("element 4"), std::string::npos);
}

TEST(AdapterFile, RefusesMissingMetadata) {
  Adapter adapter = example();
  adapter.metadata.erase("method");
  const auto back = decode_adapter(encode_adapter(adapter).value(), "x");
  ASSERT_FALSE(back.ok());
  EXPECT_NE(back.status().message().find("'method'"), std::string::npos);
}

TEST(AdapterFile, RefusesEveryTruncation) {
  const auto bytes = encode_adapter(example()).value();
  for (size_t n = 0; n < bytes.size(); ++n)
    EXPECT_FALSE(decode_adapter(std::span(bytes).first(n), "x").ok()) << n;
}

}  // namespace
}  // namespace ft
