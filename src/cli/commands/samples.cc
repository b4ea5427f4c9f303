// fieldtune samples: what the service was given to learn from and keeps.
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/output.h"
#include "service/sample_file.h"

namespace ft::cli {
namespace {

struct Samples {
  std::string work;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("work", work, "folder of trainings ('serve --work')")
        ->required();
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status run_list(const Samples& options) {
  FT_TRY(const auto kept, service::list_samples(options.work));
  Json list = Json::array();
  for (const service::KeptSamples& k : kept) {
    Json row = {{"adapter", k.adapter},   {"samples", k.samples},
                {"features", k.features}, {"classes", k.classes},
                {"file_bytes", k.bytes},  {"encrypted", k.is_encrypted},
                {"problem", k.problem}};
    if (!options.json && k.problem.empty()) row.erase("problem");
    list.push_back(std::move(row));
  }
  print_result({{"work", options.work}, {"kept", list}}, options.json);
  return ok_status();
}

struct Delete : Samples {
  std::string adapter;

  void add_to(CLI::App& app) {
    Samples::add_to(app);
    app.add_option("adapter", adapter, "whose training has them")->required();
  }
};

Status run_delete(const Delete& options) {
  FT_TRY_STATUS(service::delete_samples(options.work, options.adapter));
  if (options.json)
    print_result({{"work", options.work}, {"deleted", options.adapter}}, true);
  else
    fmt::print("samples of '{}' are deleted\n", options.adapter);
  return ok_status();
}

}  // namespace

void add_samples(CLI::App& app, Action& action) {
  CLI::App* samples = app.add_subcommand(
      "samples", "List and delete samples that 'serve' keeps to learn from");
  samples->require_subcommand(1);
  samples->footer(
      "Example:\n"
      "  fieldtune samples list /var/lib/kws/work\n"
      "  fieldtune samples delete /var/lib/kws/work me");
  add_command<Samples>(
      *samples, action, "list", "List whose samples there are and how many",
      "fieldtune samples list /var/lib/kws/work --json", run_list);
  add_command<Delete>(*samples, action, "delete",
                      "Delete the samples of one adapter's training, damaged "
                      "or not; it must not run",
                      "fieldtune samples delete /var/lib/kws/work me",
                      run_delete);
}

}  // namespace ft::cli
