#include "codegen/constants.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "codegen/c_text.h"

namespace ft::codegen {

std::string Constants::name_of(const BufferRef& ref, std::string_view hint) {
  FT_CHECK(ref.space == Space::kConstant);
  const auto [entry, is_new] =
      by_content_.try_emplace(sha256_hex(ref.constant), arrays_.size());
  if (is_new) {
    arrays_.push_back(
        {.name = fmt::format("ft_w{}_{}", arrays_.size(), c_identifier(hint)),
         .dtype = ref.dtype,
         .bytes = ref.constant});
    bytes_ += ref.constant.size();
  }
  return arrays_[entry->second].name;
}

std::string Constants::declaration(const Array& array) const {
  return fmt::format("const {} {}[{}]", c_type(array.dtype), array.name,
                     array.bytes.size() / size_of(array.dtype));
}

std::string Constants::declarations() const {
  std::string text;
  for (const Array& a : arrays_)
    text += fmt::format("extern {};\n", declaration(a));
  return text;
}

std::string Constants::definitions() const {
  std::string text;
  for (const Array& a : arrays_)
    text += fmt::format("FT_ALIGNED {} = {{\n{}}};\n\n", declaration(a),
                        c_elements(a.dtype, a.bytes));
  return text;
}

}  // namespace ft::codegen
