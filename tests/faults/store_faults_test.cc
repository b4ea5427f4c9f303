// Power cuts and failing calls at every write of an adapter store: it opens
// every time, with every adapter that was acknowledged, whole.
//
// A script of store operations (faults/store_script.cc) runs under a recorder;
// see faults/marked_run.h.
#include <gtest/gtest.h>

#include "adapters/store/test_adapters.h"
#include "fieldtune/adapter_store.h"
#include "tests/faults/marked_run.h"
#include "tests/faults/store_state.h"

namespace ft::faults {
namespace {

using fieldtune::AdapterStore;

// What is wrong with a store that a fault left; empty: nothing.
std::string wrong_with(const std::string& folder, const States& allowed,
                       const fieldtune::StoreKey& key) {
  auto store = AdapterStore::open(folder, {.key = key});
  if (!store.ok()) {
    if (!allowed.contains(kNoStore))
      return "does not open: " + store.status().message();
    const Status made = AdapterStore::init(folder, {.key = key});
    if (!made.ok()) return "cannot be made anew: " + made.message();
    store = AdapterStore::open(folder, {.key = key});
    if (!store.ok()) return "made anew: " + store.status().message();
  } else {
    const auto text = text_of(*store);
    if (!text.ok()) return "cannot be listed: " + text.status().message();
    const std::string wrong = wrong_unless_allowed(*text, allowed);
    if (!wrong.empty()) return wrong;
  }
  const auto problems = store->verify(true);
  if (!problems.ok()) return "verify: " + problems.status().message();
  for (const auto& problem : *problems)
    if (!problem.repaired) return problem.what;
  const auto after = [&]() -> Status {
    FT_TRY(const auto added,
           store->add(store::test_adapter(77), "test", {.name = "after"}));
    FT_TRY_STATUS(store->use("after").status());
    FT_TRY_STATUS(store->confirm("after").status());
    FT_TRY(const auto active, store->active("after"));
    FT_TRY_STATUS(store->load(active).status());
    FT_TRY(const auto left, store->verify());
    return left.empty() ? ok_status() : internal_error(left[0].what);
  }();
  return after.ok() ? "" : "cannot be used: " + after.message();
}

class StoreFaults : public MarkedFaults {
 protected:
  std::string script() const override { return "store_fault_script"; }
  std::string first_state() const override { return kNoStore; }
  std::string subject() const override {
    return GetParam() ? "encrypted store" : "store";
  }
  std::string wrong_with(const std::string& folder,
                         const States& allowed) override {
    return faults::wrong_with(folder, allowed, key());
  }
};

INSTANTIATE_TEST_SUITE_P(, StoreFaults, testing::Bool(), plain_or_encrypted);

TEST_P(StoreFaults, APowerCutAnywhereLosesNothing) { cut_everywhere(); }
TEST_P(StoreFaults, ACallThatFailsLosesNothing) { fail_everywhere(); }

}  // namespace
}  // namespace ft::faults
