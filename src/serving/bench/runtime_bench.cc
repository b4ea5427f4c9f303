// Figures of the runtime, as one JSON object: swaps, cold loads, hit rates,
// leaks, and the latency of adapters beside the base.
//
//   runtime_bench swap MODEL FOLDER RANK MODE
//   runtime_bench zipf MODEL FOLDER [requests]
//   runtime_bench leak MODEL FOLDER [swaps]
//   runtime_bench batch MODEL FOLDER RANK SEQ_LEN MODE
//   runtime_bench sides MODEL RANK SEQ_LEN MODE [TARGET...]
//   runtime_bench merge MODEL FOLDER RANK
//
// MODE is RuntimeOptions::adapter_mode. FOLDER is for adapter files that it
// makes. bench/adapter_runtime.py calls it on a pinned core; not a test,
// nothing here fails because a machine is slow.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "fieldtune/runtime.h"
#include "serving/served_base.h"
#include "serving/test_adapters.h"

namespace ft {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;
using fieldtune::Runtime;

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start)
      .count();
}

double quantile(std::vector<double> values, double q) {
  std::ranges::sort(values);
  return values[static_cast<size_t>(q *
                                    static_cast<double>(values.size() - 1))];
}

size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  size_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// Distinct adapters of one shape.
Result<std::vector<std::string>> make_files(const std::string& model,
                                            const std::string& folder, int r,
                                            size_t count) {
  std::filesystem::create_directories(folder);
  AdapterRecipe recipe{.size = 0.1};
  recipe.method.r = r;
  FT_TRY(Adapter adapter, random_adapter(model, recipe));
  std::vector<std::string> files;
  for (size_t i = 0; i < count; ++i) {
    adapter.tensors[0].values[0] = static_cast<float>(i) / 1000;
    FT_TRY(const auto bytes, encode_adapter(adapter));
    files.push_back(fmt::format("{}/{}.safetensors", folder, i));
    FT_TRY_STATUS(write_file_atomically(files.back(), bytes));
  }
  return files;
}

std::string name_of(size_t i) { return fmt::format("adapter{}", i); }

// Out of the page cache, as far as the kernel listens.
void drop_from_page_cache(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  ::close(fd);
}

Result<Json> bench_swap(const std::string& model, const std::string& folder,
                        int r, const std::string& mode) {
  constexpr size_t kFiles = 500;
  FT_TRY(const auto files, make_files(model, folder, r, kFiles));
  FT_TRY(Runtime runtime, Runtime::open(model, {.adapter_mode = mode}));
  std::vector<std::string> names;
  for (size_t i = 0; i < kFiles; ++i) {
    names.push_back(name_of(i));
    FT_TRY_STATUS(runtime.add(names[i], files[i]));
  }
  FT_TRY_STATUS(runtime.set_active(names[0]));  // compiles the shape
  std::vector<double> cold, disk, warm, run;
  for (const bool from_disk : {false, true})
    for (size_t i = 1; i < kFiles; ++i) {
      FT_TRY_STATUS(runtime.add(names[i], files[i]));  // forgets it
      if (from_disk) drop_from_page_cache(files[i]);
      const auto start = Clock::now();
      FT_TRY_STATUS(runtime.set_active(names[i]));
      (from_disk ? disk : cold).push_back(us_since(start));
    }
  const size_t features = [&] {
    auto base = fieldtune::Model::open(model);
    return static_cast<size_t>(base->input(0).size());
  }();
  const std::vector<float> x(features);
  std::vector<float> y;
  for (size_t i = 0; i < 20000; ++i) {
    const auto start = Clock::now();
    FT_TRY_STATUS(runtime.set_active(names[i * 7 % kFiles]));
    warm.push_back(us_since(start));
    if (i % 20 != 0) continue;
    const auto begin = Clock::now();
    FT_TRY_STATUS(runtime.run(x, y));
    run.push_back(us_since(begin));
  }
  return Json{{"file_bytes", std::filesystem::file_size(files[0])},
              {"cold_p50_us", quantile(cold, 0.5)},
              {"cold_p99_us", quantile(cold, 0.99)},
              {"cold_max_us", quantile(cold, 1)},
              {"disk_p50_us", quantile(disk, 0.5)},
              {"disk_p99_us", quantile(disk, 0.99)},
              {"warm_p50_us", quantile(warm, 0.5)},
              {"warm_p99_us", quantile(warm, 0.99)},
              {"warm_max_us", quantile(warm, 1)},
              {"run_p50_us", quantile(run, 0.5)}};
}

// Ranks 0 .. n-1 with P(i) ~ 1 / (i + 1)^s, as a permutation of the names.
class Zipf {
 public:
  Zipf(size_t n, double s) : sums_(n) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i)
      sums_[i] = sum += 1 / std::pow(static_cast<double>(i + 1), s);
    for (double& v : sums_) v /= sum;
  }
  size_t draw(double uniform) const {
    const auto at = std::ranges::upper_bound(sums_, uniform);
    return std::min(static_cast<size_t>(at - sums_.begin()), sums_.size() - 1);
  }

 private:
  std::vector<double> sums_;
};

std::vector<size_t> zipf_requests(size_t count, size_t names, double s) {
  const Zipf zipf(names, s);
  std::vector<size_t> requests(count);
  const Random coarse(11, "requests"), fine(11, "requests/fine");
  for (size_t i = 0; i < count; ++i)
    requests[i] = zipf.draw(static_cast<double>(coarse.uniform(i)) +
                            static_cast<double>(fine.uniform(i)) / (1 << 24));
  return requests;
}

// Belady's optimum for adapters of one size: of `slots`, the one that is
// wanted again the latest goes; one that is wanted later than all that are
// there is used and not kept.
size_t optimal_hits(const std::vector<size_t>& requests, size_t slots) {
  constexpr size_t kNever = SIZE_MAX;
  std::vector<size_t> next(requests.size());
  std::map<size_t, size_t> last;
  for (size_t i = requests.size(); i-- > 0;) {
    const auto at = last.find(requests[i]);
    next[i] = at == last.end() ? kNever : at->second;
    last[requests[i]] = i;
  }
  std::set<std::pair<size_t, size_t>> by_next;  // (next use, name)
  std::map<size_t, size_t> held;                // name -> next use
  size_t hits = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    const size_t name = requests[i];
    const auto at = held.find(name);
    if (at != held.end()) {
      ++hits;
      by_next.erase({at->second, name});
      held.erase(at);
    }
    if (next[i] == kNever) continue;
    held[name] = next[i];
    by_next.insert({next[i], name});
    if (held.size() <= slots) continue;
    const auto latest = std::prev(by_next.end());
    held.erase(latest->second);
    by_next.erase(latest);
  }
  return hits;
}

// Least recently used, for comparison.
size_t lru_hits(const std::vector<size_t>& requests, size_t slots) {
  std::map<size_t, size_t> time_of, name_at;
  size_t hits = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto at = time_of.find(requests[i]);
    if (at != time_of.end()) {
      ++hits;
      name_at.erase(at->second);
    } else if (time_of.size() == slots) {
      time_of.erase(name_at.begin()->second);
      name_at.erase(name_at.begin());
    }
    time_of[requests[i]] = i;
    name_at[i] = requests[i];
  }
  return hits;
}

Result<Json> bench_zipf(const std::string& model, const std::string& folder,
                        size_t count, double s) {
  constexpr size_t kNames = 10000, kFiles = 500, kBudget = 256 << 20;
  FT_TRY(const auto files, make_files(model, folder, 12, kFiles));
  FT_TRY(Runtime runtime,
         Runtime::open(model, {.adapter_budget_bytes = kBudget}));
  for (size_t i = 0; i < kNames; ++i)
    FT_TRY_STATUS(runtime.add(name_of(i), files[i % kFiles]));
  const auto requests = zipf_requests(count, kNames, s);
  size_t most = 0;
  const auto start = Clock::now();
  for (size_t i = 0; i < count; ++i) {
    FT_TRY_STATUS(runtime.set_active(name_of(requests[i])));
    if (i % 1000 == 0) most = std::max(most, runtime.stats().adapter_bytes);
  }
  const double total_us = us_since(start);
  const auto stats = runtime.stats();
  const size_t one = stats.cached_bytes / stats.cached;
  const size_t slots = kBudget / one;
  const auto rate = [&](size_t hits) {
    return static_cast<double>(hits) / static_cast<double>(count);
  };
  return Json{{"s", s},
              {"requests", count},
              {"adapter_bytes", one},
              {"slots", slots},
              {"hit_rate", rate(stats.hits)},
              {"optimal_hit_rate", rate(optimal_hits(requests, slots))},
              {"lru_hit_rate", rate(lru_hits(requests, slots))},
              {"most_bytes", most},
              {"budget_bytes", kBudget},
              {"request_mean_us", total_us / static_cast<double>(count)}};
}

Result<Json> bench_leak(const std::string& model, const std::string& folder,
                        size_t swaps) {
  constexpr size_t kFiles = 64;
  FT_TRY(const auto files, make_files(model, folder, 12, kFiles));
  // Half of them fit, so that blocks are freed and made all the time.
  const size_t budget = 32 * std::filesystem::file_size(files[0]);
  FT_TRY(Runtime runtime,
         Runtime::open(model, {.adapter_budget_bytes = budget}));
  std::vector<std::string> names;
  for (size_t i = 0; i < kFiles; ++i) {
    names.push_back(name_of(i));
    FT_TRY_STATUS(runtime.add(names[i], files[i]));
  }
  const auto requests = zipf_requests(swaps, kFiles, 1.6);
  size_t before = 0;
  for (size_t i = 0; i < swaps; ++i) {
    FT_TRY_STATUS(runtime.set_active(names[requests[i]]));
    if (i + 1 == swaps / 10) before = resident_bytes();
  }
  const size_t after = resident_bytes();
  const auto stats = runtime.stats();
  return Json{
      {"swaps", stats.swaps},
      {"evictions", stats.evictions},
      {"rss_after_tenth_bytes", before},
      {"rss_after_all_bytes", after},
      {"used_minus_cached_bytes", stats.adapter_bytes - stats.cached_bytes}};
}

// Products of a program.
double products_of(const Program& program) {
  double sum = 0;
  for (const KernelCall& call : program.calls) {
    const NodeView view = view_of(program.graph, program.graph.node(call.node));
    if (view.op->macs != nullptr)
      sum += static_cast<double>(view.op->macs(view));
  }
  return sum;
}

// Folding an adapter into the base's weights, and runs of both, turn by turn.
Result<Json> bench_merge(const std::string& model, const std::string& folder,
                         int r) {
  FT_TRY(const auto files, make_files(model, folder, r, 1));
  FT_TRY(Runtime runtime, Runtime::open(model));
  FT_TRY_STATUS(runtime.add("one", files[0]));
  FT_TRY_STATUS(runtime.set_active("one"));  // compiles the shape
  std::vector<double> merge_us;
  constexpr int kRounds = 15;
  for (int round = 0; round < kRounds; ++round) {
    FT_TRY_STATUS(runtime.merge("merged", "one"));
    const auto start = Clock::now();
    FT_TRY_STATUS(runtime.set_active("merged"));
    merge_us.push_back(us_since(start));
  }
  FT_TRY(auto base, fieldtune::Model::open(model));
  const std::vector<float> x(static_cast<size_t>(base.input(0).size()));
  std::vector<float> y;
  double best[2] = {1e9, 1e9};
  constexpr int kRuns = 300;
  for (int round = 0; round < kRounds; ++round)
    for (int which = 0; which < 2; ++which) {
      FT_TRY_STATUS(runtime.set_active(which == 0 ? "" : "merged"));
      std::vector<double> times;
      for (int i = 0; i < kRuns; ++i) {
        const auto start = Clock::now();
        FT_TRY_STATUS(runtime.run(x, y));
        times.push_back(us_since(start));
      }
      best[which] = std::min(best[which], quantile(times, 0.5));
    }
  return Json{{"merge_p50_us", quantile(merge_us, 0.5)},
              {"base_us", best[0]},
              {"merged_us", best[1]},
              {"overhead", best[1] / best[0] - 1}};
}

// Runs of the base and of the base with an adapter, turn by turn.
Result<Json> bench_sides(const std::string& model, int r, int seq_len,
                         const std::string& mode,
                         std::vector<std::string> targets) {
  FT_TRY(const SideArithmetic sides, parse_side_arithmetic(mode));
  ServedBase base(model, {}, seq_len, sides);
  FT_TRY(const ServedAdapterPtr alone, base.alone());
  AdapterRecipe recipe{.size = 0.05, .seq_len = seq_len};
  recipe.method.r = r;
  recipe.method.target_modules = std::move(targets);
  FT_TRY(Adapter adapter, random_adapter(model, recipe));
  FT_TRY(const auto bytes, encode_adapter(adapter));
  std::vector<LoadedAdapter> parts;
  FT_TRY(LoadedAdapter loaded, read_adapter(bytes, "the adapter"));
  parts.push_back(std::move(loaded));
  ServedAdapter served;
  FT_TRY(served.shape, base.shape_of(parts));
  FT_TRY(served.block, served.shape->new_block());
  FT_TRY_STATUS(base.write(parts, *served.shape, *served.block));
  std::vector<double> base_us, adapted_us;
  constexpr int kRounds = 15;
  constexpr double kRoundUs = 60000;
  for (int round = 0; round < kRounds; ++round)
    for (const ServedAdapter* which :
         std::initializer_list<const ServedAdapter*>{alone.get(), &served}) {
      FT_TRY(ShapeClass::Lease lease, which->shape->lease(*which));
      Session& session = lease.session();
      std::vector<double> times;
      const auto begin = Clock::now();
      while (us_since(begin) < kRoundUs) {
        std::ranges::fill(session.input(0), std::byte{1});
        const auto start = Clock::now();
        session.run();
        times.push_back(us_since(start));
      }
      (which == alone.get() ? base_us : adapted_us)
          .push_back(quantile(times, 0.5));
    }
  const double base_best = std::ranges::min(base_us),
               adapted_best = std::ranges::min(adapted_us);
  return Json{{"rank", r},
              {"adapter_values", served.block->size() / 4},
              {"base_us", base_best},
              {"adapted_us", adapted_best},
              {"more_products", products_of(served.shape->program()) /
                                        products_of(alone->shape->program()) -
                                    1},
              {"overhead", adapted_best / base_best - 1}};
}

// Eight requests, each with an adapter of its own: one after the other, and as
// a batch.
Result<Json> bench_batch(const std::string& model, const std::string& folder,
                         int r, int seq_len, const std::string& mode) {
  constexpr size_t kBatch = 8;
  std::filesystem::create_directories(folder);
  FT_TRY(Runtime runtime, Runtime::open(model, {.sequence_length = seq_len,
                                                .adapter_mode = mode}));
  std::vector<std::vector<float>> features(kBatch), answers(kBatch);
  FT_TRY(auto base,
         fieldtune::Model::open(model, {.sequence_length = seq_len}));
  size_t size = 1;
  for (const int64_t d : base.inputs()[0].shape) size *= static_cast<size_t>(d);
  std::vector<fieldtune::Request> requests;
  for (size_t i = 0; i < kBatch; ++i) {
    AdapterRecipe recipe{.seed = i, .size = 0.05, .seq_len = seq_len};
    recipe.method.r = r;
    const std::string path = fmt::format("{}/batch_{}.safetensors", folder, i);
    FT_TRY_STATUS(write_random_adapter(model, recipe, path));
    FT_TRY_STATUS(runtime.add(name_of(i), path));
    const Random random(i, "features");
    for (size_t k = 0; k < size; ++k)
      features[i].push_back(static_cast<float>(random.below(k, 100)));
    requests.push_back({name_of(i), features[i], &answers[i]});
  }
  FT_TRY_STATUS(runtime.run_batch(requests));  // compiles and proves
  std::vector<double> alone_us, batch_us;
  constexpr int kRounds = 15;
  constexpr double kRoundUs = 60000;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<double> times;
    for (auto begin = Clock::now(); us_since(begin) < kRoundUs;) {
      const auto start = Clock::now();
      for (size_t i = 0; i < kBatch; ++i)
        FT_TRY_STATUS(
            runtime.run_with(requests[i].adapter, features[i], answers[i]));
      times.push_back(us_since(start));
    }
    alone_us.push_back(quantile(times, 0.5));
    times.clear();
    for (auto begin = Clock::now(); us_since(begin) < kRoundUs;) {
      const auto start = Clock::now();
      FT_TRY_STATUS(runtime.run_batch(requests));
      times.push_back(us_since(start));
    }
    batch_us.push_back(quantile(times, 0.5));
  }
  const double alone = std::ranges::min(alone_us),
               batch = std::ranges::min(batch_us);
  const auto stats = runtime.stats();
  return Json{{"rank", r},
              {"one_by_one_us", alone},
              {"batch_us", batch},
              {"ratio", alone / batch},
              {"batched", stats.batched == stats.batch_requests},
              {"base_file_bytes", stats.base_file_bytes}};
}

Result<Json> run(const std::vector<std::string>& args) {
  if (args.size() < 3) return usage_error("see the head of runtime_bench.cc");
  const std::string &what = args[0], &model = args[1], &where = args[2];
  const auto number = [&](size_t i, double preset) {
    return args.size() > i ? std::atof(args[i].c_str()) : preset;
  };
  const auto word = [&](size_t i) -> std::string {
    return args.size() > i ? args[i] : "side";
  };
  if (what == "swap")
    return bench_swap(model, where, static_cast<int>(number(3, 12)), word(4));
  if (what == "zipf")
    return bench_zipf(model, where, static_cast<size_t>(number(3, 200000)),
                      number(4, 1));
  if (what == "leak")
    return bench_leak(model, where, static_cast<size_t>(number(3, 1000000)));
  if (what == "sides")
    return bench_sides(
        model, static_cast<int>(number(2, 4)), static_cast<int>(number(3, 0)),
        word(4),
        {args.begin() + std::min<ptrdiff_t>(5, std::ssize(args)), args.end()});
  if (what == "merge")
    return bench_merge(model, where, static_cast<int>(number(3, 4)));
  if (what == "batch")
    return bench_batch(model, where, static_cast<int>(number(3, 4)),
                       static_cast<int>(number(4, 0)), word(5));
  return usage_error("no benchmark '" + what + "'");
}

}  // namespace
}  // namespace ft

int main(int argc, char** argv) {
  const auto result = ft::run({argv + 1, argv + argc});
  if (!result.ok()) {
    fmt::print(stderr, "runtime_bench: {}\n", result.status().message());
    return ft::exit_code(result.status().code());
  }
  fmt::print("{}\n", result->dump());
  return 0;
}
