#include "serving/adapter_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>

#include "base/hash.h"
#include "serving/merged_shape.h"

namespace ft {
namespace {

double us_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now() - start)
      .count();
}

// Of the adapter that says what the answers mean, as AdaptedModel::metadata().
std::vector<std::string> classes_of(std::span<const LoadedAdapter> parts) {
  for (const LoadedAdapter& a : parts)
    if (a.method.num_classes > 0 || a.method.method == "head")
      return recorded_words(a.adapter.metadata, "classes");
  return recorded_words(parts[0].adapter.metadata, "classes");
}

}  // namespace

Status AdapterLoader::compose(const std::string& name, Recipe recipe) {
  if (recipe.parts.empty())
    return usage_error(fmt::format("composition '{}' has no parts", name));
  for (const RecipePart& part : recipe.parts) {
    if (!source_.has(part.name))
      return usage_error(
          fmt::format("composition '{}' names '{}', which is no adapter's file",
                      name, part.name));
    if (!std::isfinite(part.weight))
      return usage_error(
          fmt::format("composition '{}': the weight of '{}' is "
                      "not a finite number",
                      name, part.name));
  }
  if (std::ranges::all_of(recipe.parts, [](const RecipePart& part) {
        return part.weight == 0;
      }))
    return usage_error(
        fmt::format("composition '{}': all weights are 0", name));
  const std::unique_lock lock(mutex_);
  recipes_[name] = std::move(recipe);
  return ok_status();
}

Status AdapterLoader::merge(const std::string& name,
                            const std::string& source) {
  if (!source_.has(source) && !has(source))
    return usage_error(
        fmt::format("there is no adapter '{}' to merge", source));
  Recipe recipe = recipe_of(source);
  recipe.merged = true;
  const std::unique_lock lock(mutex_);
  recipes_[name] = std::move(recipe);
  return ok_status();
}

bool AdapterLoader::remove(const std::string& name) {
  const std::unique_lock lock(mutex_);
  return recipes_.erase(name) > 0;
}

std::vector<std::string> AdapterLoader::made_of(
    const std::function<bool(const std::string&)>& is_part) const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> found;
  for (const auto& [name, recipe] : recipes_)
    if (std::ranges::any_of(recipe.parts, is_part, &RecipePart::name))
      found.push_back(name);
  return found;
}

bool AdapterLoader::has(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  return recipes_.contains(name);
}

std::vector<std::string> AdapterLoader::names() const {
  const std::shared_lock lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [name, recipe] : recipes_) all.push_back(name);
  return all;
}

Recipe AdapterLoader::recipe_of(const std::string& name) const {
  const std::shared_lock lock(mutex_);
  const auto at = recipes_.find(name);
  if (at != recipes_.end()) return at->second;
  return {.parts = {{name}}};
}

Result<LoadRules> AdapterLoader::rules_of(const RecipePart& part) const {
  LoadRules rules = rules_;
  if (!rules.policy.refuse_downgrade) return rules;
  FT_TRY(const auto known, source_.current_version(part.name));
  const std::unique_lock lock(loaded_mutex_);
  const auto at = loaded_.find(part.name);
  const uint64_t loaded = at == loaded_.end() ? 0 : at->second;
  rules.current_version = known ? *known : loaded;
  return rules;
}

// What was verified must be what is read: bytes of others may change.
Result<LoadedAdapter> AdapterLoader::read_part(const SourceFile& found,
                                               const RecipePart& part) const {
  if (!has_policy_)
    return read_adapter(found.bytes, found.origin, rules_, part.weight);
  FT_TRY(const LoadRules rules, rules_of(part));
  std::vector<std::byte> copy;
  if (!found.is_private) copy.assign(found.bytes.begin(), found.bytes.end());
  FT_TRY(LoadedAdapter loaded,
         read_adapter(found.is_private ? found.bytes : std::span(copy),
                      found.origin, rules, part.weight));
  // Who can write to a store must not make one adapter another.
  const std::string stored = source_.stored_name(part.name);
  if (!stored.empty())
    FT_TRY_STATUS(
        check_own_name(loaded.adapter, stored, rules.policy, found.origin));
  FT_TRY_STATUS(note_version(loaded.adapter, part.name, stored));
  return loaded;
}

// A name of an opener is not noted: which version that brings is its owner's
// choice, and a service has such a name for every version there ever was.
Status AdapterLoader::note_version(const Adapter& adapter,
                                   const std::string& name,
                                   const std::string& stored) const {
  FT_TRY(const uint64_t version, adapter_version(adapter.metadata));
  if (!rules_.policy.refuse_downgrade || version == 0) return ok_status();
  if (stored.empty()) {
    FT_TRY(const auto known, source_.current_version(name));
    if (known) return ok_status();
  }
  const std::unique_lock lock(loaded_mutex_);
  uint64_t& highest = loaded_[name];
  highest = std::max(highest, version);
  return ok_status();
}

Result<std::vector<LoadedAdapter>> AdapterLoader::read(
    const Recipe& recipe, std::vector<Charge>& files,
    const MakeRoom& charge) const {
  std::vector<LoadedAdapter> parts;
  for (const RecipePart& part : recipe.parts) {
    const auto reserve = [&](size_t bytes) -> Status {
      FT_TRY_STATUS(check_before_reading(
          bytes, rules_, fmt::format("adapter '{}'", part.name)));
      auto room = charge(bytes);
      if (!room.ok())
        return Status(room.status())
            .in(fmt::format("reading adapter '{}'", part.name));
      files.push_back(std::move(room).value());
      return ok_status();
    };
    FT_TRY(const SourceFile found, source_.open(part.name, reserve));
    FT_TRY(LoadedAdapter adapter, read_part(found, part));
    // Only others of a composition ask for it.
    if (recipe.parts.size() > 1)
      adapter.sha256 =
          found.sha256.empty() ? sha256_hex(found.bytes) : found.sha256;
    FT_TRY_STATUS(check_below(adapter, parts, part.name));
    parts.push_back(std::move(adapter));
  }
  return parts;
}

Status AdapterLoader::fill(std::vector<LoadedAdapter>& parts,
                           ServedAdapter& served,
                           const MakeRoom& charge) const {
  FT_TRY(served.shape, base_.shape_of(parts));
  FT_TRY(served.charge, charge(served.shape->block_bytes()));
  FT_TRY(served.block, served.shape->new_block());
  return base_.write(parts, *served.shape, *served.block);
}

Result<ServedAdapterPtr> AdapterLoader::load(const std::string& name,
                                             const MakeRoom& charge) const {
  const auto start = std::chrono::steady_clock::now();
  const Recipe recipe = recipe_of(name);
  auto served = std::make_shared<ServedAdapter>();
  std::vector<Charge> files;  // until all values are in place
  FT_TRY(std::vector<LoadedAdapter> parts, read(recipe, files, charge));
  served->classes = classes_of(parts);
  Status status = recipe.merged ? fill_merged(base_, parts, *served, charge)
                                : fill(parts, *served, charge);
  if (!status.ok()) return status.in(fmt::format("adapter '{}'", name));
  served->load_us = served->shape->least_load_us(us_since(start));
  return ServedAdapterPtr(std::move(served));
}

}  // namespace ft
