#include "plan/target.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>

#include "plan/target_files.h"
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace ft {
namespace {

// Keys of one target's table; the first that is missing or wrong is the error.
class Reader {
 public:
  Reader(const toml::table& table, const std::string& source)
      : table_(table), source_(source) {}

  template <class T>
  T get(std::string_view path, const char* what) {
    return value<T>(table_.at_path(path), path, what);
  }

  std::vector<std::string> texts(std::string_view path) {
    std::vector<std::string> all;
    const toml::array* array = table_.at_path(path).as_array();
    if (array == nullptr) return fail(path, "a list of texts"), all;
    for (const toml::node& node : *array)
      all.push_back(value<std::string>(toml::node_view(node), path, "texts"));
    return all;
  }

  std::vector<MemoryRegion> memory() {
    std::vector<MemoryRegion> all;
    const toml::array* array = table_["memory"].as_array();
    if (array == nullptr) return fail("memory", "a list of tables"), all;
    for (const toml::node& node : *array) {
      const toml::node_view region(node);
      const auto at = [&](const char* key) {
        const auto v = value<int64_t>(region[key], key, "a whole number");
        if (v < 0) fail(key, "at least 0");
        return static_cast<uint64_t>(v);
      };
      all.push_back({value<std::string>(region["name"], "name", "text"),
                     at("origin"), at("bytes")});
    }
    return all;
  }

  void fail(std::string_view path, const char* what) {
    if (status_.ok())
      status_ = invalid_input(
          fmt::format("{}: '{}' must be {}", source_, path, what));
  }
  Status status() const { return status_; }

 private:
  template <class T>
  T value(toml::node_view<const toml::node> node, std::string_view path,
          const char* what) {
    const std::optional<T> found = node.template value_exact<T>();
    if (!found) fail(path, what);
    return found.value_or(T{});
  }

  const toml::table& table_;
  const std::string& source_;
  Status status_ = ok_status();
};

Result<std::vector<Isa>> kernels_of(const std::vector<std::string>& names,
                                    const std::string& source) {
  std::vector<Isa> all;
  for (const std::string& name : names) {
    if (name == "c99") continue;
    if (name == "armdsp") {
      all.push_back(Isa::kArmDsp);
    } else if (name == "helium") {
      all.push_back(Isa::kHelium);
    } else {
      return invalid_input(fmt::format(
          "{}: no kernels '{}'; there are: c99, armdsp, helium", source, name));
    }
  }
  return all;
}

}  // namespace

uint64_t Target::memory_bytes(std::string_view region) const {
  uint64_t bytes = 0;
  for (const MemoryRegion& r : memory)
    if (r.name == region) bytes += r.bytes;
  return bytes;
}

std::vector<std::string> target_names() {
  std::vector<std::string> names;
  for (const TargetFile& file : target_files()) names.emplace_back(file.name);
  return names;
}

Result<Target> parse_target(std::string_view text, const std::string& source) {
  const toml::parse_result parsed = toml::parse(text, source);
  if (!parsed)
    return invalid_input(fmt::format("{}: line {}: {}", source,
                                     parsed.error().source().begin.line,
                                     parsed.error().description()));
  Reader reader(parsed.table(), source);
  Target target;
  target.name = reader.get<std::string>("name", "text");
  target.arch = reader.get<std::string>("isa.arch", "text");
  target.has_fpu = reader.get<bool>("fpu.single", "true or false");
  target.memory = reader.memory();
  target.compiler = reader.get<std::string>("compiler.prefix", "text") + "gcc";
  target.c_flags =
      fmt::format("{}", fmt::join(reader.texts("compiler.flags"), " "));
  const std::vector<std::string> kernels = reader.texts("isa.kernels");
  FT_TRY_STATUS(reader.status());
  FT_TRY(target.kernels, kernels_of(kernels, source));
  return target;
}

Result<Target> load_target(const std::string& name) {
  if (name.ends_with(".toml")) {
    std::ifstream file(name, std::ios::binary);
    if (!file) return invalid_input(fmt::format("cannot read '{}'", name));
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return parse_target(text, name);
  }
  for (const TargetFile& file : target_files())
    if (file.name == name) return parse_target(file.text, name + ".toml");
  return usage_error(
      fmt::format("no target '{}'; there are: {}, or a file that ends in .toml",
                  name, fmt::join(target_names(), ", ")));
}

}  // namespace ft
