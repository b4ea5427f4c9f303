// Prints a compiled model as a folder of C99 that stands alone: inference, and
// training if there is a training program, for a device without an operating
// system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/schedule/schedule.h"
#include "plan/program.h"

namespace ft::codegen {

struct DeviceModel {
  const Program* infer = nullptr;
  const Program* train = nullptr;  // nullptr: inference only
  // Of the training program: what the optimizer is told, and where integer
  // training's random numbers come from.
  ft_schedule schedule = {};
  uint64_t seed = 0;
  bool integer = false;
  // Inference may come between any two slices of a training step.
  bool sliced = false;
  std::string title = {};        // "kws.tflite with lora for cortex-m4"
  std::string base_sha256 = {};  // of the model's file
  std::string c_flags = {};      // of the target's compiler
};

struct OutputFile {
  std::string path;  // below the folder
  std::string text;
};

// Bytes that the printed code has. RAM without the stack, which its compiler
// knows.
struct DeviceSizes {
  size_t arena_bytes = 0, persistent_bytes = 0, scratch_bytes = 0;
  size_t adapter_bytes = 0;   // parameters, the first part of persistent
  size_t constant_bytes = 0;  // weights in flash; code comes on top
};

struct PrintedModel {
  std::vector<OutputFile> files;
  DeviceSizes sizes;
};

// Fails with kInternal only: whatever can be planned can be printed.
Result<PrintedModel> print_device_model(const DeviceModel& model);

}  // namespace ft::codegen
