// What subcommands on an adapter store share: its options, names of versions,
// and how rows are shown.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/output.h"
#include "fieldtune/adapter_store.h"

namespace ft::cli {

struct StoreOptions {
  std::string folder;
  fieldtune::StoreKey key;
  int busy_ms = 5000;
  bool json = false;

  void add_to(CLI::App& app);
  // A clock that went back is told; nothing depends on it.
  Result<fieldtune::AdapterStore> open(bool read_only) const;
};

struct VersionSpec {
  std::string name;
  int64_t version = 0;  // 0: not given
};

// "me" or "me@3".
Result<VersionSpec> parse_spec(const std::string& text);

// "2026-11-22T17:00:00Z"; null for 0.
Json time_or_null(int64_t seconds);

}  // namespace ft::cli
