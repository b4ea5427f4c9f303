// Cuts time series into windows: a history to look at, a horizon to foretell.
//
// A series is a matrix [rows, columns] in time order: a CSV file, or one
// recording of a sensor. Window w covers rows w * stride and following; its
// features are [history, inputs], its targets the next [horizon, targets].
// With horizon 0 the target is the window itself (an autoencoder).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace ft {

struct Series {
  std::string name;                  // of the file, for messages
  std::vector<std::string> columns;  // names; sizes the rows
  std::vector<float> values;         // [rows, columns]

  size_t rows() const { return values.size() / columns.size(); }
};

struct WindowConfig {
  int32_t history = 0;
  int32_t horizon = 0;
  int32_t stride = 1;
  std::vector<std::string> columns;  // inputs; empty: all
  std::vector<std::string> targets;  // empty: the inputs
  bool standardize = true;           // (x - mean) / sd of the training rows
  // Statistics of `columns`, then of `targets`; empty until they are measured.
  std::vector<float> mean, sd;
};

// One clause about what is wrong with the settings alone, or nothing.
std::string window_config_error(const WindowConfig& config);

size_t window_count(const WindowConfig& config, size_t rows);

// Rows that the first `windows` windows look at or foretell.
size_t rows_of_windows(const WindowConfig& config, size_t windows);

// Names the columns where the settings left them open, checks that every
// series has them, and measures mean and sd over the rows of the first
// `train_fraction` of each series' windows, unless the settings hold them.
Status complete_windows(std::span<const Series> series, double train_fraction,
                        WindowConfig& config);

// Appends the windows of one series; `config` is complete.
Status append_windows(const Series& series, const WindowConfig& config,
                      std::vector<float>& features,
                      std::vector<float>& targets);

}  // namespace ft
