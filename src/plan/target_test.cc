#include "plan/target.h"

#include <gtest/gtest.h>

#include <tuple>

namespace ft {
namespace {

constexpr const char* kGood = R"(
name = "mine"
[isa]
arch = "armv8.1-m.main"
kernels = ["helium", "armdsp", "c99"]
[fpu]
single = true
[[memory]]
name = "flash"
origin = 0
bytes = 0x1000
[[memory]]
name = "ram"
origin = 0x20000000
bytes = 65536
[compiler]
prefix = "arm-none-eabi-"
flags = ["-mcpu=cortex-m55", "-mthumb"]
)";

std::string without(std::string text, const std::string& line) {
  const size_t at = text.find(line);
  EXPECT_NE(at, std::string::npos) << line;
  return text.erase(at, line.size());
}

TEST(Target, ReadsAllItSays) {
  const auto target = parse_target(kGood, "mine.toml");
  ASSERT_TRUE(target.ok()) << target.status().message();
  EXPECT_EQ(target->name, "mine");
  EXPECT_EQ(target->kernels, (std::vector{Isa::kHelium, Isa::kArmDsp}));
  EXPECT_TRUE(target->has_fpu);
  EXPECT_EQ(target->memory_bytes("ram"), 65536u);
  EXPECT_EQ(target->memory_bytes("psram"), 0u);
  EXPECT_EQ(target->flash.page_bytes, 0u);
  EXPECT_EQ(target->compiler, "arm-none-eabi-gcc");
  EXPECT_EQ(target->c_flags, "-mcpu=cortex-m55 -mthumb");
  EXPECT_EQ(target->arch, "armv8.1-m.main");
  EXPECT_FALSE(target->costs.has_value());
}

TEST(Target, SaysWhatIsMissing) {
  const std::pair<const char*, const char*> cases[] = {
      {"name = \"mine\"", "'name' must be text"},
      {"arch = \"armv8.1-m.main\"", "'isa.arch' must be text"},
      {"single = true", "'fpu.single' must be true or false"},
      {"kernels = [\"helium\", \"armdsp\", \"c99\"]", "'isa.kernels' must be"},
      {"prefix = \"arm-none-eabi-\"", "'compiler.prefix' must be text"},
      {"bytes = 65536", "'bytes' must be a whole number"}};
  for (const auto& [line, sentence] : cases) {
    const auto target = parse_target(without(kGood, line), "mine.toml");
    ASSERT_FALSE(target.ok()) << line;
    EXPECT_NE(target.status().message().find(sentence), std::string::npos)
        << target.status().message();
  }
}

constexpr const char* kCosts = R"([costs]
part = "mine at 10 MHz"
hz = 10_000_000
unit = "instructions"
kernels_of = "cortex-m4"
[costs.kernels]
ft_matmul_f32_c99 = [100, 2, 3.5, 0, 0, 0, 0, 0]
[costs.matrix]
cycles_per_unit = 1.5
pj_per_cycle = 400
[costs.depthwise]
cycles_per_unit = 1.25
pj_per_cycle = 400
[costs.elementwise]
cycles_per_unit = 1
pj_per_cycle = 400
[costs.reduction]
cycles_per_unit = 1
pj_per_cycle = 400
[costs.nonlinear]
cycles_per_unit = 2
pj_per_cycle = 400
[costs.movement]
cycles_per_unit = 1
pj_per_cycle = 400
[costs.update]
cycles_per_unit = 1
pj_per_cycle = 0
)";

// kGood with costs of its memories.
std::string with_costs() {
  std::string text = kGood;
  for (const char* bytes : {"bytes = 0x1000\n", "bytes = 65536\n"})
    text.insert(text.find(bytes),
                "kind = \"tcm\"\nwait_states = 2\nbytes_per_cycle = 4\n"
                "pj_per_byte = 0.5\n");
  return text + kCosts;
}

TEST(Target, ReadsCosts) {
  const auto target = parse_target(with_costs(), "mine.toml");
  ASSERT_TRUE(target.ok()) << target.status().message();
  ASSERT_TRUE(target->costs.has_value());
  EXPECT_EQ(target->costs->hz, 1e7);
  EXPECT_EQ(target->costs->kernels_of, "cortex-m4");
  EXPECT_EQ(target->costs->of(CostClass::kMatrix).cycles_per_unit, 1.5);
  EXPECT_EQ(target->costs->of(CostClass::kDepthwise).cycles_per_unit, 1.25);
  EXPECT_EQ(target->region("ram")->kind, "tcm");
  EXPECT_EQ(target->region("ram")->wait_states, 2);
  EXPECT_EQ(target->region("psram"), nullptr);
  const KernelCost& row = target->costs->kernels.at("ft_matmul_f32_c99");
  EXPECT_EQ(row.of({.elements = 10, .macs = 4}), 100 + 20 + 14);
}

TEST(Target, ReadsCachesSmallestFirst) {
  const auto target =
      parse_target(with_costs() +
                       "[[cache]]\nbytes = 4096\nbytes_per_cycle = 8\n"
                       "[[cache]]\nbytes = 1024\nbytes_per_cycle = 16.5\n",
                   "mine.toml");
  ASSERT_TRUE(target.ok()) << target.status().message();
  ASSERT_EQ(target->caches.size(), 2u);
  EXPECT_EQ(target->caches[0].bytes, 1024u);
  EXPECT_EQ(target->caches[0].bytes_per_cycle, 16.5);
  const auto bad =
      parse_target(with_costs() + "[[cache]]\nbytes = 0\nbytes_per_cycle = 8\n",
                   "mine.toml");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.status().message().find("'bytes' must be at least 1"),
            std::string::npos)
      << bad.status().message();
}

TEST(Target, NamesTheLineOfWhatIsWrong) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"cycles_per_unit = 1.5", "cycles_per_unit = -1",
       ":35: 'costs.matrix.cycles_per_unit'"},
      {"cycles_per_unit = 1.5", "cycles = 1.5",
       ":35: unknown key 'costs.matrix.cycles'"},
      {"kind = \"tcm\"", "kind = \"rom\"", ":11: 'kind' must be one of flash"},
      {"pj_per_byte = 0.5", "pj_per_byte = nan", ":14: 'pj_per_byte'"},
      {"unit = \"instructions\"", "unit = \"s\"",
       ":30: 'costs.unit' must be one"},
      {"hz = 10_000_000", "hz = true", ":29: 'costs.hz' must be a number"},
      {"[100, 2, 3.5, 0, 0, 0, 0, 0]", "[100, 2]",
       ":33: 'costs.kernels.ft_matmul_f32_c99' must"},
      {"kernels_of = \"cortex-m4\"", "kernels_of = \"m4\"",
       ":31: 'costs.kernels_of'"},
      {"[costs.update]", "[costs.updates]", "unknown key 'costs.updates'"},
      {"\"helium\", ", "\"neon\", ", ":5: 'isa.kernels' must be of c99, hwy"},
      {"[[memory]]", "[[memory]", "mine.toml:8: "}};
  for (const auto& [from, to, sentence] : cases) {
    std::string text = with_costs();
    ASSERT_NE(text.find(from), std::string::npos) << from;
    text.replace(text.find(from), std::string_view(from).size(), to);
    const auto target = parse_target(text, "mine.toml");
    ASSERT_FALSE(target.ok()) << to;
    EXPECT_NE(target.status().message().find(sentence), std::string::npos)
        << target.status().message();
  }
}

TEST(Target, KnowsHowFlashIsWritten) {
  const auto with_flash = [](const char* page, const char* unit) {
    return parse_target(std::string(kGood) + "[flash]\npage_bytes = " + page +
                            "\nprogram_bytes = " + unit + "\n",
                        "mine.toml");
  };
  const auto target = with_flash("4096", "8");
  ASSERT_TRUE(target.ok()) << target.status().message();
  EXPECT_EQ(target->flash.page_bytes, 4096u);
  EXPECT_EQ(target->flash.program_bytes, 8u);
  for (const char* page : {"3000", "64", "-4096", "33554432"}) {
    const auto wrong = with_flash(page, "8");
    ASSERT_FALSE(wrong.ok()) << page;
    EXPECT_NE(wrong.status().message().find(":20: 'flash.page_bytes' must be"),
              std::string::npos)
        << wrong.status().message();
  }
  for (const char* unit : {"0", "6", "64", "true"})
    EXPECT_FALSE(with_flash("4096", unit).ok()) << unit;
}

TEST(Target, RefusesWhatIsNoTarget) {
  EXPECT_FALSE(parse_target("name = ", "x.toml").ok());
  EXPECT_FALSE(load_target("no/such/file.toml").ok());
  const auto unknown = load_target("cortex-m99");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.status().message().find("cortex-m4"), std::string::npos);
}

TEST(Target, EveryOneThatComesWithItIsGood) {
  const std::vector<std::string> names = target_names();
  EXPECT_GE(names.size(), 12u);
  for (const std::string& name : names) {
    const auto target = load_target(name);
    ASSERT_TRUE(target.ok()) << target.status().message();
    EXPECT_EQ(target->name, name);
    EXPECT_GT(target->memory_bytes("ram"), 0u);
    EXPECT_GT(target->memory_bytes("flash"), 0u);
    ASSERT_TRUE(target->costs.has_value()) << name;
    EXPECT_GE(target->tile.channels, 1);
    if (!target->runs_linux) {
      EXPECT_FALSE(target->compiler.empty());
      EXPECT_GT(target->flash.page_bytes, 0u) << name;
    }
  }
}

}  // namespace
}  // namespace ft
