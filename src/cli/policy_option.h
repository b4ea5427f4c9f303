// --policy: what every subcommand that reads adapters asks of their files.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "adapters/trust/load_checks.h"
#include "base/result.h"

namespace ft::cli {

struct PolicyOption {
  std::string path;
  void add_to(CLI::App& app);
  // What the policy asks for; nothing where none was given.
  Result<LoadRules> rules() const;
};

}  // namespace ft::cli
