// One base model, many adapters: inference on a device where adapters come, are
// swapped and go while it runs.
//
//   FT_TRY(auto runtime, fieldtune::Runtime::open(
//       "kws.tflite", {.adapter_budget_bytes = 4 << 20}));
//   FT_TRY_STATUS(runtime.add("kitchen", "kitchen.safetensors"));
//   FT_TRY_STATUS(runtime.add("garage", "garage.safetensors"));
//   FT_TRY_STATUS(runtime.set_active("kitchen"));     // loads it
//   FT_TRY_STATUS(runtime.run(features, answer));     // kitchen's answer
//   FT_TRY_STATUS(runtime.prefetch("garage"));        // in the background
//   FT_TRY_STATUS(runtime.set_active("garage"));      // a swap: microseconds
//   FT_TRY_STATUS(runtime.run(features, answer));     // garage's answer
//   FT_TRY_STATUS(runtime.run_with("kitchen", features, answer));
//   FT_TRY_STATUS(runtime.compose("both", {{"kitchen", 0.5}, {"garage",
//   0.5}})); FT_TRY_STATUS(runtime.merge("kitchen for long", "kitchen"));
//
// Adapters are files (fieldtune's own, see adapter files in ARCHITECTURE.md);
// one is read, checked and turned into a block of parameters when it is first
// asked for, and evicted when others are worth more. The budget counts these
// blocks, models that merge() makes, and files while they are read, to the
// byte. What is pinned, active or in use by a run is never evicted, and a swap
// never frees what a run still uses.
//
// All functions may be called by any number of threads at once. An answer comes
// from one adapter as a whole: the one that was named, or that was active when
// the run began. It has the bits that Model::run() with this adapter has, or
// with adapter_mode "int8" those of `fieldtune eval --adapter-mode int8`.
// Everything that can fail returns a Status with one sentence and has then
// changed nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fieldtune/adapter_store.h"
#include "fieldtune/fieldtune.h"

namespace fieldtune {

struct RuntimeOptions {
  size_t adapter_budget_bytes = SIZE_MAX;
  bool exact = false;       // as in ModelOptions
  int sequence_length = 0;  // as in ModelOptions
  std::string policy = {};  // as in ModelOptions
  // Beside int8 layers adapters compute as they were trained ("side"), or in
  // integers of their own ("int8"): much faster, LoRA only, with answers near
  // those of "side" that have the bits of a device's. As --adapter-mode.
  std::string adapter_mode = "side";
};

// An adapter by its name, and the factor of what it adds.
struct NamedAdapter {
  std::string name;
  double weight = 1;
};

// Asked with the bytes that are about to be taken; fails where they do not fit.
using AdapterRoom = std::function<Status(size_t bytes)>;

// An adapter file that its owner has brought into memory.
struct OpenedAdapter {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner = nullptr;  // of the bytes
  std::string origin = {};                      // for errors
  std::string sha256 = {};  // of the bytes, where it is known and unchecked
};
// Asks `room` for the file's bytes before it takes memory for them, and returns
// what that fails with; what it has not asked for is asked for afterwards.
using AdapterOpener =
    std::function<Result<OpenedAdapter>(const AdapterRoom& room)>;

// What an adapter takes of the budget; pins: how often it was pinned.
struct AdapterInMemory {
  std::string name;
  size_t bytes = 0;
  int pins = 0;
};

// One of several requests at once; "" is the base alone.
struct Request {
  std::string adapter;
  std::span<const float> features;
  std::vector<float>* answer = nullptr;
};

struct RuntimeStats {
  // Of the budget: held now, of it in the cache, and the budget itself.
  size_t adapter_bytes = 0, cached_bytes = 0, budget_bytes = 0;
  // Beside it: the mapped base; the programs of its shapes, with the graphs
  // they were made from and constants that are not in the file; and the
  // sessions' arenas.
  size_t base_file_bytes = 0, derived_bytes = 0, session_bytes = 0;
  size_t registered = 0, cached = 0, pinned = 0, shapes = 0;
  uint64_t hits = 0, misses = 0, evictions = 0, failed_loads = 0;
  uint64_t swaps = 0, failed_prefetches = 0;
  // Requests of run_batch(), and of them those that shared a run.
  uint64_t batch_requests = 0, batched = 0;
};

class Runtime {
 public:
  // The base alone is active. Fails as Model::open() does.
  static Result<Runtime> open(const std::string& model_path,
                              const RuntimeOptions& options = {});
  Runtime(Runtime&&) noexcept;
  Runtime& operator=(Runtime&&) noexcept;
  ~Runtime();

  // --- Names. Files are read when they are needed, not before. -----------

  // A name that exists stands for the new file from now on, also in
  // compositions and merged ones; runs under way, and the active adapter, keep
  // the old one. Its pins are gone with it. Fails with kUsage on "".
  Status add(const std::string& name, const std::string& path);
  // The same with a file that `open` brings, whenever it is loaded, on any
  // thread.
  Status add(const std::string& name, AdapterOpener open);
  // Every <name>.safetensors of the folder; their number.
  Result<size_t> add_folder(const std::string& folder);
  // Every adapter of a store (fieldtune/adapter_store.h) by its name; their
  // number. A name stands for the version that is active when it is loaded:
  // call it again after the store changed. "kitchen@3" stands for that version
  // of "kitchen", active or not, and needs no registration of its own. `key`:
  // of an encrypted store.
  Result<size_t> add_store(const std::string& folder, const StoreKey& key = {});
  // Several adapters as one, applied in order; each part is a name of add() or
  // add_folder(). As Model::open() with several AdapterUse: a weight of 0
  // leaves a part out.
  Status compose(const std::string& name, std::span<const NamedAdapter> parts);
  Status compose(const std::string& name,
                 std::initializer_list<NamedAdapter> parts) {
    return compose(name, std::span(parts.begin(), parts.size()));
  }
  // The adapter or composition `source` folded into the base's weights, under a
  // name of its own: a whole model of its own in memory, runs as fast as the
  // base. Equals `fieldtune merge`, bit for bit. .tflite models only.
  Status merge(const std::string& name, const std::string& source);
  // Compositions and merged ones of it stay, and fail from now on.
  Status remove(const std::string& name);
  std::vector<std::string> names() const;

  // --- Memory -------------------------------------------------------------

  // Loads it and keeps it until as many unpin(). Fails with kUsage on an
  // unknown name, kInvalidInput on a file that is malformed, of another base,
  // or does not fit its own settings, kDoesNotFit where the budget is too
  // small, kIo where it cannot be read.
  Status pin(const std::string& name);
  Status unpin(const std::string& name);
  // Takes it out of memory, pinned or not, as soon as no run uses it; the next
  // one that asks for it loads it anew.
  Status unload(const std::string& name);
  std::vector<AdapterInMemory> in_memory() const;  // by name
  // Loads it in the background; what fails there shows in stats() and at the
  // next use.
  Status prefetch(const std::string& name);
  // Returns when all that prefetch() asked for is done.
  void wait_for_prefetches();
  RuntimeStats stats() const;

  // --- Inference ----------------------------------------------------------

  // Loads the adapter as pin() does and publishes it: runs that begin from now
  // on use it. "": the base alone.
  Status set_active(const std::string& name);
  std::string active() const;
  // One sample of real numbers, as Model::run(). `answer` is resized; it
  // does not allocate where its capacity is large enough and no more runs are
  // under way than ever before.
  Status run(std::span<const float> features, std::vector<float>& answer);
  Status run_with(const std::string& name, std::span<const float> features,
                  std::vector<float>& answer);
  // Several requests, each with its own adapter. Of those with adapters of one
  // shape (method, ranks, layers, precision) up to eight share a run: what no
  // adapter changes is computed once over all of them. The bits of run_with()
  // for int8 models, and where RuntimeOptions::exact is set; else float answers
  // may differ in their last digits. Fails before anything is computed
  // where a request cannot be answered.
  Status run_batch(std::span<const Request> requests);
  // Equal ones answer alike: made of the values that `name` has now, which it
  // loads, and of the program that they are in. One that was compiled anew may
  // differ. Means nothing outside of this runtime.
  Result<std::string> fingerprint(const std::string& name);
  // Names of the answer's elements where the adapter records them; loads it.
  Result<std::vector<std::string>> classes(const std::string& name);

 private:
  struct Impl;
  explicit Runtime(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fieldtune
