// The tensors of an adapter file, read in the order in which they are checked:
// how they are stored, what shapes they have, what values. The inverse of
// stored_tensor.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "adapters/adapter_file.h"
#include "base/result.h"
#include "formats/safetensors/safetensors.h"

namespace ft {

// One call of each, in this order; the next only if the last was ok.
class TensorReader {
 public:
  // `file` must outlive it.
  explicit TensorReader(const Safetensors& file) : file_(file) {}

  // Metadata `quantizer`, its steps and zero points, and that every tensor has
  // a dtype that it gives.
  Status read_quantizer();
  // Shapes of all tensors, and for each integer tensor its steps.
  Status read_shapes();
  // Values that the quantizer can express and that are finite.
  Status read_values();

  // Of the integer tensors; none where the file has none.
  const std::optional<Quantizer>& quantizer() const { return quantizer_; }
  // With shapes after read_shapes(), with values after read_values().
  const std::vector<AdapterEntry>& tensors() const { return tensors_; }
  std::vector<AdapterEntry> take() { return std::move(tensors_); }

 private:
  Status read_steps();
  Result<const SafetensorsEntry*> find_steps(const char* name, DType dtype);
  Status check_dtype(const SafetensorsEntry& entry) const;
  Status read_shape(const SafetensorsEntry& entry, AdapterEntry& t);
  Status take_packed_shape(const SafetensorsEntry& entry, AdapterEntry& t);
  Status take_steps(size_t count, AdapterEntry& t);
  Status read_integers(const SafetensorsEntry& entry, AdapterEntry& t) const;
  int32_t integer_at(const SafetensorsEntry& entry, size_t i) const;
  // fn(entry, tensor) for each; the first failure names the tensor.
  template <class Fn>
  Status for_each(const Fn& fn);

  const Safetensors& file_;
  std::optional<Quantizer> quantizer_;
  std::vector<float> scales_;
  std::vector<int32_t> zero_points_;
  std::vector<Shape> shapes_;
  size_t next_step_ = 0, next_shape_ = 0;
  std::vector<const SafetensorsEntry*> entries_;
  std::vector<AdapterEntry> tensors_;  // as many as entries_
};

// All three at once.
Result<std::vector<AdapterEntry>> restore_tensors(const Safetensors& file);

}  // namespace ft
