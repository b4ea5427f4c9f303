#include "adapters/delta/random_adapters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/half.h"

namespace ft {
namespace {

Quantizer parsed(const std::string& text) {
  Quantizer q;
  if (text.find('/') == std::string::npos) {
    EXPECT_TRUE(parse_format(text, q).ok()) << text;
    return q;
  }
  const auto full = parse_quantizer(text);
  EXPECT_TRUE(full.ok()) << text;
  return full.ok() ? full.value() : q;
}

// The nearest values that a file can hold, with the smallest steps that fit.
void store_in(const Quantizer& q, AdapterEntry& t) {
  t.quantizer = q;
  if (q.format == Quantizer::Format::kF16)
    for (float& v : t.values) v = ft_half_to_float(ft_half_of_float(v));
  if (q.format == Quantizer::Format::kBF16)
    for (float& v : t.values) v = ft_bfloat16_to_float(ft_bfloat16_of_float(v));
  if (!q.is_integer()) return;
  const QuantGroups groups = groups_of(q, t.shape);
  const auto group = [&](size_t i) {
    return static_cast<size_t>(groups.group_of(static_cast<int64_t>(i)));
  };
  t.scale.assign(static_cast<size_t>(groups.groups), 0);
  for (size_t i = 0; i < t.values.size(); ++i)
    t.scale[group(i)] = std::max(t.scale[group(i)], std::fabs(t.values[i]));
  for (float& s : t.scale) {
    s = std::max(s / static_cast<float>(q.qmax()), 1e-6F);
    s = ft_float_of((ft_bits_of(s) + 0xffff) & 0xffff0000);  // exact products
  }
  if (!q.symmetric) t.zero_point.assign(t.scale.size(), 1);
  const int z = q.symmetric ? 0 : 1;
  for (size_t i = 0; i < t.values.size(); ++i) {
    const float s = t.scale[group(i)];
    const int steps = static_cast<int>(std::nearbyint(t.values[i] / s));
    t.values[i] =
        static_cast<float>(std::clamp(steps + z, q.qmin(), q.qmax()) - z) * s;
  }
}

std::vector<std::byte> stored(Adapter adapter, const Quantizer& q) {
  for (AdapterEntry& t : adapter.tensors)
    if (t.shape.rank() > 1) store_in(q, t);
  auto bytes = encode_adapter(adapter);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  return bytes.ok() ? std::move(bytes).value() : std::vector<std::byte>{};
}

}  // namespace

AdapterPair random_pair(std::mt19937& random, const std::string& quantizer,
                        float change, float moving) {
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<float> uniform;
  Adapter adapter;
  adapter.metadata = {{"base_sha256", std::string(64, 'b')},
                      {"method", "lora"},
                      {"loss", "0.125"},
                      {"parent_sha256", std::string(64, '7')}};
  const auto size = [&](int most) {
    return 1 + static_cast<int64_t>(random() % static_cast<unsigned>(most));
  };
  const int64_t r = size(20);
  for (const int layer : {0, 1, 2}) {
    const std::string name = "model.layer" + std::to_string(layer);
    adapter.tensors.push_back({name + ".lora_A.weight", {r, size(70)}, {}});
    adapter.tensors.push_back({name + ".lora_B.weight", {size(70), r}, {}});
    adapter.tensors.push_back({name + ".bias", {size(30)}, {}});
  }
  for (AdapterEntry& t : adapter.tensors)
    for (int64_t i = 0; i < t.shape.num_elements(); ++i)
      t.values.push_back(0.1F * normal(random));
  const Quantizer q = parsed(quantizer);
  AdapterPair pair{.before = stored(adapter, q), .after = {}};
  for (AdapterEntry& t : adapter.tensors)
    for (float& v : t.values)
      if (uniform(random) < moving) v += 0.1F * change * normal(random);
  adapter.metadata["loss"] = std::to_string(uniform(random));
  adapter.metadata["version"] = std::to_string(random() % 1000);
  adapter.metadata["parent_sha256"] = std::string(64, 'c');
  pair.after = stored(adapter, q);
  return pair;
}

}  // namespace ft
