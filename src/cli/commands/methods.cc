// fieldtune methods: the PEFT methods and their settings, from the one table.
#include <fmt/format.h>

#include "cli/commands/commands.h"
#include "cli/output.h"
#include "methods/method.h"

namespace ft::cli {
namespace {

struct Options {
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Json settings_of(const MethodDef& method) {
  Json list = Json::array();
  if (method.default_rank > 0) {
    list.push_back({{"name", "r"},
                    {"preset", fmt::format("{}", method.default_rank)},
                    {"summary", "rank (--rank, --rank-pattern)"}});
    list.push_back({{"name", "lora_alpha"},
                    {"preset", "2 r"},
                    {"summary", "scale (--alpha, --alpha-pattern)"}});
  }
  for (const SettingDef* s : method.settings)
    list.push_back(
        {{"name", s->name}, {"preset", s->preset}, {"summary", s->summary}});
  return list;
}

Status run(const Options& options) {
  Json methods = Json::array();
  for (const MethodDef* m : all_methods())
    methods.push_back({{"name", m->name},
                       {"summary", m->summary},
                       {"merges", m->merge != nullptr},
                       {"settings", settings_of(*m)}});
  if (options.json) {
    print_result({{"methods", methods}}, true);
    return ok_status();
  }
  for (const Json& m : methods) {
    fmt::print("{:<14}{}{}\n", m["name"].get<std::string>(),
               m["summary"].get<std::string>(),
               m["merges"].get<bool>() ? "" : " (cannot be merged)");
    for (const Json& s : m["settings"])
      fmt::print("    {:<22}{} [{}]\n", s["name"].get<std::string>(),
                 s["summary"].get<std::string>(),
                 s["preset"].get<std::string>());
  }
  return ok_status();
}

}  // namespace

void add_methods(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "methods",
                       "List the PEFT methods and their settings",
                       "fieldtune methods", run);
}

}  // namespace ft::cli
