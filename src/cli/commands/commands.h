// The subcommands. Each adds itself to the command line and, if it is the one
// that was asked for, leaves what to do in `action`.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

#include "base/result.h"

namespace ft::cli {

using Action = std::function<Status()>;

void add_inspect(CLI::App& app, Action& action);
void add_plan(CLI::App& app, Action& action);
void add_train(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
void add_merge(CLI::App& app, Action& action);
void add_export(CLI::App& app, Action& action);
void add_keygen(CLI::App& app, Action& action);
void add_keys(CLI::App& app, Action& action);
void add_sign(CLI::App& app, Action& action);
void add_verify(CLI::App& app, Action& action);
void add_methods(CLI::App& app, Action& action);
void add_quantize(CLI::App& app, Action& action);
void add_sensitivity(CLI::App& app, Action& action);
void add_compile(CLI::App& app, Action& action);
void add_run(CLI::App& app, Action& action);
void add_bench(CLI::App& app, Action& action);
void add_ab(CLI::App& app, Action& action);
void add_store(CLI::App& app, Action& action);
void add_samples(CLI::App& app, Action& action);
void add_serve(CLI::App& app, Action& action);
void add_demo(CLI::App& app, Action& action);
void add_delta(CLI::App& app, Action& action);

// Makes a subcommand whose options live as long as the command line.
template <class Options>
std::shared_ptr<Options> add_command(CLI::App& app, Action& action,
                                     const char* name, const char* summary,
                                     const char* example,
                                     Status (*run)(const Options&)) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand(name, summary);
  sub->footer(std::string("Example:\n  ") + example);
  options->add_to(*sub);
  sub->callback([&action, options, run] {
    action = [options, run] { return run(*options); };
  });
  return options;
}

}  // namespace ft::cli
