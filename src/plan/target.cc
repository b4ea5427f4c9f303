#include "plan/target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "plan/target_files.h"

namespace ft {
namespace {

Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return invalid_input(fmt::format("cannot read '{}'", path));
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

uint64_t Target::memory_bytes(std::string_view region) const {
  uint64_t bytes = 0;
  for (const MemoryRegion& r : memory)
    if (r.name == region) bytes += r.bytes;
  return bytes;
}

const MemoryRegion* Target::region(std::string_view region) const {
  for (const MemoryRegion& r : memory)
    if (r.name == region) return &r;
  return nullptr;
}

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const TargetFile& file : target_files()) names.emplace_back(file.name);
  return names;
}

std::string host_target_path() {
  // NOLINTBEGIN(concurrency-mt-unsafe): nothing here sets variables
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != '\0')
    return fmt::format("{}/fieldtune/host.toml", cache);
  const char* home = std::getenv("HOME");
  // NOLINTEND(concurrency-mt-unsafe)
  if (home == nullptr || *home == '\0') return "";
  return fmt::format("{}/.cache/fieldtune/host.toml", home);
}

Result<Target> load_target(const std::string& name) {
  if (name.ends_with(".toml")) {
    FT_TRY(const std::string text, read_text(name));
    return parse_target(text, name);
  }
  if (name == "host") {
    const std::string path = host_target_path();
    const Result<std::string> text = read_text(path);
    if (!text.ok())
      return usage_error(
          "target host: this machine has not been measured yet; run "
          "'fieldtune bench --calibrate'");
    return parse_target(*text, path);
  }
  for (const TargetFile& file : target_files())
    if (file.name == name) return parse_target(file.text, name + ".toml");
  return usage_error(fmt::format(
      "no target '{}'; there are: {}, host, or a file that ends in .toml", name,
      fmt::join(target_names(), ", ")));
}

}  // namespace ft
