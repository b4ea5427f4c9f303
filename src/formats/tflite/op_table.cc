// The list of operators that import understands.
#include <algorithm>
#include <array>

#include "formats/tflite/importer.h"

namespace ft {
namespace {

std::array<std::span<const OperatorImporter>, 7> all_importers() {
  return {linear_importers(),   elementwise_importers(), row_importers(),
          movement_importers(), slicing_importers(),     block_importers(),
          recurrent_importers()};
}

}  // namespace

ImportFn find_importer(tfl::BuiltinOperator code) {
  for (const auto& list : all_importers())
    for (const OperatorImporter& row : list)
      if (row.code == code) return row.import;
  return nullptr;
}

std::vector<std::string_view> supported_tflite_operators() {
  std::vector<std::string_view> names;
  for (const auto& list : all_importers())
    for (const OperatorImporter& row : list)
      names.emplace_back(tfl::EnumNameBuiltinOperator(row.code));
  std::ranges::sort(names);
  return names;
}

}  // namespace ft
