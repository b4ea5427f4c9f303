// `fieldtune demo`: the main job end to end, without any data of the user's.
//
// Synthesizes recordings of one new speaker (speech.h), asks the base model,
// adapts it with LoRA, merges the adapter, asks again, and writes a page.
#pragma once

#include <string>

#include "base/result.h"
#include "cli/demo/figures.h"
#include "cli/output.h"

namespace ft::cli {

struct DemoOptions {
  std::string model;   // default: examples/demo/keyword_base.tflite
  std::string folder;  // keeps recordings, adapter, merged model; empty: no
  std::string report = "demo_report.html";
  int epochs = 30;
  uint64_t seed = 1;
  bool quiet = false;
};

struct DemoOutcome {
  DemoFigures figures;
  Json fields;  // what `demo --json` prints
};

Result<DemoOutcome> run_demo(const DemoOptions& options);

}  // namespace ft::cli
