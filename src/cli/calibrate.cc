#include "cli/calibrate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "cli/calibration_models.h"
#include "cli/progress.h"
#include "cli/timing.h"
#include "plan/fit_cost.h"
#include "plan/target.h"
#include "train/step.h"

namespace ft::cli {
namespace {

constexpr int kRuns = 21;
constexpr int64_t kBatches[] = {1, 4};

// What a measured call costs besides the kernel: reading the clock.
double clock_overhead_ns() {
  std::vector<double> gaps;
  for (int i = 0; i < 1001; ++i) {
    const auto start = std::chrono::steady_clock::now();
    gaps.push_back(std::chrono::duration<double, std::nano>(
                       std::chrono::steady_clock::now() - start)
                       .count());
  }
  return median(gaps);
}

// Bytes read and written by a copy that no cache holds, per nanosecond.
double bytes_per_ns() {
  constexpr size_t kBytes = 64 << 20;
  std::vector<char> from(kBytes, 1), to(kBytes, 2);
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    std::memcpy(to.data(), from.data(), kBytes);
    times.push_back(std::chrono::duration<double, std::nano>(
                        std::chrono::steady_clock::now() - start)
                        .count());
    from[static_cast<size_t>(i)] = to[kBytes - 1 - static_cast<size_t>(i)];
  }
  return 2.0 * kBytes / median(times);
}

// Every way in which a row may be chosen.
std::vector<PlanOptions> row_choices() {
  return {{}, {.exact = true}, {.device = std::vector{Isa::kHighway}}};
}

class Measurer {
 public:
  explicit Measurer(bool quiet)
      : quiet_(quiet), clock_ns_(clock_overhead_ns()) {}

  Status run() {
    ProgressLine progress("calibrate", total_programs(), quiet_);
    for (const int64_t batch : kBatches) {
      FT_TRY(const auto models, calibration_models(batch));
      for (const CalibrationModel& model : models)
        for (const PlanOptions& plan : row_choices())
          FT_TRY_STATUS(measure_model(model, plan, progress));
    }
    return ok_status();
  }

  Calibration result() const {
    KernelCosts costs;
    for (const auto& [key, calls] : calls_)
      if (key.find(':') == std::string::npos || calls.size() >= 3)
        costs[key] = fit_cost(calls);
    const double bandwidth = bytes_per_ns();
    return {.toml = to_toml(costs, bandwidth),
            .programs = programs_,
            .kernels = costs.size(),
            .gb_per_s = bandwidth};
  }

 private:
  // Inference, and training in the one precision of a float model or in the
  // two of an int8 one.
  static int64_t total_programs() {
    const int64_t models = 4, of_each = 2 + 3;
    return models * of_each * static_cast<int64_t>(row_choices().size()) *
           static_cast<int64_t>(std::size(kBatches));
  }

  Status measure_model(const CalibrationModel& model, const PlanOptions& plan,
                       ProgressLine& progress) {
    FT_TRY(const CompiledStep infer, compile_base(model.graph, plan));
    FT_TRY_STATUS(measure(infer.program, model.name, progress));
    std::vector<Precision> precisions{Precision::kMixed};
    if (model.int8) precisions.push_back(Precision::kInteger);
    for (const Precision precision : precisions) {
      MethodSettings method;
      method.method = "lora";
      FT_TRY(const CompiledStep step,
             compile_training(model.graph, {.method = method,
                                            .optimizer = {},
                                            .plan = plan,
                                            .precision = precision}));
      FT_TRY_STATUS(measure(step.program, model.name, progress));
    }
    return ok_status();
  }

  Status measure(const Program& program, const std::string& name,
                 ProgressLine& progress) {
    FT_TRY(Session session, Session::create(program));
    const Timing timing = time_runs(session, kRuns, true);
    for (size_t c = 0; c < program.calls.size(); ++c) {
      const Node& node = program.graph.node(program.calls[c].node);
      const KernelDef& kernel = *program.calls[c].kernel;
      const NodeView view = view_of(program.graph, node);
      const MeasuredCall call{
          .work = work_of(view),
          .units = std::max(1e3 * median(timing.by_call[c]) - clock_ns_, 1.0)};
      for (const std::string& key :
           {std::string(kernel.symbol),
            class_key(node.op->cost_class, kernel.signature),
            std::string(name_of(node.op->cost_class))})
        calls_[key].push_back(call);
      if (const std::string_view variant = variant_of(view); !variant.empty())
        calls_[fmt::format("{}{}", kernel.symbol, variant)].push_back(call);
      isas_.insert(name_of(kernel.isa));
    }
    progress.update(++programs_, name);
    return ok_status();
  }

  std::string to_toml(const KernelCosts& costs, double bandwidth) const {
    const auto bytes = static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                       static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
    std::string text = fmt::format(
        "# This machine, as 'fieldtune bench --calibrate' measured it. A cycle "
        "here is a\n# nanosecond.\nname = \"host\"\nlinux = true\n\n[isa]\n"
        "arch = \"host\"\nkernels = [{}]\n\n[fpu]\nsingle = true\n\n",
        fmt::join(quoted(isas_), ", "));
    for (const char* region : {"flash", "ram"})
      text += fmt::format(
          "[[memory]]\nname = \"{}\"\nkind = \"external\"\nbytes = {}\n"
          "wait_states = 0\nbytes_per_cycle = {:.4g}\npj_per_byte = 0\n\n",
          region, bytes, bandwidth);
    text +=
        "[costs]\npart = \"this machine\"\nhz = 1_000_000_000\n"
        "unit = \"nanoseconds\"\n\n";
    for (size_t c = 0; c < kNumCostClasses; ++c)
      text += fmt::format("[costs.{}]\ncycles_per_unit = 1\n\n",
                          name_of(static_cast<CostClass>(c)));
    text +=
        "# Nanoseconds per call, result, product, row, run, element read, "
        "product "
        "outside of\n# the image and block of products.\n"
        "[costs.kernels]\n";
    for (const auto& [key, cost] : costs)
      text +=
          fmt::format("\"{}\" = [{:.4g}]  # {} calls, error {:.3f}\n", key,
                      fmt::join(cost.units, ", "), cost.samples, cost.error);
    return text;
  }

  static std::vector<std::string> quoted(const std::set<std::string_view>& s) {
    std::vector<std::string> all;
    for (const std::string_view word : s)
      all.push_back(fmt::format("\"{}\"", word));
    return all;
  }

  bool quiet_;
  double clock_ns_;
  int programs_ = 0;
  std::map<std::string, std::vector<MeasuredCall>, std::less<>> calls_;
  std::set<std::string_view> isas_;
};

}  // namespace

Result<Calibration> calibrate_host(bool quiet) {
  Measurer measurer(quiet);
  FT_TRY_STATUS(measurer.run());
  return measurer.result();
}

}  // namespace ft::cli
