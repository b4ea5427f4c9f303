// The constants of printed programs: weights and what was derived from them.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "plan/program.h"

namespace ft::codegen {

// Gives every constant a name; bytes that two programs or kernels share are
// printed once, as what the first of them reads.
class Constants {
 public:
  // The C name of the array that holds `ref`, which must be a constant.
  // `hint`: what it is, for the name.
  std::string name_of(const BufferRef& ref, std::string_view hint);

  size_t num_bytes() const { return bytes_; }
  std::string declarations() const;  // extern const int8_t ft_w0_stem[72];
  std::string definitions() const;

 private:
  struct Array {
    std::string name;
    DType dtype;
    std::span<const std::byte> bytes;
  };
  std::string declaration(const Array& array) const;

  std::vector<Array> arrays_;
  std::map<std::string, size_t> by_content_;  // SHA-256
  size_t bytes_ = 0;
};

}  // namespace ft::codegen
