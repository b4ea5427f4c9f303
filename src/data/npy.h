// NumPy's .npy files: one array with its type and shape.
//
// Little-endian C-order arrays of float32/64, int8/16/32/64, uint8 and bool, in
// format versions 1 to 3. Reading validates once and returns a view. Not for
// .npz archives or structured types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/result.h"

namespace ft {

struct NpyView {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;       // rank 0 is a scalar
  std::span<const std::byte> data;  // row-major, maybe unaligned

  size_t elements() const { return data.size() / size_of(dtype); }
};

// The view lives as long as `file`.
Result<NpyView> parse_npy(std::span<const std::byte> file);

// Fails if `data` does not have the size of dtype and shape.
Result<std::vector<std::byte>> write_npy(DType dtype,
                                         std::span<const int64_t> shape,
                                         std::span<const std::byte> data);

// All elements as float (int32, int64 and float64 are rounded).
std::vector<float> npy_floats(const NpyView& array);

// All elements as int64; refuses float types.
Result<std::vector<int64_t>> npy_integers(const NpyView& array);

}  // namespace ft
