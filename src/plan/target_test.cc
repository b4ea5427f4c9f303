#include "plan/target.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(target->compiler, "arm-none-eabi-gcc");
  EXPECT_EQ(target->c_flags, "-mcpu=cortex-m55 -mthumb");
  EXPECT_EQ(target->arch, "armv8.1-m.main");
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

TEST(Target, RefusesWhatIsNoTarget) {
  EXPECT_FALSE(parse_target("name = ", "x.toml").ok());
  EXPECT_FALSE(load_target("no/such/file.toml").ok());
  const auto unknown = load_target("cortex-m99");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.status().message().find("cortex-m4"), std::string::npos);
}

TEST(Target, EveryOneThatComesWithItIsGood) {
  const std::vector<std::string> names = target_names();
  EXPECT_GE(names.size(), 8u);
  for (const std::string& name : names) {
    const auto target = load_target(name);
    ASSERT_TRUE(target.ok()) << target.status().message();
    EXPECT_EQ(target->name, name);
    EXPECT_GT(target->memory_bytes("ram"), 0u);
    EXPECT_GT(target->memory_bytes("flash"), 0u);
  }
}

}  // namespace
}  // namespace ft
