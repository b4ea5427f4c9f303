// Safetensors files: names, shapes and bytes of tensors behind a JSON header.
//
// Layout: u64 little-endian header length N, N bytes of JSON (100 MB at most,
// as the format's own readers have it), then the bytes of all tensors without
// holes. Reading validates everything once and returns
// views; nothing of the tensor data is copied, and allocation stays within a
// small multiple of the header. Not for the meaning of the tensors (see
// adapters/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"

namespace ft {

// A view: `data` points into the parsed file or into the caller's memory and
// may be unaligned in files of other writers (copy with memcpy).
struct SafetensorsEntry {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // row-major; rank 0 is a scalar
  std::span<const std::byte> data;
};

using SafetensorsMetadata = std::map<std::string, std::string, std::less<>>;

struct Safetensors {
  SafetensorsMetadata metadata;
  std::vector<SafetensorsEntry> tensors;  // in the order of their bytes

  const SafetensorsEntry* find(std::string_view name) const;
};

inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;

// Length of the JSON header, which begins at byte 8, by the first 8 bytes of a
// file of so many. Fails where the file is too short to have it, and above
// kMaxHeaderBytes.
Result<size_t> safetensors_header_bytes(std::span<const std::byte> beginning,
                                        uint64_t file_bytes);
inline Result<size_t> safetensors_header_bytes(
    std::span<const std::byte> file) {
  return safetensors_header_bytes(file, file.size());
}

// All that parse_safetensors() checks, by the length and the header alone: for
// those who would have to bring the rest into memory first.
Status check_safetensors_header(std::span<const std::byte> beginning,
                                uint64_t file_bytes);

// The metadata alone, of the JSON header; nothing that it says of tensors is
// checked.
Result<SafetensorsMetadata> parse_safetensors_metadata(
    std::span<const std::byte> header);

// The views in the result live as long as `file`.
Result<Safetensors> parse_safetensors(std::span<const std::byte> file);

// Equal input gives equal bytes: metadata sorted by key, tensors in the given
// order but larger element types first, so that all data is aligned to its
// element size. Fails on a duplicate or reserved name, on data that does not
// have the size of dtype and shape, and on text that is not UTF-8.
Result<std::vector<std::byte>> write_safetensors(
    std::span<const SafetensorsEntry> tensors,
    const SafetensorsMetadata& metadata);

}  // namespace ft
