// fieldtune sign: an adapter file with its owner's signature.
#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "adapters/adapter_bytes.h"
#include "adapters/store/index.h"
#include "adapters/trust/load_checks.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/whole_number.h"
#include "train/adapted_model.h"

namespace ft::cli {
namespace {

struct Options {
  std::string adapter, key, out, base, name;
  std::optional<uint64_t> version;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("adapter", adapter,
                   "adapter file (.safetensors), or a folder of PEFT or "
                   "AdapterHub")
        ->required();
    app.add_option("--key", key, "signing key of 'fieldtune keys generate'")
        ->required();
    app.add_option("--out,-o", out, "signed adapter file to write")->required();
    app.add_option("--base", base,
                   "the adapter's base model; needed for folders, which do not "
                   "say it, refused where the adapter is for another");
    app.add_option("--adapter-name", name,
                   "written as the adapter's name (default: as it is); "
                   "stores under a policy that requires signatures take no "
                   "file without one");
    app.add_option("--adapter-version", version,
                   "written as its version: policies that refuse downgrades "
                   "compare it (default: as it is)")
        ->check(whole_number(uint64_t{1}, UINT64_MAX));
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

// A folder's tensors and settings as one file, bound to the base.
Result<std::vector<std::byte>> file_of_folder(const Options& options) {
  if (options.base.empty())
    return usage_error(fmt::format(
        "'{}' is a folder, which does not say its base model: give --base",
        options.adapter));
  FT_TRY(LoadedAdapter loaded, open_adapter({options.adapter}));
  FT_TRY(const Precision precision,
         parse_precision(loaded.adapter.get("precision")));
  FT_TRY(const BaseModel base, load_base(options.base, precision, 1));
  FT_TRY_STATUS(fit_to_base(base, loaded));
  Adapter& adapter = loaded.adapter;
  drop_signature(adapter.metadata);
  adapter.metadata["base_sha256"] = base.sha256;
  return encode_adapter(adapter);
}

Result<std::vector<std::byte>> checked_file(const Options& options) {
  std::error_code ignored;
  if (std::filesystem::is_directory(options.adapter, ignored))
    return file_of_folder(options);
  FT_TRY(std::vector<std::byte> bytes, read_adapter_bytes(options.adapter));
  LoadRules rules;
  if (!options.base.empty()) {
    FT_TRY(const BaseModel base, open_base_model(options.base));
    rules.base_sha256 = base.sha256;
  }
  FT_TRY_STATUS(
      load_checked(bytes, rules, "'" + options.adapter + "'").status());
  return bytes;
}

Status run(const Options& options) {
  // No store takes it under another kind of name.
  if (!options.name.empty()) FT_TRY_STATUS(store::check_name(options.name));
  FT_TRY(const SigningKey key, load_signing_key(options.key));
  FT_TRY(const auto file, checked_file(options));
  Metadata changes;
  if (!options.name.empty()) changes["name"] = options.name;
  if (options.version) changes["version"] = fmt::format("{}", *options.version);
  FT_TRY(const auto out, sign_adapter(file, key, changes));
  FT_TRY(const Adapter adapter, load_checked(out, {}, "what was signed"));
  FT_TRY(const uint64_t version, adapter_version(adapter.metadata));
  FT_TRY_STATUS(write_file_atomically(options.out, out));
  const std::string name = adapter.get("name");
  if (name.empty())
    warn(fmt::format(
        "'{}' does not say which adapter it is: a store whose policy requires "
        "signatures will not take it; give --adapter-name",
        options.out));
  print_result({{"out", options.out},
                {"signature_key", to_hex(key.public_key())},
                {"name", name.empty() ? Json() : Json(name)},
                {"version", version},
                {"adapter_bytes", out.size()},
                {"adapter_sha256", sha256_hex(out)}},
               options.json);
  return ok_status();
}

}  // namespace

void add_sign(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "sign",
                       "Sign an adapter file: all tensors and all metadata",
                       "fieldtune sign me.safetensors --key release.key "
                       "--adapter-version 2 --out me-2.safetensors",
                       run);
}

}  // namespace ft::cli
