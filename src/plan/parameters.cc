#include "plan/parameters.h"

#include <algorithm>

namespace ft {

Status write_initial_values(const Program& program,
                            std::span<std::byte> region) {
  for (const Binding& b : program.persistent) {
    const Value& value = program.graph.value(b.value);
    if (value.data.empty()) continue;
    if (value.data.size() != b.type.num_bytes() ||
        b.ref.offset + value.data.size() > region.size())
      return internal_error("plan: initial value of '" + b.name +
                            "' has the wrong size");
    std::ranges::copy(value.data, region.subspan(b.ref.offset).begin());
  }
  return ok_status();
}

size_t parameter_region_bytes(const Program& program) {
  constexpr size_t kAlignment = 16;
  size_t end = 0;
  for (const Binding& b : program.persistent)
    if (program.graph.value(b.value).kind == ValueKind::kParam)
      end = std::max(end, b.ref.offset + b.type.num_bytes());
  return (end + kAlignment - 1) / kAlignment * kAlignment;
}

Result<std::vector<std::byte>> parameter_region(const Program& program) {
  const size_t bytes = parameter_region_bytes(program);
  std::vector<std::byte> region(std::max(bytes, program.persistent_bytes));
  FT_TRY_STATUS(write_initial_values(program, region));
  region.resize(bytes);
  return region;
}

}  // namespace ft
