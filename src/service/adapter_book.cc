#include "service/adapter_book.h"

#include <fmt/format.h>

#include <algorithm>

namespace ft::service {
namespace {

Chosen chosen_of(const std::string& name, const CatalogVersion& v) {
  return {name, v.version, runtime_name(name, v)};
}

const CatalogVersion* version_in(const Catalog& catalog,
                                 const std::string& name,
                                 const CatalogVersion& v) {
  const auto at = catalog.find(name);
  if (at == catalog.end()) return nullptr;
  const CatalogVersion* found = at->second.find(v.version);
  return found != nullptr && found->key == v.key ? found : nullptr;
}

}  // namespace

std::string runtime_name(const std::string& name, const CatalogVersion& v) {
  return fmt::format("{}@{} {}", name, v.version, v.key);
}

Result<std::unique_ptr<AdapterBook>> AdapterBook::open(
    fieldtune::Runtime& runtime, std::shared_ptr<AdapterShelf> shelf) {
  std::unique_ptr<AdapterBook> book(new AdapterBook(runtime, std::move(shelf)));
  if (book->shelf_ != nullptr) FT_TRY_STATUS(book->reload().status());
  return book;
}

std::shared_ptr<const Catalog> AdapterBook::catalog() const {
  const std::lock_guard lock(mutex_);
  return catalog_;
}

Chosen AdapterBook::active() const {
  const std::lock_guard lock(mutex_);
  return active_;
}

bool AdapterBook::is_kept(const std::string& in_runtime) const {
  const std::lock_guard lock(mutex_);
  return kept_.contains(in_runtime);
}

Result<Chosen> AdapterBook::choose(const std::string& name,
                                   int64_t version) const {
  if (name.empty()) return Chosen{};
  const auto all = catalog();
  const auto at = all->find(name);
  if (at == all->end())
    return usage_error(fmt::format("there is no adapter '{}'", name));
  const int64_t wanted = version > 0 ? version : at->second.active;
  if (wanted < 0)
    return usage_error(
        fmt::format("no version of adapter '{}' is in use", name));
  const CatalogVersion* found = at->second.find(wanted);
  if (found == nullptr)
    return usage_error(
        fmt::format("adapter '{}' has no version {}", name, wanted));
  return chosen_of(name, *found);
}

Status AdapterBook::activate(const Chosen& chosen) {
  FT_TRY_STATUS(runtime_.set_active(chosen.in_runtime));
  const std::lock_guard lock(mutex_);
  active_ = chosen;
  return ok_status();
}

Result<Chosen> AdapterBook::use(const std::string& name) {
  const std::lock_guard changing(changing_);
  FT_TRY(const Chosen chosen, choose(name));
  if (chosen.in_runtime != active().in_runtime) FT_TRY_STATUS(activate(chosen));
  return chosen;
}

void AdapterBook::keep(const std::string& in_runtime, bool kept) {
  const std::lock_guard lock(mutex_);
  if (kept)
    kept_.insert(in_runtime);
  else
    kept_.erase(in_runtime);
}

Result<Chosen> AdapterBook::load(const std::string& name, int64_t version,
                                 bool keep_it) {
  const std::lock_guard changing(changing_);
  FT_TRY(const Chosen chosen, choose(name, version));
  if (name.empty() || is_kept(chosen.in_runtime)) return chosen;
  FT_TRY_STATUS(runtime_.pin(chosen.in_runtime));
  if (keep_it)
    keep(chosen.in_runtime, true);
  else
    FT_TRY_STATUS(runtime_.unpin(chosen.in_runtime));
  return chosen;
}

Result<Chosen> AdapterBook::unload(const std::string& name, int64_t version) {
  const std::lock_guard changing(changing_);
  FT_TRY(const Chosen chosen, choose(name, version));
  if (chosen.in_runtime == active().in_runtime)
    return usage_error(fmt::format(
        "adapter '{}' is the active one; use another one before", name));
  FT_TRY_STATUS(runtime_.unload(chosen.in_runtime));
  keep(chosen.in_runtime, false);
  return chosen;
}

void AdapterBook::register_new(const Catalog& before, const Catalog& now) {
  for (const auto& [name, entry] : now)
    for (const CatalogVersion& v : entry.versions)
      if (version_in(before, name, v) == nullptr)
        (void)runtime_.add(runtime_name(name, v), shelf_->opener(name, v));
}

void AdapterBook::forget_gone(const Catalog& before, const Catalog& now) {
  for (const auto& [name, entry] : before)
    for (const CatalogVersion& v : entry.versions)
      if (version_in(now, name, v) == nullptr) {
        (void)runtime_.remove(runtime_name(name, v));
        keep(runtime_name(name, v), false);
      }
}

// What was kept in memory, or answers by default, is so in its new version. One
// that cannot be loaded leaves `now` with the old version; returns how many
// names have moved.
size_t AdapterBook::move_on(const Catalog& before, Catalog& now,
                            std::string& problem) {
  size_t moved = 0;
  for (const auto& [name, old] : before) {
    const auto at = now.find(name);
    const CatalogVersion* was = old.find(old.active);
    const bool is_active = active().name == name;
    if (was == nullptr || (at == now.end() && !is_active)) continue;
    const CatalogVersion* is =
        at == now.end() ? nullptr : at->second.find(at->second.active);
    if (is != nullptr && is->key == was->key) continue;
    ++moved;
    const std::string from = runtime_name(name, *was);
    const bool kept = is_kept(from);
    if (!is_active && !kept) continue;
    Status status = usage_error(
        fmt::format("adapter '{}' has no version in use any more", name));
    if (is != nullptr) {
      const Chosen next = chosen_of(name, *is);
      status = runtime_.pin(next.in_runtime);
      if (status.ok() && is_active) status = activate(next);
      if (status.ok() && kept) keep(next.in_runtime, true);
      if (status.ok() && !kept) status = runtime_.unpin(next.in_runtime);
    }
    if (status.ok() && kept) {
      keep(from, false);
      (void)runtime_.unpin(from);
    }
    if (!status.ok()) {
      problem = status.message();
      now[name] = old;
    }
  }
  return moved;
}

std::string AdapterBook::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

// Less is held: what did not fit may fit now. Each try that fails sets the mark
// anew, so it is not one for every request that comes and goes.
bool AdapterBook::is_time_to_retry() const {
  return is_left_out_ && (std::chrono::steady_clock::now() >= retry_ ||
                          runtime_.stats().adapter_bytes < held_then_);
}

void AdapterBook::note(const Result<Reloaded>& done, bool looked) {
  if (done.ok() && !looked) return;
  const std::string problem =
      done.ok() ? done->problem : done.status().message();
  if (done.ok()) {
    is_left_out_ = !problem.empty();
    if (!is_left_out_) wait_ = kFirstWait;
    held_then_ = runtime_.stats().adapter_bytes;
    retry_ = std::chrono::steady_clock::now() + wait_;
    if (is_left_out_) wait_ = std::min(2 * wait_, kLongestWait);
  }
  const std::lock_guard lock(mutex_);
  problem_ = problem;
}

Result<Reloaded> AdapterBook::reload(bool only_if_changed) {
  if (shelf_ == nullptr)
    return usage_error("the service has neither a store nor a folder");
  const std::lock_guard changing(changing_);
  const auto before = catalog();
  Result<Reloaded> done = look(only_if_changed && !is_time_to_retry());
  note(done, catalog() != before);
  return done;
}

Result<Reloaded> AdapterBook::look(bool only_if_changed) {
  FT_TRY(const int64_t mark, shelf_->change_mark());
  const auto before = catalog();
  Reloaded done;
  if (!only_if_changed || mark != seen_mark_) {
    FT_TRY(Catalog now, shelf_->look());
    register_new(*before, now);
    done.changed = move_on(*before, now, done.problem);
    auto next = std::make_shared<const Catalog>(std::move(now));
    {
      const std::lock_guard lock(mutex_);
      catalog_ = next;
    }
    forget_gone(*before, *next);
    seen_mark_ = mark;
  }
  const auto all = catalog();
  done.names = all->size();
  for (const auto& [name, entry] : *all) done.versions += entry.versions.size();
  return done;
}

}  // namespace ft::service
