#include "codegen/device_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "codegen/model_source.h"
#include "codegen/size_report.h"
#include "codegen/source_closure.h"

namespace ft::codegen {
namespace {

// Training and inference read the same parameters at the same places.
Status check_shared(const Program& infer, const Program& train) {
  for (size_t i = 0; i < infer.persistent.size(); ++i) {
    const Binding& a = infer.persistent[i];
    if (i < train.persistent.size() && train.persistent[i].name == a.name &&
        train.persistent[i].ref.offset == a.ref.offset &&
        train.persistent[i].type.num_bytes() == a.type.num_bytes())
      continue;
    return internal_error(
        fmt::format("'{}' lies elsewhere in the training program", a.name));
  }
  return ok_status();
}

std::string weights_header(const Constants& constants) {
  return "/* Weights and what was derived from them. */\n"
         "#ifndef FT_WEIGHTS_H_\n#define FT_WEIGHTS_H_\n\n"
         "#include <stdint.h>\n\n" +
         constants.declarations() + "\n#endif /* FT_WEIGHTS_H_ */\n";
}

std::string weights_source(const Constants& constants) {
  return "#include \"ft_weights.h\"\n\n#include <math.h>\n\n"
         "#include \"ft_model.h\"\n\n" +
         constants.definitions();
}

constexpr std::string_view kBuild =
    R"(# Links into a firmware as ft_model. The flags are part of the result: without
# -ffp-contract=off a compiler may fuse multiplications with additions.
cmake_minimum_required(VERSION 3.16)
project(ft_model LANGUAGES C)

add_library(ft_model STATIC
{sources})
set_target_properties(ft_model PROPERTIES C_STANDARD 99 C_STANDARD_REQUIRED ON)
target_include_directories(ft_model PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
target_compile_options(ft_model PRIVATE -ffp-contract=off -fno-math-errno
                                        -fno-trapping-math)
)";

std::string build_file(const std::vector<OutputFile>& files) {
  std::string sources;
  for (const OutputFile& f : files)
    if (f.path.ends_with(".c")) sources += "  " + f.path + "\n";
  sources.pop_back();
  return fmt::format(kBuild, fmt::arg("sources", sources));
}

constexpr std::string_view kReadme = R"(# {title}

C99 without a heap, an operating system or globals; `ft_model.h` says what there
is. Compile all `.c` files with this folder on the include path and
`-std=c99 -ffp-contract=off{flags}`, or `add_subdirectory` it in CMake and link
`ft_model`.

```c
static ft_model model;

ft_init(&model);
/* fill ft_infer_input(&model) */
ft_infer(&model);
/* read {answer}(&model) */
{training}```
{front_end}
## Memory

{memory}
{stack}`SIZES.md` says what is largest in each.
)";

constexpr std::string_view kReadmeStack =
    R"(The stack is that of GCC at -O2, from any of the functions of `ft_model.h` down.
Give `ft_ram.ld` to the linker beside your own script, and it refuses an image
with less.
)";

constexpr std::string_view kReadmeNoStack =
    R"(The stack comes on top: it depends on the compiler (`-fstack-usage`), and no
`--target` was given.
)";

constexpr std::string_view kReadmeTraining = R"(
/* fill ft_train_input(&model) and ft_train_target(&model) */
if (ft_train_step(&model) != FT_OK) { /* the loss was not finite */ }
)";

constexpr std::string_view kReadmeFeatures = R"(
/* once for each sample: fill ft_features_input(&model) */
ft_features(&model);
memcpy(kept[i], ft_features_output(&model), FT_FEATURE_BYTES);

/* as often as you like: copy kept[i] to ft_train_input(&model),
 * fill ft_train_target(&model) */
if (ft_train_step(&model) != FT_OK) { /* the loss was not finite */ }
)";

constexpr std::string_view kReadmeSliced = R"(
Or a slice at a time, when there is nothing else to do:

```c
/* fill the training inputs, then: */
while (ft_train_poll(&model, 1) == FT_BUSY) {{ /* ft_infer(&model) if it is time */ }}
```

A slice takes up to {longest:.0f} {unit}, as predicted; `SIZES.md` says which.
)";

constexpr std::string_view kReadmeFrontEnd = R"(
`ft_frontend.h` turns 16-bit audio into the model's input:

```c
static ft_frontend ears;

ft_frontend_init(&ears);
/* for every FT_FRONTEND_HOP samples */
ft_frontend_push(&ears, samples);
ft_frontend_input(&ears, ft_infer_input(&model));
ft_infer(&model);
```
)";

std::string readme_sliced(const Slices& slices) {
  return fmt::format(kReadmeSliced,
                     fmt::arg("longest", slices.calls[slices.longest()].cost),
                     fmt::arg("unit", slices.unit));
}

std::string readme(const DeviceModel& model, const DeviceSizes& s,
                   const std::optional<Slices>& slices) {
  const std::string& flags = model.target.c_flags;
  return fmt::format(
      kReadme, fmt::arg("title", model.title),
      fmt::arg("flags", flags.empty() ? "" : " " + flags),
      fmt::arg("answer", model.infer->outputs.size() > 1 ? "ft_infer_answer"
                                                         : "ft_infer_output"),
      fmt::arg("training", model.features ? kReadmeFeatures
                           : model.train  ? kReadmeTraining
                                          : ""),
      fmt::arg("front_end",
               (slices ? readme_sliced(*slices) : "") +
                   std::string(model.front_end ? kReadmeFrontEnd : "")),
      fmt::arg("memory", memory_table(s)),
      fmt::arg("stack", s.stack_bytes > 0 ? kReadmeStack : kReadmeNoStack));
}

}  // namespace

Result<PrintedModel> print_device_model(const DeviceModel& given) {
  DeviceModel model = given;
  if (model.store.plan_hash.empty())
    model.store.plan_hash = plan_hash(*model.infer);
  if (model.train) FT_TRY_STATUS(check_shared(*model.infer, *model.train));
  Constants constants;
  PrintedModel out;
  FT_TRY(out.sizes, sizes_of(model));
  PrintedFrontEnd ears;
  if (model.front_end) {
    FT_TRY(ears,
           print_front_end(*model.front_end, model.infer->inputs[0].type));
    out.sizes.front_end_bytes = ears.ram_bytes;
    FT_TRY(const size_t stack, stack_of(ears.kernels, model.target));
    out.sizes.stack_bytes = std::max(out.sizes.stack_bytes, stack);
  }
  if (model.train && model.sliced) {
    FT_TRY(out.slices, slices_of(*model.train, model.target, model.slice));
  }
  FT_TRY(ModelSource source,
         print_model_source(model, out.sizes, out.slices, constants));
  out.sizes.constant_bytes = constants.num_bytes();
  out.files = {{"ft_model.h", std::move(source.header)},
               {"ft_model.c", std::move(source.source)},
               {"ft_weights.h", weights_header(constants)},
               {"ft_weights.c", weights_source(constants)}};
  if (model.front_end) {
    out.sizes.constant_bytes += ears.constant_bytes;
    out.files.push_back({"ft_frontend.h", std::move(ears.header)});
    out.files.push_back({"ft_frontend.c", std::move(ears.source)});
    source.kernels.merge(ears.kernels);
  }
  FT_TRY(const auto kernels, sources_of(source.kernels));
  out.sizes.code_bytes = code_bytes(model, kernels);
  out.sizes.store_bytes =
      store_bytes(model.store, out.sizes.adapter_bytes,
                  out.sizes.persistent_bytes, model.train != nullptr);
  FT_TRY_STATUS(check_fits(out.sizes, model.target));
  for (const SourceFile* file : kernels)
    out.files.push_back({std::string(file->path), std::string(file->text)});
  std::string about = readme(model, out.sizes, out.slices);
  if (model.store.adapters > 0) {
    FT_TRY(auto store, print_store(model.store, *model.infer, model.train,
                                   model.base_sha256));
    std::ranges::move(store, std::back_inserter(out.files));
    about += store_readme(model.store, out.sizes.adapter_bytes,
                          out.sizes.persistent_bytes, model.train != nullptr);
  }
  const std::string build = build_file(out.files);
  out.files.push_back({"CMakeLists.txt", build});
  if (out.sizes.stack_bytes > 0)
    out.files.push_back({"ft_ram.ld", linker_check(out.sizes, model.target)});
  std::string report = size_report(model, out.sizes, kernels);
  if (out.slices)
    report += "\n## Slices of training\n\n" +
              slice_report(*model.train, *out.slices, model.slice);
  out.files.push_back({"SIZES.md", std::move(report)});
  out.files.push_back({"README.md", about});
  return out;
}

}  // namespace ft::codegen
