// targets/*.toml: every key that is wrong is refused with its line.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/toml_table.h"
#include "plan/target.h"

namespace ft {
namespace {

void read_kernels(TomlTable& isa, Target& target) {
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

// A number that is stored without a sign.
uint64_t count(TomlTable& t, std::string_view key, int64_t least = 0) {
  return static_cast<uint64_t>(t.whole(key, least));
}

MemoryRegion read_region(TomlTable t, bool has_costs) {
  MemoryRegion region;
  region.name = t.text("name");
  region.bytes = count(t, "bytes");
  region.kind = region.name == "flash" ? "flash" : "sram";
  if (t.has("origin")) region.origin = count(t, "origin");
  t.know({"kind", "wait_states", "bytes_per_cycle", "pj_per_byte"});
  if (has_costs) {
    region.kind = t.one_of("kind", {"flash", "tcm", "sram", "external"});
    region.wait_states = static_cast<int>(t.whole("wait_states", 0, 1 << 20));
    region.bytes_per_cycle = t.number("bytes_per_cycle", 1e-6);
    region.pj_per_byte = t.number("pj_per_byte");
  }
  t.done();
  return region;
}

CacheLevel read_cache(TomlTable t) {
  const CacheLevel level{.bytes = count(t, "bytes", 1),
                         .bytes_per_cycle = t.number("bytes_per_cycle", 1e-6)};
  t.done();
  return level;
}

void read_memory(TomlTable& t, Target& target) {
  for (const TomlTable& region : t.tables("memory"))
    target.memory.push_back(read_region(region, t.has("costs")));
  if (!t.has("cache")) return;
  for (const TomlTable& level : t.tables("cache"))
    target.caches.push_back(read_cache(level));
  std::ranges::sort(target.caches, {}, &CacheLevel::bytes);
}

// "symbol = [...]", a number for each of CallWork::terms().
void read_rows(TomlTable t, KernelCosts& rows) {
  for (const auto& [key, node] : t.raw()) {
    const std::vector<double> units = t.numbers(key.str());
    if (units.size() == kCostTerms)
      std::ranges::copy(units, rows[std::string(key.str())].units.begin());
    else
      t.fail(key.str(),
             fmt::format("a list of {} numbers of at least 0", kCostTerms));
  }
}

ClassCost read_class(TomlTable t) {
  ClassCost cost{.cycles_per_unit = t.number("cycles_per_unit", 1e-6),
                 .pj_per_cycle = std::nan("")};
  if (t.has("pj_per_cycle")) cost.pj_per_cycle = t.number("pj_per_cycle");
  t.done();
  return cost;
}

TargetCosts read_costs(TomlTable t, const std::string& target) {
  TargetCosts costs{
      .part = t.text("part"),
      .hz = t.number("hz", 1),
      .unit = t.one_of("unit", {"instructions", "nanoseconds"}),
      .kernels_of = t.has("kernels_of") ? t.text("kernels_of") : target,
      .classes = {},
      .kernels = {}};
  for (size_t i = 0; i < kNumCostClasses; ++i)
    costs.classes[i] = read_class(t.table(name_of(static_cast<CostClass>(i))));
  if (t.has("kernels")) read_rows(t.table("kernels"), costs.kernels);
  const std::vector<std::string> known = target_names();
  if (t.has("kernels_of") &&
      std::ranges::find(known, costs.kernels_of) == known.end())
    t.fail("kernels_of", fmt::format("one of {}", fmt::join(known, ", ")));
  t.done();
  return costs;
}

TileSizes read_tile(TomlTable t) {
  constexpr int64_t kMostLanes = 1 << 20;
  const auto lanes = [&](const char* key) {
    return static_cast<int>(t.whole(key, 1, kMostLanes));
  };
  const TileSizes tile{lanes("channels"), lanes("rank")};
  t.done();
  return tile;
}

// Limits: runtime_mcu/flash/ft_flash.h.
FlashGeometry read_flash(TomlTable t) {
  const auto power = [&](const char* key, uint64_t low, uint64_t high) {
    const uint64_t v = count(t, key);
    if (v < low || v > high || (v & (v - 1)) != 0)
      t.fail(key, fmt::format("a power of two from {} to {}", low, high));
    return static_cast<uint32_t>(std::min(v, high));
  };
  const FlashGeometry flash{power("page_bytes", 128, 1 << 24),
                            power("program_bytes", 1, 32)};
  t.done();
  return flash;
}

void read_compiler(TomlTable t, Target& target) {
  target.compiler = t.text("prefix") + "gcc";
  target.c_flags = fmt::format("{}", fmt::join(t.texts("flags"), " "));
  t.know({"defines"});
  t.done();
}

void read_isa(TomlTable t, Target& target) {
  target.arch = t.text("arch");
  t.read("extensions", target.extensions);
  read_kernels(t, target);
  t.know({"family"});
  t.done();
}

void read_fpu(TomlTable t, Target& target) {
  target.has_fpu = t.flag("single");
  t.read("double", target.has_double);
  t.know({"formats"});
  t.done();
}

}  // namespace

Result<Target> parse_target(std::string_view text, const std::string& source) {
  FT_TRY(const TomlFile file, TomlFile::parse(text, source));
  TomlTable root = file.root();
  Target target;
  target.name = root.text("name");
  read_isa(root.table("isa"), target);
  read_fpu(root.table("fpu"), target);
  if (root.has("tile")) target.tile = read_tile(root.table("tile"));
  read_memory(root, target);
  if (root.has("flash")) target.flash = read_flash(root.table("flash"));
  root.read("linux", target.runs_linux);
  root.know({"compiler", "clock", "emulator"});
  if (!target.runs_linux) read_compiler(root.table("compiler"), target);
  if (root.has("costs"))
    target.costs = read_costs(root.table("costs"), target.name);
  root.done();
  FT_TRY_STATUS(file.status());
  return target;
}

}  // namespace ft
