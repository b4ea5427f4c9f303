// The user's data from the command line: options, loading, splitting, and the
// record of it in an adapter so that later commands need not repeat it.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "adapters/adapter_file.h"
#include "base/result.h"
#include "data/augment.h"
#include "data/dataset.h"
#include "data/split.h"
#include "train/base_model.h"
#include "train/samples.h"

namespace ft::cli {

struct DataFlags {
  std::string path, label_from, labels, front_end;
  std::vector<std::string> class_names;  // order of the model's own classes
  size_t train_per_class = 0;
  std::string split;      // "80/20", in order for time series
  double validation = 0;  // part of the training samples
  std::string augment = "none";
  size_t threads = 1;
  std::string text;  // file of text, instead of `path`
  int stride = 0;    // tokens between two windows; 0: as many as one has

  // Where the data is and how to read it.
  void add_source_to(CLI::App& app);
  // Which of it is for training and which for evaluation.
  void add_split_to(CLI::App& app);
  // The same and all else about how training uses it.
  void add_training_to(CLI::App& app);
};

// Loaded data with its parts. `samples` views `set`, so this does not move.
struct LoadedData {
  Dataset set;
  Split split;
  AugmentConfig augment;
  std::vector<AugmentedFeatures> augmented;  // one, or none
  Samples samples;

  LoadedData() = default;
  LoadedData(const LoadedData&) = delete;
  LoadedData& operator=(const LoadedData&) = delete;
};

// How text becomes tokens; a model without a tokenizer reads token ids only.
struct TextReader {
  const Tokenizer* tokenizer = nullptr;
  int seq_len = 0;
  int64_t vocab_size = 0;

  explicit TextReader(const BaseModel& model);
};

// For training. Without a split option everything trains and is evaluated,
// which the caller should say. `reader` (of --text) may be null. `start` is the
// metadata of an adapter to go on from: its front end and the order of its
// classes hold where no flag says another.
Result<std::unique_ptr<LoadedData>> load_training_data(
    const DataFlags& flags, uint64_t seed, const TextReader* reader = nullptr,
    const Metadata& start = {});

// What the adapter's metadata records, or "".
std::string recorded(const Metadata& metadata, const char* key);

// For evaluation: flags first, then what the adapter's metadata records. The
// test part of the recorded split if the data is the one that was trained on,
// else all samples.
struct EvaluationData {
  std::unique_ptr<LoadedData> data;
  std::vector<size_t> indices;
  std::string part;  // "test" or "all"
};
Result<EvaluationData> load_evaluation_data(const DataFlags& flags,
                                            const Metadata& metadata,
                                            const TextReader* reader = nullptr);

// What load_evaluation_data() reads back.
void record_data(const DataFlags& flags, const LoadedData& data, uint64_t seed,
                 Metadata& metadata);

std::vector<size_t> to_indices(const std::vector<uint32_t>& part);

}  // namespace ft::cli
