#include "adapters/stored_tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

namespace ft {
namespace {

// Values that the quantizer can express, of every integer it has.
AdapterEntry entry_of(const char* quantizer, const Shape& shape) {
  AdapterEntry t{.name = std::string("base_model.model.") + quantizer,
                 .shape = shape,
                 .values = {},
                 .quantizer = parse_quantizer(quantizer).value()};
  const Quantizer& q = t.quantizer;
  const QuantGroups groups = groups_of(q, shape);
  for (int64_t g = 0; g < groups.groups && q.is_integer(); ++g) {
    t.scale.push_back(0.3f / static_cast<float>(g + 1));
    if (!q.symmetric) t.zero_point.push_back(static_cast<int32_t>(g % 3) - 2);
  }
  for (int64_t i = 0; i < shape.num_elements(); ++i) {
    const auto g = static_cast<size_t>(groups.group_of(i));
    const int span = q.qmax() - q.qmin() + 1;
    const int integer = q.qmin() + static_cast<int>(i * 7 % span);
    t.values.push_back(
        !q.is_integer() ? static_cast<float>(i) * 0.125f
                        : static_cast<float>(
                              integer - (q.symmetric ? 0 : t.zero_point[g])) *
                              t.scale[g]);
  }
  return t;
}

Adapter adapter_of(const char* quantizer) {
  Adapter adapter{
      .metadata = {{"base_sha256", "abc"}, {"method", "lora"}},
      .tensors = {entry_of(quantizer, {5, 7}), entry_of("float32", {3})}};
  adapter.tensors.back().name = "base_model.model.bias";
  adapter.tensors.push_back(entry_of(quantizer, {3, 2, 2}));
  adapter.tensors.back().name += "/b";
  return adapter;
}

constexpr const char* kAll[] = {
    "float32",      "float16",     "bfloat16",
    "int8/channel", "int4/block3", "int4/asymmetric/channel",
    "int2/tensor",  "int5/block4", "int16/asymmetric/tensor"};

TEST(StoredTensor, RoundTripsBitForBit) {
  for (const char* text : kAll) {
    const Adapter adapter = adapter_of(text);
    const auto bytes = encode_adapter(adapter);
    ASSERT_TRUE(bytes.ok()) << bytes.status().message();
    const auto back = decode_adapter(*bytes, "test");
    ASSERT_TRUE(back.ok()) << text << " " << back.status().message();
    ASSERT_EQ(back->tensors.size(), 3u) << text;
    for (const AdapterEntry& t : adapter.tensors) {
      const auto same = [&](const AdapterEntry& o) {
        return o.name == t.name && o.shape == t.shape && o.values == t.values;
      };
      EXPECT_TRUE(std::ranges::any_of(back->tensors, same)) << text;
    }
    EXPECT_EQ(encode_adapter(*back).value(), *bytes) << text;
  }
}

TEST(StoredTensor, TakesTheBitsItNames) {
  Adapter adapter{.metadata = {{"base_sha256", "abc"}, {"method", "lora"}},
                  .tensors = {}};
  const auto data_bytes = [&](const char* text) {
    adapter.tensors = {entry_of(text, {64, 64})};
    const auto bytes = encode_adapter(adapter).value();
    const Safetensors file = parse_safetensors(bytes).value();
    size_t sum = 0;
    for (const SafetensorsEntry& t : file.tensors) sum += t.data.size();
    return sum;
  };
  EXPECT_EQ(data_bytes("float32"), 16384u);
  EXPECT_EQ(data_bytes("float16"), 8192u);
  EXPECT_EQ(data_bytes("int8/channel"), 4096u + 256);
  EXPECT_EQ(data_bytes("int4/tensor"), 2048u + 4);
}

TEST(StoredTensor, RefusesValuesBetweenTheSteps) {
  Adapter adapter = adapter_of("int8/channel");
  adapter.tensors[0].values[3] += 0.01f;
  EXPECT_FALSE(encode_adapter(adapter).ok());
}

// The file with one of its parts replaced.
Status refusal(const char* quantizer,
               const std::function<void(StoredTensors&)>& change) {
  const Adapter adapter = adapter_of(quantizer);
  StoredTensors stored = store_tensors(adapter.tensors).value();
  change(stored);
  const auto bytes = write_safetensors(stored.entries, stored.metadata);
  return decode_foreign_adapter(bytes.value(), "x").status();
}

TEST(StoredTensor, RefusesIncompleteAndContradictoryFiles) {
  const auto expect = [](const Status& status, const char* words) {
    EXPECT_EQ(status.code(), Code::kInvalidInput) << words;
    EXPECT_NE(status.message().find(words), std::string::npos)
        << status.message();
  };
  expect(
      refusal("int8/channel", [](auto& s) { s.metadata.erase(kQuantizerKey); }),
      "'quantizer' is missing");
  expect(refusal("int8/channel", [](auto& s) { s.entries.pop_back(); }),
         "no float32 tensor 'quantizer.scale'");
  expect(refusal("int8/channel",
                 [](auto& s) { s.metadata[kQuantizerKey] = "int4/channel"; }),
         "the quantizer is int4");
  expect(refusal("int8/channel",
                 [](auto& s) { s.metadata[kQuantizerKey] = "int7/channel"; }),
         "which int7/channel cannot be");
  expect(refusal("int8/channel",
                 [](auto& s) { s.metadata[kQuantizerKey] = "int8/block1"; }),
         "ends before it");
  expect(refusal("int8/channel",
                 [](auto& s) { s.metadata[kQuantizerKey] = "int8/tensor"; }),
         "for integer tensors that take");
  expect(refusal("int4/channel",
                 [](auto& s) { s.metadata.erase(kPackedShapesKey); }),
         "no shape for it");
  for (const char* shapes :
       {"5x7", "5x7 3x2x3", "5x7 3x2x2 1", "5x7 3xx2", "5x7 0", "5x7 3x2x2x",
        "2147483647x2147483647 3x2x2", "5x7 -3x2x2"})
    EXPECT_FALSE(
        refusal("int4/channel",
                [&](auto& s) { s.metadata[kPackedShapesKey] = shapes; })
            .ok())
        << shapes;
  expect(refusal("int8/asymmetric/channel",
                 [](auto& s) {
                   s.storage.push_back(std::vector<std::byte>(4));
                   s.entries.back().shape = {1};
                   s.entries.back().data = s.storage.back();
                 }),
         "but 1 zero points");
  expect(refusal("int8/channel",
                 [](auto& s) {
                   auto& data = s.storage.back();
                   std::ranges::fill(data, std::byte{0});
                 }),
         "not a step");
}

}  // namespace
}  // namespace ft
