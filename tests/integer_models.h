// What the tests of integer training share: their models and methods.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "methods/method.h"
#include "tests/real_inputs.h"

// A name for what sanitizers, which are slow, have nothing to say about.
#ifdef FT_SANITIZED
#define FT_SKIP_SANITIZED() GTEST_SKIP() << "no memory is in question here"
#else
#define FT_SKIP_SANITIZED() (void)0
#endif

namespace ft {

inline MethodSettings settings_of(const std::string& method, int num_classes) {
  MethodSettings settings;
  settings.method = method;
  if (method == "parallel") {  // a bottleneck's variant
    settings.method = "bottleneck";
    settings.own["variant"] = method;
  }
  if (method == "lora biases") {
    settings.method = "lora";
    settings.own["bias"] = "all";
  }
  if (method == "dora") {
    settings.method = "lora";
    settings.own["use_dora"] = "true";
  }
  if (method.starts_with("sparse")) {
    settings.method = "sparse";
    settings.own["density"] = "0.1";
    if (method == "sparse channels") settings.own["granularity"] = "channel";
  }
  settings.r = 4;
  settings.num_classes = num_classes;
  return settings;
}

inline std::string model_path(const std::string& name) {
  if (name == "demo") return FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";
  return shared_path("models/mlperf_tiny/" + name + ".tflite");
}

}  // namespace ft
