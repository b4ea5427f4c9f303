#include "adapters/adapter_bytes.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>

#include "base/whole_file.h"
#include "formats/safetensors/safetensors.h"

namespace ft {
namespace {

constexpr size_t kLengthBytes = 8;  // of the header's length

uint64_t memory_of_this_machine() {
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page <= 0) return UINT64_MAX;
  return static_cast<uint64_t>(pages) * static_cast<uint64_t>(page);
}

// The file may be another one a moment later: whoever uses the bytes checks
// them anyway, this only spares the memory.
Status check_beginning(const std::string& path, size_t file_bytes) {
  FT_TRY(Beginning file, read_beginning(path, kLengthBytes));
  auto header = safetensors_header_bytes(file.bytes, file_bytes);
  if (!header.ok())
    return Status(header.status())
        .in("'" + path + "': refused by the size check");
  FT_TRY(file, read_beginning(path, kLengthBytes + *header));
  Status status = check_safetensors_header(file.bytes, file_bytes);
  if (!status.ok())
    return status.in("'" + path + "': refused by the header check");
  const uint64_t memory = memory_of_this_machine();
  if (file_bytes <= memory) return ok_status();
  return does_not_fit(
      fmt::format("'{}' has {} bytes, and this machine has {} of memory", path,
                  file_bytes, memory));
}

}  // namespace

Result<std::vector<std::byte>> read_adapter_bytes(
    const std::string& path,
    const std::function<Status(size_t bytes)>& reserve) {
  return read_whole_file(path, [&](size_t bytes) -> Status {
    if (reserve) FT_TRY_STATUS(reserve(bytes));
    if (bytes <= kReadAtOnceBytes) return ok_status();
    return check_beginning(path, bytes);
  });
}

}  // namespace ft
