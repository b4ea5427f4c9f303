// The public runtime: names, the active adapter, and the cache behind them.
#include "fieldtune/runtime.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <mutex>

#include "adapters/trust/load_checks.h"
#include "base/hash.h"
#include "serving/adapter_cache.h"
#include "serving/adapter_loader.h"
#include "serving/batch_answers.h"
#include "serving/prefetcher.h"
#include "serving/store_source.h"

namespace fieldtune {

struct Runtime::Impl {
  Impl(const std::string& path, const RuntimeOptions& options,
       ft::SideArithmetic sides)
      : base(path, {.exact = options.exact}, options.sequence_length, sides),
        loader(base, files),
        cache(options.adapter_budget_bytes,
              [this](const std::string& name) {
                return loader.load(
                    name, [this](size_t bytes) { return cache.charge(bytes); });
              }),
        prefetcher(
            [this](const std::string& name) { return cache.prefetch(name); }) {}

  bool knows(const std::string& name) const {
    return files.has(name) || loader.has(name);
  }
  // A name that stands for something else from now on, and all that is made of
  // it.
  void renew(const std::string& name) {
    renew([&](const std::string& other) { return other == name; });
  }
  void renew(const std::function<bool(const std::string&)>& is_new) {
    const std::vector<std::string> made = loader.made_of(is_new);
    cache.forget_if([&](const std::string& name) {
      return is_new(name) || std::ranges::count(made, name) > 0;
    });
  }

  // A version that is cached may be of a name that was taken away.
  Status check_version(const std::string& name) const {
    if (name.find('@') == std::string::npos || knows(name)) return {};
    return ft::usage_error(fmt::format("there is no adapter '{}'", name));
  }

  Result<ft::ServedAdapterPtr> find(const std::string& name) {
    if (name.empty()) return base_alone;
    FT_TRY_STATUS(check_version(name));
    return cache.get(name);
  }

  ft::ServedBase base;
  ft::FileSource files;
  ft::AdapterLoader loader;
  ft::AdapterCache cache;
  ft::ServedAdapterPtr base_alone;

  // A lock held for two copies of a pointer: see docs/decisions/032.
  mutable std::mutex active_mutex;
  ft::ServedAdapterPtr active;
  std::string active_name;
  std::atomic<uint64_t> swaps{0}, batch_requests{0}, batched{0};

  ft::Prefetcher prefetcher;  // last: its thread uses all of the above
};

Runtime::Runtime(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Runtime::Runtime(Runtime&&) noexcept = default;
Runtime& Runtime::operator=(Runtime&&) noexcept = default;
Runtime::~Runtime() = default;

Result<Runtime> Runtime::open(const std::string& model_path,
                              const RuntimeOptions& options) {
  FT_TRY(const ft::SideArithmetic sides,
         ft::parse_side_arithmetic(options.adapter_mode));
  auto impl = std::make_unique<Impl>(model_path, options, sides);
  FT_TRY(ft::LoadRules rules, ft::rules_of_policy(options.policy));
  impl->loader.set_rules(std::move(rules), !options.policy.empty());
  FT_TRY(impl->base_alone, impl->base.alone());
  impl->active = impl->base_alone;
  return Runtime(std::move(impl));
}

namespace {

Status check_name(const std::string& name) {
  if (!name.empty()) return {};
  return ft::usage_error("the empty name stands for the base alone");
}

}  // namespace

Status Runtime::add(const std::string& name, const std::string& path) {
  FT_TRY_STATUS(check_name(name));
  impl_->files.add(name, path);
  impl_->loader.remove(name);  // after: others may ask for the name meanwhile
  impl_->renew(name);
  return {};
}

Status Runtime::add(const std::string& name, AdapterOpener open) {
  FT_TRY_STATUS(check_name(name));
  if (open == nullptr)
    return ft::usage_error(
        fmt::format("adapter '{}' has nothing that opens it", name));
  impl_->files.add(name, std::make_shared<ft::OpenerSource>(std::move(open)));
  impl_->loader.remove(name);
  impl_->renew(name);
  return {};
}

Result<size_t> Runtime::add_folder(const std::string& folder) {
  FT_TRY(const auto names, impl_->files.add_folder(folder));
  for (const std::string& name : names) {
    impl_->loader.remove(name);
    impl_->renew(name);
  }
  return names.size();
}

Result<size_t> Runtime::add_store(const std::string& folder,
                                  const StoreKey& key) {
  FT_TRY(const auto store, ft::StoreSource::open_store(folder, key));
  const std::vector<std::string> names = store->names();
  for (const std::string& name : names) {
    impl_->files.add(name, store);
    impl_->loader.remove(name);
  }
  // Names, and versions of them.
  impl_->renew([&](const std::string& name) { return store->has(name); });
  return names.size();
}

Status Runtime::compose(const std::string& name,
                        std::span<const NamedAdapter> parts) {
  FT_TRY_STATUS(check_name(name));
  ft::Recipe recipe;
  for (const NamedAdapter& part : parts) {
    if (part.name == name)
      return ft::usage_error(
          fmt::format("composition '{}' has itself as a part", name));
    recipe.parts.push_back({part.name, part.weight});
  }
  FT_TRY_STATUS(impl_->loader.compose(name, std::move(recipe)));
  impl_->renew(name);
  return {};
}

Status Runtime::merge(const std::string& name, const std::string& source) {
  FT_TRY_STATUS(check_name(name));
  if (name == source)
    return ft::usage_error(
        fmt::format("the merged adapter needs another name than '{}'", source));
  FT_TRY_STATUS(impl_->loader.merge(name, source));
  impl_->renew(name);
  return {};
}

Status Runtime::remove(const std::string& name) {
  const bool was_recipe = impl_->loader.remove(name);
  const bool was_file = impl_->files.remove(name);
  if (!was_recipe && !was_file)
    return ft::usage_error(fmt::format("there is no adapter '{}'", name));
  impl_->renew(name);
  return {};
}

std::vector<std::string> Runtime::names() const {
  std::vector<std::string> all = impl_->files.names();
  for (std::string& name : impl_->loader.names())
    if (!impl_->files.has(name)) all.push_back(std::move(name));
  return all;
}

Status Runtime::pin(const std::string& name) {
  FT_TRY_STATUS(impl_->check_version(name));
  return impl_->cache.pin(name);
}
Status Runtime::unpin(const std::string& name) {
  return impl_->cache.unpin(name);
}

Status Runtime::unload(const std::string& name) {
  if (!impl_->knows(name))
    return ft::usage_error(fmt::format("there is no adapter '{}'", name));
  impl_->cache.forget(name);
  return {};
}

std::vector<AdapterInMemory> Runtime::in_memory() const {
  return impl_->cache.held();
}

Status Runtime::prefetch(const std::string& name) {
  if (!impl_->knows(name))
    return ft::usage_error(fmt::format("there is no adapter '{}'", name));
  impl_->prefetcher.ask(name);
  return {};
}

void Runtime::wait_for_prefetches() { impl_->prefetcher.wait(); }

RuntimeStats Runtime::stats() const {
  const ft::CacheStats cache = impl_->cache.stats();
  return {.adapter_bytes = cache.used_bytes,
          .cached_bytes = cache.cached_bytes,
          .budget_bytes = cache.budget_bytes,
          .base_file_bytes = impl_->base.file_bytes(),
          .derived_bytes = impl_->base.derived_bytes(),
          .session_bytes = impl_->base.session_bytes(),
          .registered = names().size(),
          .cached = cache.cached,
          .pinned = cache.pinned,
          .shapes = impl_->base.num_shapes(),
          .hits = cache.hits,
          .misses = cache.misses,
          .evictions = cache.evictions,
          .failed_loads = cache.failures,
          .swaps = impl_->swaps,
          .failed_prefetches = impl_->prefetcher.failures(),
          .batch_requests = impl_->batch_requests,
          .batched = impl_->batched};
}

Status Runtime::set_active(const std::string& name) {
  FT_TRY(ft::ServedAdapterPtr next, impl_->find(name));
  {
    const std::unique_lock lock(impl_->active_mutex);
    impl_->active.swap(next);
    impl_->active_name = name;
  }
  ++impl_->swaps;
  return {};  // `next`, the old one, is freed here if nobody else has it
}

std::string Runtime::active() const {
  const std::unique_lock lock(impl_->active_mutex);
  return impl_->active_name;
}

Status Runtime::run(std::span<const float> features,
                    std::vector<float>& answer) {
  ft::ServedAdapterPtr adapter;
  {
    const std::unique_lock lock(impl_->active_mutex);
    adapter = impl_->active;
  }
  return ft::answer_with(*adapter, features, answer);
}

Status Runtime::run_with(const std::string& name,
                         std::span<const float> features,
                         std::vector<float>& answer) {
  FT_TRY(const ft::ServedAdapterPtr adapter, impl_->find(name));
  return ft::answer_with(*adapter, features, answer);
}

Status Runtime::run_batch(std::span<const Request> requests) {
  std::vector<ft::BatchRequest> found;
  for (const Request& request : requests) {
    if (request.answer == nullptr)
      return ft::usage_error(fmt::format(
          "the request for adapter '{}' has no place for its answer",
          request.adapter));
    FT_TRY(ft::ServedAdapterPtr adapter, impl_->find(request.adapter));
    found.push_back({std::move(adapter), request.features, request.answer});
  }
  FT_TRY(const size_t together, ft::answer_batch(found));
  impl_->batch_requests += requests.size();
  impl_->batched += together;
  return {};
}

Result<std::string> Runtime::fingerprint(const std::string& name) {
  FT_TRY(const ft::ServedAdapterPtr adapter, impl_->find(name));
  return fmt::format("{} {}", adapter->shape->serial(),
                     ft::sha256_hex(adapter->block->bytes()));
}

Result<std::vector<std::string>> Runtime::classes(const std::string& name) {
  FT_TRY(const ft::ServedAdapterPtr adapter, impl_->find(name));
  return adapter->classes;
}

}  // namespace fieldtune
