#include "cli/timing.h"

#include <algorithm>
#include <chrono>

#include "base/random.h"

namespace ft::cli {
namespace {

using Clock = std::chrono::steady_clock;

double micros_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start)
      .count();
}

}  // namespace

double median(std::vector<double> values) {
  const auto middle =
      values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

// Any bytes do for int8; floats must be finite and small.
void fill_inputs(Session& session) {
  const Random random(1, "bench");
  for (size_t i = 0; i < session.program().inputs.size(); ++i) {
    const TensorType& type = session.program().inputs[i].type;
    const auto bytes = session.input(i);
    std::ranges::fill(bytes, std::byte{0});
    if (type.dtype == DType::kF32)
      for (size_t k = 0; float& v : session.input_as<float>(i))
        v = 0.01f * random.normal(k++);
    if (type.dtype == DType::kS8)
      for (size_t k = 0; std::byte & b : bytes)
        b = static_cast<std::byte>(random.bits(k++));
  }
}

Timing time_runs(Session& session, int runs, bool by_call) {
  Timing timing;
  timing.by_call.resize(session.program().calls.size());
  for (int i = -runs / 10; i < runs; ++i) {
    fill_inputs(session);
    const auto start = Clock::now();
    if (by_call) {
      for (size_t c = 0; c < timing.by_call.size(); ++c) {
        const auto call_start = Clock::now();
        session.run_call(c);
        if (i >= 0) timing.by_call[c].push_back(micros_since(call_start));
      }
    } else {
      session.run();
    }
    if (i >= 0) timing.micros.push_back(micros_since(start));
  }
  return timing;
}

}  // namespace ft::cli
