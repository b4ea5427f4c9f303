#include "codegen/store.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/c_text.h"
#include "plan/parameters.h"

namespace ft::codegen {
namespace {

constexpr int kStates = 2;  // the newest one, and the one being written

constexpr std::string_view kConfig =
    R"(/* What device images must be made for. */
#ifndef FT_STORE_CONFIG_H_
#define FT_STORE_CONFIG_H_

#define FT_STORE_ADAPTERS {adapters}u
/* First halves of FT_BASE_SHA256 and FT_PLAN_HASH. */
#define FT_STORE_BASE_HASH {base}
#define FT_STORE_PLAN_HASH {plan}
#define FT_STORE_STATES {states}u
{state}#define FT_STORE_SIGNED {is_signed}
{key}
#endif /* FT_STORE_CONFIG_H_ */
)";

constexpr std::string_view kState =
    R"(/* The step counter, from which all randomness follows, and the values. */
#define FT_STORE_STATE_BYTES (8u + FT_PERSISTENT_BYTES)
#define FT_STORE_STATE_HASH {} /* FT_TRAIN_PLAN_HASH */
)";

// "{0x01, 0x23, ...}" over lines that a macro may have.
std::string braces(std::string elements) {
  for (size_t at = elements.find('\n'); at != std::string::npos;
       at = elements.find('\n', at + 3))
    if (at + 1 < elements.size()) elements.replace(at, 1, " \\\n");
  if (elements.ends_with('\n')) elements.pop_back();
  return "{" + elements + "}";
}

std::string key_macro(const std::optional<std::array<uint8_t, 32>>& key) {
  if (!key) return "";
  return "#define FT_STORE_PUBLIC_KEY " + braces(c_hex_bytes(*key)) + "\n";
}

std::string config_header(const StoreSettings& settings, const Program* train,
                          const std::string& base) {
  return fmt::format(
      kConfig, fmt::arg("adapters", settings.adapters),
      fmt::arg("base", braces(c_hash_prefix(base))),
      fmt::arg("plan", braces(c_hash_prefix(settings.plan_hash))),
      fmt::arg("states", train ? kStates : 0),
      fmt::arg(
          "state",
          train ? fmt::format(kState, braces(c_hash_prefix(plan_hash(*train))))
                : std::string("#define FT_STORE_STATE_BYTES 0u\n")),
      fmt::arg("is_signed", settings.public_key ? 1 : 0),
      fmt::arg("key", key_macro(settings.public_key)));
}

bool is_of_signatures(std::string_view path) {
  return path.find("ed25519") != path.npos ||
         path.find("monocypher") != path.npos;
}

// The library is not written for all warnings that a firmware may turn on.
constexpr std::string_view kQuiet =
    "#if defined(__GNUC__)\n"
    "#pragma GCC diagnostic ignored \"-Wconversion\"\n"
    "#pragma GCC diagnostic ignored \"-Wsign-conversion\"\n"
    "#endif\n";

std::string text_of(const StoreFile& file) {
  const bool quiet = file.path.find("monocypher") != file.path.npos &&
                     file.path.ends_with('c');
  return std::string(quiet ? kQuiet : "") + std::string(file.text);
}

constexpr size_t kHeaderBytes = 128;  // of an image or a state
constexpr size_t kCounterBytes = 8;   // steps done

size_t whole_pages(size_t bytes, size_t page) {
  return (bytes + page - 1) / page * page;
}

constexpr std::string_view kReadme = R"(
## Adapters in flash

`ft_store.h` keeps {adapters}{states}, safe against power cuts: what one
interrupts has happened or not. {signature}

```c
static const ft_store_flash flash = {{
    .driver = {{0, map, erase_page, program}}, /* your three functions */
    .page_bytes = {page}, .program_bytes = {program}}};
static ft_store store;

ft_init(&model);
ft_store_open(&store, &model, &flash); /* at every start */
/* an image of 'fieldtune export --to device-image --adapter-number 0' */
if (ft_store_install(&store, &model, 0, image, image_bytes) != FT_FLASH_OK) {{
  /* refused, and why: ft_flash_status_text(); the adapter of before stays */
}}
{swap}{training}```

| bytes of flash with pages of |{pages}
|---|{lines}
| `FT_STORE_BYTES` |{regions}
{state_size}
On top of `ft_model` it takes `sizeof(ft_store)` of RAM, about 200 bytes for each
adapter. With a `--target`, its code (up to {code} bytes) and its stack (up to
{stack}, while an image is checked) are counted above.
)";

constexpr std::string_view kReadmeTraining =
    R"(
ft_start_training(&model); /* from the values that ft_infer uses */
/* train */
ft_store_save(&store, &model);
/* after a reset, once the store is open: */
if (ft_store_load(&store, &model) == FT_FLASH_OK)
  ft_swap_adapter(&model, 0); /* ft_infer uses what was trained here */
)";

size_t region_bytes(const StoreSettings& settings, size_t adapter, size_t state,
                    size_t page) {
  return static_cast<size_t>(settings.adapters) *
         (2 * page + 2 * whole_pages(kHeaderBytes + adapter, page) +
          kStates * whole_pages(state, page));
}

}  // namespace

Result<std::vector<OutputFile>> print_store(const StoreSettings& settings,
                                            const Program& infer,
                                            const Program* train,
                                            const std::string& base_sha256) {
  if (parameter_region_bytes(infer) != infer.persistent_bytes ||
      base_sha256.size() != 64)
    return internal_error("flash: inference has states, or no base model");
  std::vector<OutputFile> out = {
      {"ft_store_config.h", config_header(settings, train, base_sha256)}};
  bool has_library = false;
  for (const StoreFile& file : store_files()) {
    if (is_of_signatures(file.path) && !settings.public_key) continue;
    has_library = has_library || file.path == "flash/monocypher.c";
    out.push_back({std::string(file.path), text_of(file)});
  }
  if (settings.public_key && !has_library)
    return internal_error(
        "this build of fieldtune has no sources of Monocypher");
  return out;
}

// Measured: 16,488 (Cortex-M4) to 20,908 (M0+) with Ed25519, and 5,393 to 7,637
// (RV32) without.
size_t store_code_bytes(const StoreSettings& settings) {
  if (settings.adapters == 0) return 0;
  return settings.public_key ? 24 * 1024 : 8 * 1024;
}

// Measured by test_store.py: 2,332 to check a signature (M0+), 484 to save a
// state (RV32).
size_t store_stack_bytes(const StoreSettings& settings) {
  if (settings.adapters == 0) return 0;
  return settings.public_key ? 2560 : 640;
}

size_t state_bytes(size_t persistent_bytes, bool trains) {
  return trains ? kHeaderBytes + kCounterBytes + persistent_bytes : 0;
}

size_t store_bytes(const StoreSettings& settings, size_t adapter_bytes,
                   size_t persistent_bytes, bool trains) {
  if (settings.adapters == 0 || settings.flash.page_bytes == 0) return 0;
  return region_bytes(settings, adapter_bytes,
                      state_bytes(persistent_bytes, trains),
                      settings.flash.page_bytes);
}

std::string store_readme(const StoreSettings& settings, size_t adapter_bytes,
                         size_t persistent_bytes, bool trains) {
  const bool several = settings.adapters > 1;
  const size_t state = state_bytes(persistent_bytes, trains);
  const bool known = settings.flash.page_bytes > 0;
  std::string pages, lines, regions;
  for (const size_t page : known
                               ? std::vector<size_t>{settings.flash.page_bytes}
                               : std::vector<size_t>{1024, 2048, 4096}) {
    pages += fmt::format(" {} |", page);
    lines += "---|";
    regions += fmt::format(" {} |",
                           region_bytes(settings, adapter_bytes, state, page));
  }
  return fmt::format(
      kReadme,
      fmt::arg("adapters", several
                               ? fmt::format("{} adapters", settings.adapters)
                               : std::string("one adapter")),
      fmt::arg("states", trains ? " and training states" : ""),
      fmt::arg("signature",
               settings.public_key
                   ? "Images are taken if the owner of the key in "
                     "`ft_store_config.h` has\nsigned them."
                   : "Unsigned images are taken: whoever can\nsend one can "
                     "change what the model answers."),
      fmt::arg("swap", several ? "ft_store_swap(&store, &model, 1); /* another "
                                 "one, from now on and after a reset */\n"
                               : ""),
      fmt::arg("training", trains ? kReadmeTraining : ""),
      fmt::arg("code", store_code_bytes(settings)),
      fmt::arg("stack", store_stack_bytes(settings)),
      fmt::arg("page", known ? settings.flash.page_bytes : 4096),
      fmt::arg("program", known ? settings.flash.program_bytes : 8),
      fmt::arg("pages", pages), fmt::arg("lines", lines),
      fmt::arg("regions", regions),
      fmt::arg(
          "state_size",
          trains ? fmt::format("\nA state has {} bytes: a header of 128, the "
                               "step counter, the adapter's {} bytes\nand {} "
                               "of the optimizer. Randomness follows from seed "
                               "and counter and needs none.\n",
                               state, adapter_bytes,
                               persistent_bytes - adapter_bytes)
                 : std::string()));
}

}  // namespace ft::codegen
