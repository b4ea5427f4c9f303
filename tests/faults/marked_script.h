// What scripts share that change things under the recorder and leave marks
// which say what states are allowed (marked_run.h): a script derives from
// MarkedScript, has live(), and its main() is run_script<Script>().
//
//   script FOLDER [KEY_FILE]
//
// With the key what it keeps is encrypted. Exits with 1 and a sentence where a
// promise is broken; that calls fail is none.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <functional>
#include <string>

#include "base/result.h"
#include "fieldtune/adapter_store.h"
#include "tests/faults/record.h"

namespace ft::faults {

struct MarkedScript {
  std::string folder;
  fieldtune::StoreKey key;
  MarkFunction mark = nullptr;
  int failures = 0, broken = 0;

  void say(const std::string& text) const {
    if (mark != nullptr) mark(text.c_str());
  }

  // Makes a change that leads to `state`, between its marks.
  Status attempt(const std::string& state,
                 const std::function<Status()>& make) {
    say("try" + state);
    Status status = make();
    say(status.ok() ? "ok" : "failed");
    if (!status.ok()) ++failures;
    return status;
  }

  void complain(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    ++broken;
  }
};

template <class Script>
int run_script(int argc, char** argv) {
  if (argc != 2 && argc != 3) return 2;
  Script script;
  script.folder = argv[1];
  if (argc == 3) script.key.file = argv[2];
  script.mark =
      reinterpret_cast<MarkFunction>(dlsym(RTLD_DEFAULT, kMarkFunction));
  script.live();
  std::printf("%d failures\n", script.failures);
  return script.broken > 0 ? 1 : 0;
}

}  // namespace ft::faults
