// Prints a compiled model as a folder of C99 that stands alone: inference, and
// training if there is a training program, for a device without an operating
// system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "codegen/audio_front_end.h"
#include "codegen/output_file.h"
#include "codegen/slices.h"
#include "codegen/store.h"
#include "kernels/schedule/schedule.h"
#include "plan/program.h"
#include "plan/target.h"

namespace ft::codegen {

struct DeviceModel {
  const Program* infer = nullptr;
  const Program* train = nullptr;  // nullptr: inference only
  // What frozen layers answer to a sample, if `train` reads that instead.
  const Program* features = nullptr;
  // Of the training program: what the optimizer is told, and where integer
  // training's random numbers come from.
  ft_schedule schedule = {};
  uint64_t seed = 0;
  bool integer = false;
  // Inference may come between any two slices of a training step, none longer
  // than `slice` where calls can be divided so finely (codegen/slices.h).
  bool sliced = false;
  int64_t slice = 0;
  // That the plan's energy budget pays for; 0: any number.
  int64_t steps_per_day = 0;
  std::optional<AudioFrontEnd> front_end = {};  // in front of the input
  std::string title = {};        // "kws.tflite with lora for cortex-m4"
  std::string base_sha256 = {};  // of the model's file
  Target target = {};            // without a name: any C99 compiler
  StoreSettings store = {};      // adapters in flash

  std::vector<const Program*> programs() const {
    std::vector<const Program*> all;
    for (const Program* program : {infer, train, features})
      if (program != nullptr) all.push_back(program);
    return all;
  }
};

// Bytes that the printed code has. What depends on the device's compiler is
// known for the architectures of targets/kernel_sizes.txt, and 0 for others.
struct DeviceSizes {
  size_t arena_bytes = 0, persistent_bytes = 0, scratch_bytes = 0;
  size_t adapter_bytes = 0;    // parameters, the first part of persistent
  size_t model_bytes = 0;      // of ft_model, which holds all of that
  size_t front_end_bytes = 0;  // of ft_frontend
  size_t stack_bytes = 0;      // of the deepest call of a function
  size_t constant_bytes = 0;   // weights in flash
  size_t code_bytes = 0;       // about
  size_t store_bytes = 0;      // of flash, for adapters and training states

  // The one number: inputs and outputs lie in the arena.
  size_t ram_bytes() const {
    return model_bytes + front_end_bytes + stack_bytes;
  }
  size_t flash_bytes() const {
    return constant_bytes + code_bytes + store_bytes;
  }
};

struct PrintedModel {
  std::vector<OutputFile> files;
  DeviceSizes sizes;
  std::optional<Slices> slices = {};  // of a training step
};

// kDoesNotFit where the target has too little memory, kUsage for a front end
// that does not fit the model; whatever else can be planned can be printed.
Result<PrintedModel> print_device_model(const DeviceModel& model);

}  // namespace ft::codegen
