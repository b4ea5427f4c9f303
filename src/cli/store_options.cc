#include "cli/store_options.h"

#include <fmt/format.h>

#include <charconv>
#include <climits>
#include <ctime>

#include "cli/whole_number.h"

namespace ft::cli {

using fieldtune::AdapterStore;

void StoreOptions::add_to(CLI::App& app) {
  app.add_option("store", folder, "folder of the store")->required();
  app.add_option("--key-file", key.file,
                 "32 bytes that only you may read: the key of an encrypted "
                 "store");
  app.add_option("--keyring", key.keyring,
                 "the key is in the kernel's keyrings, of type 'user' and "
                 "this name");
  app.add_option("--wait", busy_ms, "milliseconds to wait for another writer")
      ->check(whole_number(0, INT_MAX))
      ->capture_default_str();
  app.add_flag("--json", json, "one JSON object on stdout");
}

Result<AdapterStore> StoreOptions::open(bool read_only) const {
  FT_TRY(auto store,
         AdapterStore::open(
             folder, {.read_only = read_only, .busy_ms = busy_ms, .key = key}));
  FT_TRY(const auto info, store.info());
  if (info.clock_behind_seconds > 0)
    warn(
        fmt::format("the clock is {} s behind a time that store '{}' has "
                    "seen; times shown may be wrong, the order of versions "
                    "is not",
                    info.clock_behind_seconds, folder));
  return store;
}

Result<VersionSpec> parse_spec(const std::string& text) {
  const size_t at = text.find('@');
  VersionSpec spec{.name = text.substr(0, at)};
  if (at == std::string::npos) return spec;
  const char *begin = text.data() + at + 1, *end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, spec.version);
  const bool is_number = error == std::errc() && stop == end && *begin != '0';
  if (is_number && spec.version > 0) return spec;
  return usage_error("'" + text + "' is not NAME or NAME@VERSION");
}

Json time_or_null(int64_t seconds) {
  if (seconds == 0) return {};
  const std::time_t time = seconds;
  std::tm utc{};
  char text[32] = "";
  if (gmtime_r(&time, &utc) != nullptr)
    std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

}  // namespace ft::cli
