// Times of an adapter store that holds many adapters, as one JSON object.
//
//   adapter_store_times FOLDER ADAPTERS FLOATS
//
// Makes FOLDER, adds ADAPTERS of FLOATS values each under as many names, uses
// and confirms every one, then looks them up and reads them. Not a test:
// nothing here fails because a machine is slow.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "adapters/store/test_adapters.h"
#include "base/random.h"
#include "fieldtune/adapter_store.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Times {
  std::vector<double> us;
  template <class F>
  ft::Status add(F call) {
    const auto start = Clock::now();
    ft::Status status = call();
    us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start)
                     .count());
    return status;
  }
  double at(double part) {
    std::ranges::sort(us);
    return us[static_cast<size_t>(part * static_cast<double>(us.size() - 1))];
  }
  void print(const char* name) {
    std::printf("\"%s_us_p50\": %.1f, \"%s_us_p99\": %.1f, ", name, at(0.5),
                name, at(0.99));
  }
};

std::string name_of(uint64_t i) { return "user-" + std::to_string(i); }

ft::Status fill(fieldtune::AdapterStore& store, uint64_t count,
                int64_t floats) {
  Times add, confirm;
  for (uint64_t i = 0; i < count; ++i) {
    const auto file = ft::store::test_adapter(i, floats);
    FT_TRY_STATUS(add.add([&] {
      return store.add(file, "bench", {.name = name_of(i)}).status();
    }));
    FT_TRY_STATUS(confirm.add([&]() -> ft::Status {
      FT_TRY_STATUS(store.use(name_of(i), 1).status());
      return store.confirm(name_of(i)).status();
    }));
  }
  add.print("add");
  confirm.print("use_and_confirm");
  return {};
}

ft::Status read(const std::string& folder, uint64_t count) {
  Times open, list, active, load, load_unchecked;
  for (int i = 0; i < 20; ++i)
    FT_TRY_STATUS(open.add([&] {
      return fieldtune::AdapterStore::open(folder, {.read_only = true})
          .status();
    }));
  FT_TRY(auto store,
         fieldtune::AdapterStore::open(folder, {.read_only = true}));
  for (int i = 0; i < 20; ++i)
    FT_TRY_STATUS(list.add([&] { return store.list().status(); }));
  const ft::Random random(1, "bench");
  for (uint64_t i = 0; i < 5000; ++i) {
    const auto name = name_of(random.below(i, static_cast<uint32_t>(count)));
    FT_TRY_STATUS(active.add([&] { return store.active(name).status(); }));
    FT_TRY(const auto row, store.active(name));
    FT_TRY_STATUS(load.add([&] { return store.load(row).status(); }));
    FT_TRY_STATUS(
        load_unchecked.add([&] { return store.load(row, false).status(); }));
    if (i == 0)
      std::printf("\"adapter_bytes\": %zu, ", static_cast<size_t>(row.bytes));
  }
  open.print("open");
  list.print("list");
  active.print("lookup");
  load.print("load");
  load_unchecked.print("load_unchecked");
  return {};
}

ft::Status run(const std::string& folder, uint64_t count, int64_t floats) {
  FT_TRY_STATUS(fieldtune::AdapterStore::init(folder));
  {
    FT_TRY(auto store, fieldtune::AdapterStore::open(folder));
    FT_TRY_STATUS(fill(store, count, floats));
  }
  FT_TRY_STATUS(read(folder, count));
  FT_TRY(auto store, fieldtune::AdapterStore::open(folder));
  Times collect, verify;
  FT_TRY_STATUS(collect.add([&] { return store.collect({}).status(); }));
  FT_TRY_STATUS(verify.add([&] { return store.verify().status(); }));
  std::printf("\"collect_us\": %.1f, \"verify_us\": %.1f, ", collect.us[0],
              verify.us[0]);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  std::printf("{");
  const ft::Status status = run(argv[1], std::strtoull(argv[2], nullptr, 10),
                                std::strtoll(argv[3], nullptr, 10));
  std::printf("\"adapters\": %s}\n", argv[2]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return status.ok() ? 0 : 1;
}
