// Samples of a user's data as real-valued model inputs, with labels or targets.
//
// One loader for: audio or signal files in class folders (<class>/*.wav), files
// whose names hold the label, NPY arrays and CSV tables. Order is by name,
// classes sorted, so the file system's order has no influence; nor has the
// thread count. Not for splitting (split.h) or quantizing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "data/front_end.h"

namespace ft {

struct DataOptions {
  // A folder, an .npy array or a .csv table:
  // - audio front end: folder of <class>/<files>, or files with `label_from`
  // - array front end: one .npy with the samples in its first axis, or a folder
  //   with labels.npy and one other .npy
  // - windows front end: .csv, .npy [rows] or [rows, columns], or a folder of
  //   such .npy recordings with classes as for audio
  std::string path;
  std::string label_from;   // LabelPattern; empty: the folder is the class
  std::string labels_path;  // .npy of integers, for one .npy of samples
  FrontEnd front_end;
  double train_fraction =
      1;  // leading part whose mean and sd normalize windows
  size_t threads = 1;
  bool keep_audio = false;           // Dataset::audio, for augmentation
  size_t min_samples_per_class = 2;  // 1 where nothing is trained
};

struct Dataset {
  std::vector<float> features;  // [samples, feature_size]
  size_t feature_size = 0;
  std::vector<int64_t> feature_shape;  // of one sample
  std::vector<int> labels;  // [samples, label_size]; empty: targets instead
  size_t label_size = 1;    // more: one for each token of a sequence
  std::vector<std::string> classes;  // labels index it
  std::vector<std::string> sample_names;
  std::vector<float> targets;  // [samples, target_size]; empty with labels
  size_t target_size = 0;
  // At the front end's rate; empty unless kept.
  std::vector<std::vector<float>> audio;
  // Completed: with the columns and statistics of the windows. This is the one
  // to store in the adapter.
  FrontEnd front_end;

  size_t size() const { return sample_names.size(); }
  std::span<const float> feature(size_t sample) const {
    return {features.data() + sample * feature_size, feature_size};
  }
  std::span<const float> target(size_t sample) const {
    return {targets.data() + sample * target_size, target_size};
  }
};

Result<Dataset> load_dataset(const DataOptions& options);

// Renumbers the labels to another class order, such as a model's or an
// adapter's. Fails, naming it, on a class that `classes` does not hold.
Status relabel(Dataset& data, std::span<const std::string> classes);

}  // namespace ft
