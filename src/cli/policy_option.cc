#include "cli/policy_option.h"

namespace ft::cli {

void PolicyOption::add_to(CLI::App& app) {
  app.add_option("--policy", path,
                 "whose adapters are taken: a file of 'fieldtune keys'; others "
                 "are refused")
      ->type_name("FILE")
      ->envname("FIELDTUNE_POLICY");
}

Result<LoadRules> PolicyOption::rules() const { return rules_of_policy(path); }

}  // namespace ft::cli
