// The int8 rows against the double row on the real numbers that their inputs
// stand for. The double row is checked by finite differences (ops_test).
#include "kernels/gain_grad/gain_grad.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "kernels/weight_norm/weight_norm.h"

namespace ft {
namespace {

constexpr uint64_t kSeed = 21;

// Random numbers as they are stored and what they stand for.
template <class T>
struct Numbers {
  std::vector<T> stored;
  std::vector<double> real;
};

class Draws {
 public:
  explicit Draws(uint64_t stream) : random_(kSeed, stream) {}
  int between(int low, int high) {
    return low + static_cast<int>(random_.below(
                     counter_++, static_cast<uint32_t>(high - low + 1)));
  }
  // Real number i is (stored - zero) * scale[i / run % scale.size()].
  template <class T>
  Numbers<T> numbers(int count, int low, int high, int zero,
                     const std::vector<float>& scale, int run) {
    Numbers<T> v;
    for (int i = 0; i < count; ++i) {
      const int q = between(low, high);
      v.stored.push_back(static_cast<T>(q));
      const size_t c = static_cast<size_t>(i / run) % scale.size();
      v.real.push_back((q - zero) * static_cast<double>(scale[c]));
    }
    return v;
  }
  Numbers<float> floats(int count) {
    Numbers<float> v;
    for (int i = 0; i < count; ++i) {
      v.stored.push_back(static_cast<float>(between(-64, 64)) / 16);
      v.real.push_back(static_cast<double>(v.stored.back()));
    }
    return v;
  }

 private:
  Random random_;
  uint64_t counter_ = 0;
};

template <class T>
std::vector<T> run(ft_kernel_fn kernel, const void* params,
                   const std::vector<const void*>& inputs, const void* aux,
                   int count) {
  std::vector<T> y(static_cast<size_t>(count));
  std::vector<void*> in;
  for (const void* p : inputs) in.push_back(const_cast<void*>(p));
  const void* all_aux[] = {aux};
  void* out[] = {y.data()};
  const ft_args args{in.data(), all_aux, out, nullptr, nullptr};
  kernel(params, &args);
  return y;
}

void expect_near(const std::vector<float>& got,
                 const std::vector<double>& want) {
  double largest = 0;
  for (const double v : want) largest = std::max(largest, std::abs(v));
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_NEAR(static_cast<double>(got[i]), want[i], 1e-5 * largest) << i;
}

TEST(GainGradS8, RowsEqualTheDoubleRowOfRealNumbers) {
  for (uint64_t stream = 0; stream < 60; ++stream) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " case " << stream);
    Draws d(stream);
    const bool depthwise = d.between(0, 1) == 1;
    ft_gain_grad_params p{};
    ft_conv_params& c = p.conv;
    c.batch = d.between(1, 2);
    c.in_c = d.between(1, 6);
    c.out_c = depthwise ? c.in_c * d.between(1, 2) : d.between(1, 9);
    c.groups = depthwise ? c.in_c : 1;
    c.k_h = d.between(1, 3);
    c.k_w = d.between(1, 3);
    c.stride_h = c.stride_w = d.between(1, 2);
    c.dilation_h = c.dilation_w = 1;
    c.pad_top = c.pad_left = 1;
    c.in_h = d.between(3, 6);
    c.in_w = d.between(3, 6);
    c.out_h = (c.in_h + 1 - c.k_h) / c.stride_h + 1;
    c.out_w = (c.in_w + 1 - c.k_w) / c.stride_w + 1;
    c.x_zero_point = d.between(-20, 20);
    c.x_scale = 0.03125f;
    const int run_length = depthwise ? 1 : c.in_c, taps = c.k_h * c.k_w;
    p.w_out_step = depthwise ? 1 : taps * run_length;
    p.w_tap_step = depthwise ? c.out_c : run_length;
    c.rank = depthwise ? 0 : d.between(0, 2);
    c.lora_scaling = 0.5f;
    const int pixels = ft_num_pixels(&c);
    std::vector<float> w_scale, acc_scale;
    for (int i = 0; i < c.out_c; ++i) {
      w_scale.push_back(static_cast<float>(d.between(1, 40)) / 1024);
      acc_scale.push_back(w_scale.back() * c.x_scale);
    }
    const auto x = d.numbers<int8_t>(c.batch * c.in_h * c.in_w * c.in_c, -128,
                                     127, c.x_zero_point, {c.x_scale}, 1);
    const auto w = d.numbers<int8_t>(c.out_c * taps * run_length, -127, 127, 0,
                                     w_scale, p.w_out_step);
    const auto bias = d.numbers<int32_t>(c.out_c, -9000, 9000, 0, acc_scale, 1);
    const auto dy = d.floats(pixels * c.out_c), h = d.floats(pixels * c.rank);
    const auto b = d.floats(c.out_c * c.rank);
    const auto delta = d.floats(depthwise ? taps * c.out_c : 0);
    ft_gain_grad_params real = p;
    real.conv.x_scale = 1;
    real.conv.x_zero_point = 0;
    const auto want = run<double>(
        ft_gain_grad_f64_c99, &real,
        {x.real.data(), w.real.data(), dy.real.data(), bias.real.data(),
         h.real.data(), b.real.data(), depthwise ? delta.real.data() : nullptr},
        nullptr, c.out_c);
    const float* const side = depthwise ? delta.stored.data() : nullptr;
    expect_near(
        run<float>(ft_gain_grad_s8_c99, &p,
                   {x.stored.data(), w.stored.data(), dy.stored.data(),
                    bias.stored.data(), h.stored.data(), b.stored.data(), side},
                   acc_scale.data(), c.out_c),
        want);
    const std::vector<float> w32(w.real.begin(), w.real.end());
    const std::vector<float> bias32(bias.real.begin(), bias.real.end());
    expect_near(
        run<float>(ft_gain_grad_s8f32_c99, &p,
                   {x.stored.data(), w32.data(), dy.stored.data(),
                    bias32.data(), h.stored.data(), b.stored.data(), side},
                   nullptr, c.out_c),
        want);
  }
}

// By the definition, in double.
TEST(WeightNorm, RowsEqualTheLengthOfTheAdaptedWeights) {
  for (uint64_t stream = 0; stream < 40; ++stream) {
    SCOPED_TRACE(testing::Message() << "seed " << kSeed << " case " << stream);
    Draws d(1000 + stream);
    const bool outputs_last = d.between(0, 1) == 1;
    ft_weight_norm_params p{.rows = d.between(1, 7),
                            .columns = d.between(1, 30),
                            .rank = d.between(1, 4),
                            .out_step = 1,
                            .step = 1,
                            .scaling = 0.25f};
    (outputs_last ? p.step : p.out_step) = outputs_last ? p.rows : p.columns;
    std::vector<float> scale;
    for (int i = 0; i < p.rows; ++i)
      scale.push_back(static_cast<float>(d.between(1, 40)) / 64);
    const auto w =
        d.numbers<int8_t>(p.rows * p.columns, -127, 127, 0, scale, p.out_step);
    const auto a = d.floats(p.rank * p.columns), b = d.floats(p.rows * p.rank);
    std::vector<double> want;
    for (int o = 0; o < p.rows; ++o) {
      double squares = 0;
      for (int j = 0; j < p.columns; ++j) {
        double v = w.real[static_cast<size_t>(o * p.out_step + j * p.step)];
        for (int l = 0; l < p.rank; ++l)
          v += 0.25 * b.real[static_cast<size_t>(o * p.rank + l)] *
               a.real[static_cast<size_t>(l * p.columns + j)];
        squares += v * v;
      }
      want.push_back(std::sqrt(squares));
    }
    expect_near(run<float>(ft_weight_norm_s8_c99, &p,
                           {w.stored.data(), a.stored.data(), b.stored.data()},
                           scale.data(), p.rows),
                want);
    const std::vector<float> w32(w.real.begin(), w.real.end());
    expect_near(run<float>(ft_weight_norm_f32_c99, &p,
                           {w32.data(), a.stored.data(), b.stored.data()},
                           nullptr, p.rows),
                want);
  }
}

}  // namespace
}  // namespace ft
