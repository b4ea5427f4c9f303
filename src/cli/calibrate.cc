#include "cli/calibrate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
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

constexpr int kRuns = 51;
// What the clock cannot tell from nothing. A call is not taken to be shorter:
// fits are of relative errors, and one of a nanosecond would outweigh all.
constexpr double kLeastNs = 20;
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

// Bytes read per nanosecond from a buffer of this size, again and again: what
// the C library needs to find that a byte is not there.
double bytes_per_ns(size_t bytes) {
  constexpr size_t kRead = 64 << 20;  // of each measurement
  const std::vector<char> from(bytes, 1);
  const size_t passes = std::max<size_t>(1, kRead / bytes);
  double least_ns = INFINITY;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    for (size_t pass = 0; pass < passes; ++pass)
      if (std::memchr(from.data(), 2, bytes) != nullptr) return 0;
    least_ns = std::min(least_ns, std::chrono::duration<double, std::nano>(
                                      std::chrono::steady_clock::now() - start)
                                      .count());
  }
  return static_cast<double>(bytes * passes) / least_ns;
}

// Caches of this core that the system tells of, each measured half full.
std::vector<CacheLevel> measured_caches() {
  std::vector<CacheLevel> levels;
  for (const int name : {_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL3_CACHE_SIZE})
    if (const long bytes = sysconf(name); bytes > 0)
      levels.push_back({static_cast<uint64_t>(bytes),
                        bytes_per_ns(static_cast<size_t>(bytes) / 2)});
  return levels;
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
    constexpr size_t kNoCacheHolds = 256 << 20;
    const double bandwidth = bytes_per_ns(kNoCacheHolds);
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
          .units =
              std::max(1e3 * median(timing.by_call[c]) - clock_ns_, kLeastNs)};
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
    for (const CacheLevel& cache : measured_caches())
      text += fmt::format("[[cache]]\nbytes = {}\nbytes_per_cycle = {:.4g}\n\n",
                          cache.bytes, cache.bytes_per_cycle);
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
