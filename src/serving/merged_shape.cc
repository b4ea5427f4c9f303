#include "serving/merged_shape.h"

#include <fmt/format.h>

#include "formats/tflite/import.h"
#include "train/merge_adapted.h"

namespace ft {

Status fill_merged(ServedBase& base, std::vector<LoadedAdapter>& parts,
                   ServedAdapter& served,
                   const std::function<Result<Charge>(size_t)>& charge) {
  if (!base.path().ends_with(".tflite"))
    return usage_error(
        fmt::format("'{}' is no .tflite file: its adapters cannot run merged",
                    base.path()));
  // What could not run beside the base is not merged either.
  FT_TRY(const auto beside, base.shape_of(parts, SideArithmetic::kAsTrained));
  FT_TRY(const auto block, beside->new_block());
  FT_TRY_STATUS(write_adapters(parts, *beside, *block));
  FT_TRY(const MergeInput input, merge_input(parts));
  FT_TRY(auto file, merged_tflite_file(base.path(), input, base.sha256()));
  auto bytes = std::make_shared<const std::vector<std::byte>>(std::move(file));
  FT_TRY(TfliteModel model,
         import_tflite(*bytes, {.dynamic_range = true, .batch = 1}));
  model.graph.keep_alive(bytes);
  FT_TRY(CompiledStep step, compile_base(model.graph, base.plan()));
  FT_TRY(served.shape, ShapeClass::create(std::move(step)));
  FT_TRY(served.charge, charge(bytes->size() + served.shape->derived_bytes() +
                               served.shape->block_bytes()));
  FT_TRY(served.block, served.shape->new_block());
  return ok_status();
}

}  // namespace ft
