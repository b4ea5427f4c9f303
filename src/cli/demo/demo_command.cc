// fieldtune demo: the flags of demo.h.
#include <cstdio>

#include "cli/commands/commands.h"
#include "cli/demo/demo.h"
#include "cli/progress.h"

namespace ft::cli {
namespace {

struct Options {
  DemoOptions demo;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("--report", demo.report, "page to write (.html)")
        ->capture_default_str();
    app.add_option("--keep", demo.folder,
                   "keep recordings, adapter and merged model in this folder");
    app.add_option("--model", demo.model,
                   "base model (default: examples/demo/keyword_base.tflite)");
    app.add_option("--epochs", demo.epochs, "passes over the recordings")
        ->capture_default_str()
        ->check(CLI::Range(1, 1000));
    app.add_option("--seed", demo.seed, "of everything random")
        ->capture_default_str();
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Status run(const Options& options) {
  catch_interrupts();
  FT_TRY(const DemoOutcome outcome, run_demo(options.demo));
  if (options.json) {
    print_result(outcome.fields, true);
    return ok_status();
  }
  std::printf("%s\n  Pictures: %s\n", print_table(outcome.figures).c_str(),
              options.demo.report.c_str());
  return ok_status();
}

}  // namespace

void add_demo(CLI::App& app, Action& action) {
  add_command<Options>(
      app, action, "demo",
      "Adapt a keyword model to a synthetic speaker; needs no data",
      "fieldtune demo --keep demo_files", run);
}

}  // namespace ft::cli
