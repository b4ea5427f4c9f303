// targets/*.toml: every key that is wrong is refused with its line.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <utility>
#include <vector>

#include "plan/target.h"
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace ft {
namespace {

constexpr double kMost = 1e18;  // of any figure

// One table of the file; the first key that is missing or wrong is the error.
class Table {
 public:
  // `path`: of the table in the file, "costs."; messages name keys by it.
  Table(const toml::table& table, const std::string& source, Status& status,
        std::string path = "")
      : table_(table),
        source_(source),
        status_(status),
        path_(std::move(path)) {}

  std::string text(std::string_view key) {
    return value<std::string>(key, "text");
  }
  bool flag(std::string_view key) { return value<bool>(key, "true or false"); }
  uint64_t whole(std::string_view key, int64_t least = 0) {
    const auto v = value<int64_t>(key, "a whole number");
    if (v < least) fail(key, fmt::format("at least {}", least));
    return static_cast<uint64_t>(std::max(v, least));
  }
  double number(std::string_view key, double least = 0) {
    const toml::node* node = table_.get(key);
    const std::optional<double> v = node ? node->value<double>() : std::nullopt;
    if (!v || node->is_boolean() || !std::isfinite(*v)) {
      fail(key, "a number");
      return 0;
    }
    if (*v < least || *v > kMost)
      fail(key, fmt::format("from {} to {}", least, kMost));
    return *v;
  }
  std::string one_of(std::string_view key,
                     std::initializer_list<const char*> names) {
    std::string found = text(key);
    if (std::ranges::find(names, found) == names.end())
      fail(key, fmt::format("one of {}", fmt::join(names, ", ")));
    return found;
  }
  std::vector<std::string> texts(std::string_view key) {
    std::vector<std::string> all;
    const toml::node* node = table_.get(key);
    const toml::array* array = node ? node->as_array() : nullptr;
    if (array == nullptr) fail(key, "a list of texts");
    if (array == nullptr) return all;
    for (const toml::node& item : *array) {
      const auto word = item.value_exact<std::string>();
      if (!word) fail(key, "a list of texts");
      all.push_back(word.value_or(""));
    }
    return all;
  }
  // Of a table in this one.
  Table table(std::string_view key) {
    static const toml::table empty;
    const toml::node* node = table_.get(key);
    const toml::table* found = node ? node->as_table() : nullptr;
    if (found == nullptr) fail(key, "a table");
    return {found ? *found : empty, source_, status_,
            fmt::format("{}{}.", path_, key)};
  }
  bool has(std::string_view key) const { return table_.contains(key); }

  void only(std::initializer_list<std::string_view> known) {
    for (const auto& [key, node] : table_)
      if (std::ranges::find(known, key.str()) == known.end())
        say(node.source().begin.line,
            fmt::format("unknown key '{}{}'; there are: {}", path_, key.str(),
                        fmt::join(known, ", ")));
  }

  void fail(std::string_view key, std::string_view what) {
    const toml::node* node = table_.get(key);
    const auto line = (node ? node->source() : table_.source()).begin.line;
    say(line, fmt::format("'{}{}' must be {}", path_, key, what));
  }

  const toml::table& raw() const { return table_; }
  const std::string& source() const { return source_; }
  Status& status() { return status_; }

 private:
  template <class T>
  T value(std::string_view key, const char* what) {
    const toml::node* node = table_.get(key);
    const std::optional<T> found =
        node ? node->value_exact<T>() : std::optional<T>();
    if (!found) fail(key, what);
    return found.value_or(T{});
  }

  void say(toml::source_index line, const std::string& sentence) {
    if (status_.ok())
      status_ = invalid_input(
          line > 0 ? fmt::format("{}:{}: {}", source_, line, sentence)
                   : fmt::format("{}: {}", source_, sentence));
  }

  const toml::table& table_;
  const std::string& source_;
  Status& status_;
  std::string path_;
};

void read_kernels(Table isa, Target& target) {
  target.has_c99 = false;
  for (const std::string& name : isa.texts("kernels")) {
    if (name == "c99") target.has_c99 = true;
    if (name == "c99") continue;
    bool known = false;
    for (const Isa i : {Isa::kHighway, Isa::kAvx512Vnni, Isa::kOneDnn,
                        Isa::kArmDsp, Isa::kHelium})
      if (name_of(i) == name) {
        target.kernels.push_back(i);
        known = true;
      }
    if (!known)
      isa.fail("kernels", fmt::format("of c99, hwy, avx512vnni, onednn, armdsp "
                                      "and helium, not '{}'",
                                      name));
  }
}

MemoryRegion read_region(Table t, bool has_costs) {
  MemoryRegion region;
  region.name = t.text("name");
  region.bytes = t.whole("bytes");
  region.kind = region.name == "flash" ? "flash" : "sram";
  if (t.has("origin")) region.origin = t.whole("origin");
  if (!has_costs) return region;
  region.kind = t.one_of("kind", {"flash", "tcm", "sram", "external"});
  region.wait_states = static_cast<int>(t.whole("wait_states"));
  region.bytes_per_cycle = t.number("bytes_per_cycle", 1e-6);
  region.pj_per_byte = t.number("pj_per_byte");
  return region;
}

CacheLevel read_cache(Table t) {
  t.only({"bytes", "bytes_per_cycle"});
  return {.bytes = t.whole("bytes", 1),
          .bytes_per_cycle = t.number("bytes_per_cycle", 1e-6)};
}

// Calls `read` with each table of the list [[key]].
template <class Read>
void read_tables(Table t, std::string_view key, const Read& read) {
  const toml::array* array = t.raw()[key].as_array();
  if (array == nullptr || array->empty()) {
    t.fail(key, "a list of tables");
    return;
  }
  for (const toml::node& node : *array) {
    if (const toml::table* table = node.as_table())
      read(Table(*table, t.source(), t.status()));
    else
      t.fail(key, "a list of tables");
  }
}

void read_memory(Table t, Target& target) {
  read_tables(t, "memory", [&](const Table& region) {
    target.memory.push_back(read_region(region, t.has("costs")));
  });
  if (!t.has("cache")) return;
  read_tables(t, "cache", [&](const Table& level) {
    target.caches.push_back(read_cache(level));
  });
  std::ranges::sort(target.caches, {}, &CacheLevel::bytes);
}

// "symbol = [...]", a number for each of CallWork::terms().
void read_rows(Table t, KernelCosts& rows) {
  for (const auto& [key, node] : t.raw()) {
    KernelCost cost;
    const toml::array* array = node.as_array();
    bool good = array != nullptr && array->size() == kCostTerms;
    for (size_t i = 0; good && i < kCostTerms; ++i) {
      const auto v = (*array)[i].value<double>();
      good = v && std::isfinite(*v) && *v >= 0 && *v <= kMost;
      cost.units[i] = v.value_or(0);
    }
    if (!good)
      t.fail(key.str(),
             fmt::format("a list of {} numbers of at least 0", kCostTerms));
    rows[std::string(key.str())] = cost;
  }
}

TargetCosts read_costs(Table t, const std::string& target) {
  t.only({"part", "hz", "unit", "kernels_of", "kernels", "matrix", "depthwise",
          "elementwise", "reduction", "nonlinear", "movement", "update"});
  TargetCosts costs{
      .part = t.text("part"),
      .hz = t.number("hz", 1),
      .unit = t.one_of("unit", {"instructions", "nanoseconds"}),
      .kernels_of = t.has("kernels_of") ? t.text("kernels_of") : target,
      .classes = {},
      .kernels = {}};
  for (size_t i = 0; i < kNumCostClasses; ++i) {
    Table c = t.table(name_of(static_cast<CostClass>(i)));
    c.only({"cycles_per_unit", "pj_per_cycle"});
    costs.classes[i] = {.cycles_per_unit = c.number("cycles_per_unit", 1e-6),
                        .pj_per_cycle = c.has("pj_per_cycle")
                                            ? c.number("pj_per_cycle")
                                            : std::nan("")};
  }
  if (t.has("kernels")) read_rows(t.table("kernels"), costs.kernels);
  const std::vector<std::string> known = target_names();
  if (t.has("kernels_of") &&
      std::ranges::find(known, costs.kernels_of) == known.end())
    t.fail("kernels_of", fmt::format("one of {}", fmt::join(known, ", ")));
  return costs;
}

TileSizes read_tile(Table t) {
  t.only({"channels", "rank"});
  return {static_cast<int>(t.whole("channels", 1)),
          static_cast<int>(t.whole("rank", 1))};
}

// Limits: runtime_mcu/flash/ft_flash.h.
FlashGeometry read_flash(Table t) {
  t.only({"page_bytes", "program_bytes"});
  const auto power = [&](const char* key, uint64_t low, uint64_t high) {
    const uint64_t v = t.whole(key);
    if (v < low || v > high || (v & (v - 1)) != 0)
      t.fail(key, fmt::format("a power of two from {} to {}", low, high));
    return static_cast<uint32_t>(std::min(v, high));
  };
  return {power("page_bytes", 128, 1 << 24), power("program_bytes", 1, 32)};
}

void read_compiler(Table t, Target& target) {
  target.compiler = t.text("prefix") + "gcc";
  target.c_flags = fmt::format("{}", fmt::join(t.texts("flags"), " "));
}

}  // namespace

Result<Target> parse_target(std::string_view text, const std::string& source) {
  const toml::parse_result parsed = toml::parse(text, source);
  if (!parsed)
    return invalid_input(fmt::format("{}:{}: {}", source,
                                     parsed.error().source().begin.line,
                                     parsed.error().description()));
  Status status = ok_status();
  Table root(parsed.table(), source, status);
  Target target;
  target.name = root.text("name");
  Table isa = root.table("isa"), fpu = root.table("fpu");
  target.arch = isa.text("arch");
  if (isa.has("extensions")) target.extensions = isa.texts("extensions");
  read_kernels(isa, target);
  target.has_fpu = fpu.flag("single");
  if (fpu.has("double")) target.has_double = fpu.flag("double");
  if (root.has("tile")) target.tile = read_tile(root.table("tile"));
  read_memory(root, target);
  if (root.has("flash")) target.flash = read_flash(root.table("flash"));
  target.runs_linux = root.has("linux") && root.flag("linux");
  if (!target.runs_linux) read_compiler(root.table("compiler"), target);
  if (root.has("costs"))
    target.costs = read_costs(root.table("costs"), target.name);
  FT_TRY_STATUS(status);
  return target;
}

}  // namespace ft
