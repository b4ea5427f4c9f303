#include "exchange/peft_ranks.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ft {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kA = ".lora_A", kB = ".lora_B", kE = ".lora_E";
constexpr const char* kPattern = "rank_pattern";

// "fc1" of "base_model.model.fc1.lora_E"; "" if it is another tensor.
std::string module_of(const AdapterEntry& t, std::string_view suffix) {
  if (!t.name.starts_with(kPrefix) || !t.name.ends_with(suffix) ||
      t.name.size() <= kPrefix.size() + suffix.size())
    return {};
  return t.name.substr(kPrefix.size(),
                       t.name.size() - kPrefix.size() - suffix.size());
}

// How many of the pattern's entries are true; -1 if it is no such list.
int64_t ranks_left(const Json& kept, int64_t init_r) {
  if (!kept.is_array() || kept.size() != static_cast<size_t>(init_r)) return -1;
  int64_t left = 0;
  for (const Json& k : kept) {
    if (!k.is_boolean()) return -1;
    left += k.get<bool>() ? 1 : 0;
  }
  return left;
}

Status check_rank(const Json& patterns, int64_t init_r,
                  const std::string& module, const AdapterEntry& e) {
  const auto at = patterns.find(module + std::string(kE));
  const int64_t want = at == patterns.end() ? init_r : ranks_left(*at, init_r);
  if (want < 0)
    return invalid_input(fmt::format(
        "{} of '{}' is not a list of {} (init_r) times true or false", kPattern,
        module, init_r));
  if (e.shape.rank() == 2 && e.shape[0] == want) return ok_status();
  return invalid_input(
      fmt::format("'{}' has the shape {}, but {} and init_r leave it {} ranks",
                  e.name, e.shape.to_string(), kPattern, want));
}

// Which triplets have a singular value; in the order of the file's E.
std::vector<bool> kept_of(const AdapterEntry& e) {
  std::vector<bool> kept;
  for (const float v : e.values) kept.push_back(v != 0);
  return kept;
}

// The rows, or columns, of a matrix that are kept.
void shrink(AdapterEntry& t, const std::vector<bool>& kept, bool columns) {
  const auto left = std::ranges::count(kept, true);
  const size_t inner = columns ? 1 : t.values.size() / kept.size();
  std::vector<float> values;
  for (size_t i = 0; i < t.values.size(); ++i)
    if (kept[i / inner % kept.size()]) values.push_back(t.values[i]);
  t.values = std::move(values);
  t.shape.set(columns ? 1 : 0, left);
}

AdapterEntry* find_tensor(Adapter& adapter, const std::string& module,
                          std::string_view suffix) {
  const auto at = std::ranges::find(
      adapter.tensors, std::string(kPrefix) + module + std::string(suffix),
      &AdapterEntry::name);
  return at == adapter.tensors.end() ? nullptr : &*at;
}

// The three tensors of a module without the triplets that went.
Status shrink_module(Adapter& adapter, const std::string& module, int init_r,
                     bool drop, Json& patterns) {
  AdapterEntry* const e = find_tensor(adapter, module, kE);
  AdapterEntry* const a = find_tensor(adapter, module, kA);
  AdapterEntry* const b = find_tensor(adapter, module, kB);
  const size_t r = e->values.size();
  if (a == nullptr || b == nullptr || r == 0 || a->shape.rank() != 2 ||
      b->shape.rank() != 2 || static_cast<size_t>(a->shape[0]) != r ||
      static_cast<size_t>(b->shape[1]) != r)
    return invalid_input(fmt::format(
        "the adapter's tensors of '{}' do not have one rank", module));
  if (r > static_cast<size_t>(init_r))
    return usage_error(fmt::format(
        "'{}' has the rank {}, but PEFT's AdaLoRA starts every layer with "
        "init_r = {}",
        module, r, init_r));
  const std::vector<bool> kept = drop ? kept_of(*e) : std::vector(r, true);
  shrink(*a, kept, false);
  shrink(*b, kept, true);
  shrink(*e, kept, false);
  Json noted = kept;
  while (noted.size() < static_cast<size_t>(init_r)) noted.push_back(false);
  patterns[module + std::string(kE)] = std::move(noted);
  return ok_status();
}

}  // namespace

Status read_peft_ranks(const Json& config, Adapter& adapter) {
  const int64_t init_r = config.value("init_r", Json(12)).is_number_integer()
                             ? config.value("init_r", int64_t{12})
                             : -1;
  if (init_r < 0 || init_r > 65536)
    return invalid_input("'init_r' is not a number from 0 to 65536");
  Json patterns = Json::object();
  if (const auto at = config.find(kPattern);
      at != config.end() && !at->is_null())
    patterns = *at;
  if (!patterns.is_object())
    return invalid_input(fmt::format("'{}' is not an object", kPattern));
  size_t modules = 0;
  for (const AdapterEntry& t : adapter.tensors) {
    const std::string module = module_of(t, kE);
    if (module.empty()) continue;
    ++modules;
    FT_TRY_STATUS(check_rank(patterns, init_r, module, t));
  }
  for (const auto& pattern : patterns.items()) {
    const std::string tensor = std::string(kPrefix) + pattern.key();
    if (std::ranges::find(adapter.tensors, tensor, &AdapterEntry::name) ==
        adapter.tensors.end())
      return invalid_input(
          fmt::format("{} names '{}', which it has no tensor for", kPattern,
                      pattern.key()));
  }
  std::erase_if(adapter.tensors, [](const AdapterEntry& t) {
    return t.shape.num_elements() == 0;
  });
  if (modules > 0 && adapter.tensors.empty())
    return invalid_input(
        fmt::format("{} leaves no layer a rank: it adapts nothing", kPattern));
  return ok_status();
}

Status write_peft_ranks(int init_r, Adapter& adapter, Json& config) {
  std::vector<std::string> modules;
  bool trained = false;
  for (const AdapterEntry& t : adapter.tensors) {
    const std::string module = module_of(t, kE);
    if (module.empty()) continue;
    modules.push_back(module);
    trained = trained ||
              std::ranges::any_of(t.values, [](float v) { return v != 0; });
  }
  Json patterns = Json::object();
  for (const std::string& module : modules)
    FT_TRY_STATUS(shrink_module(adapter, module, init_r, trained, patterns));
  const bool uneven = std::ranges::any_of(patterns, [](const Json& kept) {
    return std::ranges::find(kept, Json(false)) != kept.end();
  });
  // Absent where it would say nothing: PEFT resizes by any pattern it finds.
  config[kPattern] = uneven ? patterns : Json();
  return ok_status();
}

}  // namespace ft
