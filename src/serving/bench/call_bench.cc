// What each kernel call of a model costs alone and with an adapter beside it,
// as one JSON object:
//
//   call_bench MODEL RANK SEQ_LEN MODE [TARGET...]
//
// A call's time is the least of many rounds in which both programs take turns,
// its instructions are counted exactly: a child runs it instruction by
// instruction, which works where no counters are and Valgrind does not know
// AVX-512. MODE is RuntimeOptions::adapter_mode. Not a test.
#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>

#include "fieldtune/runtime.h"
#include "serving/served_base.h"
#include "serving/test_adapters.h"

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

double ns_now() {
  return std::chrono::duration<double, std::nano>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Nanoseconds of a call, of which so many are timed together.
double time_call(Session& session, size_t c, int times) {
  const double start = ns_now();
  for (int i = 0; i < times; ++i) session.run_call(c);
  return (ns_now() - start) / times;
}

void least_times(std::span<Session*> sessions,
                 std::vector<std::vector<double>>& least) {
  constexpr int kRounds = 60;
  constexpr double kCallNs = 100000;
  for (int round = 0; round < kRounds; ++round)
    for (size_t s = 0; s < sessions.size(); ++s)
      for (size_t c = 0; c < least[s].size(); ++c) {
        const int times = std::clamp(
            static_cast<int>(kCallNs / std::max(least[s][c], 20.0)), 1, 5000);
        least[s][c] = std::min(
            least[s][c], time_call(*sessions[s], c, round == 0 ? 1 : times));
      }
}

// Steps of the child from its first stop to its second one.
Result<int64_t> count_steps(pid_t child) {
  int status = 0;
  int64_t steps = 0;
  if (waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status))
    return io_error("the child did not stop");
  while (true) {
    if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0)
      return io_error("the child cannot be run step by step");
    if (waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status))
      return io_error("the child did not stop");
    if (WSTOPSIG(status) == SIGSTOP) return steps;
    ++steps;
  }
}

Result<int64_t> count_instructions(const std::function<void()>& work) {
  const pid_t child = fork();
  if (child < 0) return io_error("no child can be made");
  if (child == 0) {
    work();
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    raise(SIGSTOP);
    work();
    raise(SIGSTOP);
    _exit(0);
  }
  auto steps = count_steps(child);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  return steps;
}

struct Run {
  ServedAdapterPtr adapter;
  std::unique_ptr<ShapeClass::Lease> lease;
};

Result<Run> run_of(ServedAdapterPtr adapter) {
  Run run{std::move(adapter), nullptr};
  FT_TRY(auto lease, run.adapter->shape->lease(*run.adapter));
  run.lease = std::make_unique<ShapeClass::Lease>(std::move(lease));
  return run;
}

Result<ServedAdapterPtr> adapted(ServedBase& base, const std::string& model,
                                 const AdapterRecipe& recipe) {
  FT_TRY(const Adapter adapter, random_adapter(model, recipe));
  FT_TRY(const auto bytes, encode_adapter(adapter));
  std::vector<LoadedAdapter> parts;
  FT_TRY(LoadedAdapter loaded, read_adapter(bytes, "the adapter"));
  parts.push_back(std::move(loaded));
  auto served = std::make_shared<ServedAdapter>();
  FT_TRY(served->shape, base.shape_of(parts));
  FT_TRY(served->block, served->shape->new_block());
  FT_TRY_STATUS(base.write(parts, *served->shape, *served->block));
  return ServedAdapterPtr(std::move(served));
}

Result<Json> describe(Run& run, const std::vector<double>& least) {
  Session& session = run.lease->session();
  const Program& program = session.program();
  const auto empty = [] {};
  FT_TRY(const int64_t nothing, count_instructions(empty));
  Json calls = Json::array();
  for (size_t c = 0; c < program.calls.size(); ++c) {
    const Node& node = program.graph.node(program.calls[c].node);
    FT_TRY(const int64_t count,
           count_instructions([&] { session.run_call(c); }));
    calls.push_back({{"name", node.name},
                     {"row", program.calls[c].kernel->symbol},
                     {"ns", least[c]},
                     {"instructions", count - nothing}});
  }
  return calls;
}

Result<Json> bench(const std::vector<std::string>& args) {
  if (args.size() < 4) return usage_error("see the head of call_bench.cc");
  const std::string& model = args[0];
  FT_TRY(const SideArithmetic sides, parse_side_arithmetic(args[3]));
  AdapterRecipe recipe{.size = 0.05, .seq_len = std::atoi(args[2].c_str())};
  recipe.method.r = std::atoi(args[1].c_str());
  recipe.method.target_modules = {args.begin() + 4, args.end()};
  ServedBase base(model, {}, recipe.seq_len, sides);
  FT_TRY(ServedAdapterPtr alone, base.alone());
  FT_TRY(ServedAdapterPtr beside, adapted(base, model, recipe));
  FT_TRY(Run first, run_of(std::move(alone)));
  FT_TRY(Run second, run_of(std::move(beside)));
  Session* sessions[] = {&first.lease->session(), &second.lease->session()};
  std::vector<std::vector<double>> least;
  for (Session* s : sessions) {
    std::ranges::fill(s->input(0), std::byte{1});
    s->run();
    least.emplace_back(s->program().calls.size(), 1e12);
  }
  least_times(sessions, least);
  FT_TRY(Json alone_calls, describe(first, least[0]));
  FT_TRY(Json beside_calls, describe(second, least[1]));
  return Json{{"alone", alone_calls}, {"beside", beside_calls}};
}

}  // namespace
}  // namespace ft

int main(int argc, char** argv) {
  const auto result = ft::bench({argv + 1, argv + argc});
  if (!result.ok()) {
    fmt::print(stderr, "call_bench: {}\n", result.status().message());
    return ft::exit_code(result.status().code());
  }
  fmt::print("{}\n", result->dump());
  return 0;
}
