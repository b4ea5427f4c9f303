// fieldtune store: the adapters of this device, kept with versions.
#include <fmt/format.h>

#include "adapters/store/index.h"
#include "base/file.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/policy_option.h"
#include "cli/store_options.h"
#include "cli/whole_number.h"
#include "fieldtune/adapter_store.h"
#include "train/base_model.h"

namespace ft::cli {
namespace {

using fieldtune::AdapterStore;
using fieldtune::Slot;
using fieldtune::StoredAdapter;

// The version that was named, or the active one.
Result<StoredAdapter> find(AdapterStore& store, const std::string& text) {
  FT_TRY(const VersionSpec spec, parse_spec(text));
  if (spec.version == 0) return store.active(spec.name);
  return store.find(spec.name, spec.version);
}

Json metrics_of(const StoredAdapter& row) {
  Json metrics = Json::object();
  for (const auto& [name, value] : row.metrics) metrics[name] = value;
  return metrics;
}

Json fields_of(const StoredAdapter& row) {
  return {{"name", row.name},
          {"version", row.version},
          {"slot", name_of(row.slot)},
          {"pinned", row.pinned},
          {"method", row.method},
          {"adapter_bytes", row.bytes},
          {"metrics", metrics_of(row)},
          {"signature", row.signature},
          {"signed_by", row.signed_by},
          {"adapter_sha256", row.sha256},
          {"base_sha256", row.base_sha256},
          {"parent_sha256", row.parent_sha256},
          {"added", row.added},
          {"added_time", time_or_null(row.added_time)},
          {"last_use", row.last_use},
          {"last_use_time", time_or_null(row.last_use_time)}};
}

// One line of what a change came to; --json gives everything.
void print_change(const StoredAdapter& row, const std::string& what,
                  bool as_json) {
  if (as_json)
    print_result(fields_of(row), true);
  else
    fmt::print("{}@{} {}\n", row.name, row.version, what);
}

struct Init : StoreOptions {
  std::string model, base;
  bool encrypt = false;

  void add_to(CLI::App& app) {
    StoreOptions::add_to(app);
    app.add_option("--model", model,
                   "refuse adapters of other base models than this one");
    app.add_option("--base", base, "the same by the model's SHA-256");
    app.add_flag("--encrypt", encrypt,
                 "encrypt adapter files with the key of --key-file or "
                 "--keyring");
  }
};

Status run_init(const Init& options) {
  if (options.encrypt != options.key.given())
    return usage_error(
        "--encrypt needs a key, and a key --encrypt: --key-file FILE or "
        "--keyring NAME");
  if (!options.model.empty() && !options.base.empty())
    return usage_error("--model and --base say the same: give one of them");
  fieldtune::StoreInit init{.base_sha256 = options.base, .key = options.key};
  if (!options.model.empty()) {
    FT_TRY(const BaseModel base, open_base_model(options.model));
    init.base_sha256 = base.sha256;
  }
  FT_TRY_STATUS(AdapterStore::init(options.folder, init));
  print_result({{"store", options.folder},
                {"base_sha256", init.base_sha256},
                {"encrypted", options.encrypt}},
               options.json);
  return ok_status();
}

struct Add : StoreOptions {
  std::string adapter, delta, max_bytes;
  fieldtune::StoreAdd add;
  PolicyOption policy;

  void add_to(CLI::App& app) {
    StoreOptions::add_to(app);
    app.add_option("adapter", adapter, "adapter file (.safetensors)");
    app.add_option("--delta", delta,
                   "instead: what leads to it from a version that the store "
                   "has (of 'fieldtune delta make')");
    app.add_option("--max-bytes", max_bytes,
                   "largest result of a delta (default: 64M)");
    app.add_option("--name", add.name, "default: metadata 'name' of the file");
    app.add_option("--as-version", add.version,
                   "default: metadata 'version' of the file, else the highest "
                   "of that name and 1")
        ->check(whole_number(int64_t{1}, store::kHighestVersion));
    policy.add_to(app);
  }
};

Status run_add(const Add& options) {
  if (options.adapter.empty() == options.delta.empty())
    return usage_error("give an adapter file, or --delta FILE");
  if (options.delta.empty() && !options.max_bytes.empty())
    return usage_error("--max-bytes is of a delta's result: give --delta FILE");
  uint64_t max_bytes = AdapterStore::kMostDeltaBytes;
  if (!options.max_bytes.empty()) {
    FT_TRY(max_bytes, parse_bytes(options.max_bytes));
  }
  FT_TRY(auto store, options.open(false));
  fieldtune::StoreAdd add = options.add;
  add.policy = options.policy.path;
  FT_TRY(const auto added,
         options.delta.empty()
             ? store.add(options.adapter, add)
             : store.add_delta(options.delta, add, max_bytes));
  if (!added.note.empty()) warn(added.note);
  Json fields = fields_of(added.adapter);
  fields["is_new"] = added.is_new;
  print_result(fields, options.json);
  return ok_status();
}

struct List : StoreOptions {
  std::string name;

  void add_to(CLI::App& app) {
    StoreOptions::add_to(app);
    app.add_option("name", name, "only versions of this name");
  }
};

// A row of the table; --json gives everything.
Json short_fields(const StoredAdapter& row) {
  Json fields = {
      {"name", row.name},          {"version", row.version},
      {"slot", name_of(row.slot)}, {"pinned", row.pinned ? "pinned" : ""},
      {"method", row.method},      {"adapter_bytes", row.bytes}};
  for (const auto& [name, value] : row.metrics) fields[name] = value;
  fields["added_time"] = time_or_null(row.added_time);
  fields["last_use_time"] = time_or_null(row.last_use_time);
  return fields;
}

Status run_list(const List& options) {
  FT_TRY(auto store, options.open(true));
  FT_TRY(const auto info, store.info());
  FT_TRY(const auto rows, store.list(options.name));
  Json list = Json::array();
  for (const StoredAdapter& row : rows)
    list.push_back(options.json ? fields_of(row) : short_fields(row));
  print_result({{"store", options.folder},
                {"base_sha256", info.base_sha256},
                {"encrypted", info.encrypted},
                {"changes", info.counter},
                {"names", info.names},
                {"versions", info.adapters},
                {"clock_behind_seconds", info.clock_behind_seconds},
                {"adapters", list}},
               options.json);
  return ok_status();
}

// Subcommands of one adapter.
struct OfAdapter : StoreOptions {
  std::string spec;

  void add_to(CLI::App& app) {
    StoreOptions::add_to(app);
    app.add_option("adapter", spec, "NAME or NAME@VERSION")->required();
  }
};

struct Show : OfAdapter {};

Status run_show(const Show& options) {
  FT_TRY(auto store, options.open(true));
  FT_TRY(const StoredAdapter row, find(store, options.spec));
  FT_TRY(const auto line, store.lineage(row));
  Json fields = fields_of(row), lineage = Json::array();
  for (const StoredAdapter& ancestor : line)
    lineage.push_back({{"name", ancestor.name},
                       {"version", ancestor.version},
                       {"slot", name_of(ancestor.slot)},
                       {"adapter_sha256", ancestor.sha256}});
  fields["lineage"] = lineage;
  print_result(fields, options.json);
  return ok_status();
}

struct Use : OfAdapter {
  bool confirm = false, pin = false, unpin = false;
  int64_t boots = 0;

  void add_to(CLI::App& app) {
    OfAdapter::add_to(app);
    app.add_flag("--confirm", confirm,
                 "confirm what is on trial, which must be VERSION if one is "
                 "named");
    app.add_flag("--pin", pin,
                 "never collect NAME@VERSION; leaves its slot as it is");
    app.add_flag("--unpin", unpin, "the opposite");
    app.add_option("--boots", boots,
                   "roll back by itself after so many starts ('store boot') "
                   "without a confirmation")
        ->check(whole_number(int64_t{1}, INT64_MAX));
  }
};

Status run_use(const Use& options) {
  if (options.confirm + options.pin + options.unpin > 1)
    return usage_error("--confirm, --pin and --unpin exclude each other");
  if (options.boots > 0 && (options.confirm || options.pin || options.unpin))
    return usage_error("--boots is of a trial, which this does not begin");
  FT_TRY(const VersionSpec spec, parse_spec(options.spec));
  FT_TRY(auto store, options.open(false));
  Result<StoredAdapter> row = usage_error("");
  std::string what = "is confirmed";
  if (options.pin || options.unpin) {
    what = options.pin ? "is pinned" : "is not pinned";
    row = find(store, options.spec);
    if (row.ok()) row = store.pin(spec.name, row->version, options.pin);
  } else if (options.confirm) {
    row = store.confirm(spec.name, spec.version);
  } else {
    row = store.use(spec.name, spec.version, options.boots);
    const bool on_trial = row.ok() && row->slot == Slot::kTrial;
    if (on_trial) what = "is on trial";
    if (on_trial && options.boots > 0)
      what += fmt::format(", for {} starts", options.boots);
  }
  if (!row.ok()) return row.status();
  print_change(*row, what, options.json);
  return ok_status();
}

struct Rollback : StoreOptions {
  std::string name;

  void add_to(CLI::App& app) {
    StoreOptions::add_to(app);
    app.add_option("name", name, "NAME")->required();
  }
};

Status run_rollback(const Rollback& options) {
  FT_TRY(auto store, options.open(false));
  FT_TRY(const StoredAdapter row, store.rollback(options.name));
  print_change(row, "is confirmed and active", options.json);
  return ok_status();
}

struct Boot : StoreOptions {};

Status run_boot(const Boot& options) {
  FT_TRY(auto store, options.open(false));
  FT_TRY(const auto boots, store.begin_boot());
  Json list = Json::array();
  for (const auto& boot : boots) {
    const StoredAdapter& row = boot.adapter;
    list.push_back({{"name", row.name},
                    {"version", row.version},
                    {"boots", boot.boots},
                    {"most", boot.most},
                    {"rolled_back", boot.rolled_back}});
    if (options.json) continue;
    if (boot.rolled_back)
      fmt::print("{}@{} was rolled back after {} starts without confirmation\n",
                 row.name, row.version, boot.most);
    else
      fmt::print("{}@{} is on trial, start {} of {}\n", row.name, row.version,
                 boot.boots, boot.most);
  }
  if (options.json)
    print_result({{"store", options.folder}, {"trials", list}}, true);
  return ok_status();
}

struct Verify : StoreOptions {
  bool repair = false;

  void add_to(CLI::App& app) {
    StoreOptions::add_to(app);
    app.add_flag("--repair", repair,
                 "remove files that an interrupted change left behind");
  }
};

Status run_verify(const Verify& options) {
  FT_TRY(auto store, options.open(!options.repair));
  FT_TRY(const auto info, store.info());
  FT_TRY(const auto problems, store.verify(options.repair));
  Json list = Json::array();
  size_t left = 0;
  for (const auto& problem : problems) {
    list.push_back({{"problem", problem.what},
                    {"adapters", problem.of},
                    {"repaired", problem.repaired}});
    left += !problem.repaired;
  }
  if (options.json)
    print_result({{"store", options.folder},
                  {"versions", info.adapters},
                  {"problems", list}},
                 true);
  for (const auto& problem : problems)
    if (!options.json)
      fmt::print("{}{}\n", problem.what, problem.repaired ? " (removed)" : "");
  if (left > 0)
    return invalid_input(fmt::format("store '{}' has {} problem{}",
                                     options.folder, left,
                                     left == 1 ? "" : "s"));
  if (!options.json)
    fmt::print("{} versions, each as it was stored\n", info.adapters);
  return ok_status();
}

struct Collect : StoreOptions {
  int64_t keep = -1;
  std::string max_bytes;
  bool dry_run = false;

  void add_to(CLI::App& app) {
    StoreOptions::add_to(app);
    app.add_option("--keep", keep, "versions of a name to keep, the newest")
        ->check(whole_number(int64_t{0}, INT64_MAX));
    app.add_option("--max-bytes", max_bytes,
                   "of all adapter files, e.g. 64M: the least recently used go "
                   "first");
    app.add_flag("--dry-run", dry_run, "only say what would go");
  }
};

Status run_collect(const Collect& options) {
  fieldtune::StoreCollect collect{.keep = options.keep,
                                  .dry_run = options.dry_run};
  if (!options.max_bytes.empty()) {
    FT_TRY(const size_t bytes, parse_bytes(options.max_bytes));
    collect.max_bytes = static_cast<int64_t>(bytes);
  }
  FT_TRY(auto store, options.open(options.dry_run));
  FT_TRY(const auto collected, store.collect(collect));
  Json list = Json::array();
  for (const StoredAdapter& row : collected.adapters)
    list.push_back(options.json ? fields_of(row) : short_fields(row));
  print_result({{"store", options.folder},
                {"dry_run", options.dry_run},
                {"freed_bytes", collected.freed_bytes},
                {"kept_bytes", collected.kept_bytes},
                {"leftovers", collected.leftovers},
                {"collected", list}},
               options.json);
  return ok_status();
}

struct Export : OfAdapter {
  std::string out;

  void add_to(CLI::App& app) {
    OfAdapter::add_to(app);
    app.add_option("--out,-o", out, "file to write")->required();
  }
};

Status run_export(const Export& options) {
  FT_TRY(auto store, options.open(true));
  FT_TRY(const StoredAdapter row, find(store, options.spec));
  FT_TRY(const auto file, store.load(row));
  FT_TRY_STATUS(write_file_atomically(options.out, file.bytes()));
  print_result({{"out", options.out},
                {"name", row.name},
                {"version", row.version},
                {"adapter_bytes", row.bytes},
                {"adapter_sha256", row.sha256}},
               options.json);
  return ok_status();
}

}  // namespace

void add_store(CLI::App& app, Action& action) {
  CLI::App* store =
      app.add_subcommand("store",
                         "Keep the adapters of this device: versions, "
                         "which of them is in use, and the way back");
  store->require_subcommand(1);
  store->footer(
      "Example:\n"
      "  fieldtune store init adapters --model kws.tflite\n"
      "  fieldtune store add adapters me.safetensors --name me\n"
      "  fieldtune store use adapters me\n"
      "  fieldtune store use adapters me --confirm");
  add_command<Init>(*store, action, "init", "Make an empty store",
                    "fieldtune store init adapters --model kws.tflite\n"
                    "  head -c 32 /dev/urandom > key && chmod 600 key && "
                    "fieldtune store init secret --encrypt --key-file key",
                    run_init);
  add_command<Add>(*store, action, "add", "Store an adapter file, staged",
                   "fieldtune store add adapters me.safetensors --name me\n  "
                   "fieldtune store add adapters --delta me-2.delta",
                   run_add);
  add_command<List>(*store, action, "list", "List names and versions",
                    "fieldtune store list adapters me", run_list);
  add_command<Show>(*store, action, "show",
                    "Show all that is known of a version (NAME: of the active "
                    "one), and what it was trained from",
                    "fieldtune store show adapters me@2", run_show);
  add_command<Verify>(*store, action, "verify",
                      "Read every file and compare it with the index",
                      "fieldtune store verify adapters --repair", run_verify);
  add_command<Use>(*store, action, "use",
                   "Put a version on trial (NAME: the highest staged one), or "
                   "confirm the one that is",
                   "fieldtune store use adapters me@2 && fieldtune store use "
                   "adapters me --confirm",
                   run_use);
  add_command<Rollback>(*store, action, "rollback",
                        "End a trial, or go back to what was confirmed before",
                        "fieldtune store rollback adapters me", run_rollback);
  add_command<Boot>(*store, action, "boot",
                    "Count a start of every trial of 'use --boots N'; the one "
                    "after N rolls it back",
                    "fieldtune store use adapters me@2 --boots 3\n  fieldtune "
                    "store boot adapters    # before the adapters are served",
                    run_boot);
  add_command<Collect>(*store, action, "gc",
                       "Remove old versions and what a crash left; confirmed "
                       "ones, those before them, trials and pinned ones stay",
                       "fieldtune store gc adapters --keep 3 --dry-run",
                       run_collect);
  add_command<Export>(*store, action, "export",
                      "Write a version (NAME: the active one) to a file",
                      "fieldtune store export adapters me@2 -o me.safetensors",
                      run_export);
}

}  // namespace ft::cli
