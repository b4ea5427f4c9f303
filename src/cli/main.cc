// The fieldtune command: parses the command line, runs one subcommand, and
// turns its Status into one sentence on stderr and an exit code.
#include <sodium.h>

#include <cstdio>

#include "base/plain_text.h"
#include "cli/commands/commands.h"

namespace {

int run(int argc, char** argv) {
  using namespace ft::cli;
  CLI::App app{
      "Fine-tunes a model on the device that uses it.\n"
      "Exit codes: 0 ok, 2 usage, 3 bad input file, 4 does not fit the "
      "budget, 5 device or I/O, 1 our bug.",
      "fieldtune"};
  app.set_version_flag("--version", FT_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  Action action;
  add_inspect(app, action);
  add_methods(app, action);
  add_plan(app, action);
  add_train(app, action);
  add_eval(app, action);
  add_merge(app, action);
  add_export(app, action);
  add_delta(app, action);
  add_keygen(app, action);
  add_keys(app, action);
  add_sign(app, action);
  add_verify(app, action);
  add_quantize(app, action);
  add_sensitivity(app, action);
  add_compile(app, action);
  add_run(app, action);
  add_bench(app, action);
  add_store(app, action);
  add_serve(app, action);
  add_samples(app, action);
  add_ab(app, action);
  add_demo(app, action);
  const auto known = [&](const char* name) {
    for (const CLI::App* sub : app.get_subcommands({}))
      if (sub->get_name() == name) return true;
    return false;
  };
  if (argc > 1 && argv[1][0] != '-' && !known(argv[1])) {
    std::fprintf(stderr,
                 "fieldtune: no subcommand '%s'; 'fieldtune --help' lists "
                 "them\n",
                 argv[1]);
    return ft::exit_code(ft::Code::kUsage);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {  // CLI11 reports by exception
    return app.exit(error) == 0 ? 0 : ft::exit_code(ft::Code::kUsage);
  }
  const ft::Status status = action();
  // A hostile file's names are none of a terminal's commands.
  if (!status.ok())
    std::fprintf(stderr, "fieldtune: %s\n",
                 ft::printable(status.message()).c_str());
  return ft::exit_code(status.code());
}

}  // namespace

int main(int argc, char** argv) {
  if (sodium_init() < 0) {
    std::fprintf(stderr, "fieldtune: libsodium cannot start\n");
    return ft::exit_code(ft::Code::kIo);
  }
  return run(argc, argv);
}
