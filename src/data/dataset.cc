#include "data/dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>

#include "base/file.h"
#include "data/csv.h"
#include "data/npy.h"
#include "data/parallel.h"
#include "data/sample_files.h"
#include "data/wav.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxClasses = 65536;

bool is_npy_name(std::string_view name) { return name.ends_with(".npy"); }

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

size_t product(std::span<const int64_t> shape) {
  return std::accumulate(
      shape.begin(), shape.end(), size_t{1},
      [](size_t n, int64_t d) { return n * static_cast<size_t>(d); });
}

// Fills one row of features, and the kept audio if it is asked for.
Status load_clip(const std::string& path, int sample_rate,
                 FeatureExtractor& extractor, std::span<float> features,
                 std::vector<float>* kept) {
  FT_TRY(const Audio audio, read_audio(path));
  auto samples = resample(audio, sample_rate);
  if (!samples.ok()) return Status(samples.status()).in(path);
  extractor.run(*samples, features);
  if (kept != nullptr) *kept = std::move(samples).value();
  return ok_status();
}

Result<Dataset> load_audio(const DataOptions& options) {
  FT_TRY(const SampleFiles found,
         find_sample_files(options.path, options.label_from, is_audio_name));
  Dataset data;
  data.front_end = options.front_end;
  data.classes = found.classes;
  data.feature_shape = audio_feature_shape(options.front_end);
  data.feature_size = product(data.feature_shape);
  data.features.resize(found.files.size() * data.feature_size);
  if (options.keep_audio) data.audio.resize(found.files.size());
  for (const SampleFile& file : found.files) {
    data.labels.push_back(found.label_of(file));
    data.sample_names.push_back(file.name);
  }
  const size_t threads = std::max<size_t>(options.threads, 1);
  std::vector<FeatureExtractor> extractors;
  for (size_t t = 0; t < threads; ++t)
    extractors.emplace_back(options.front_end);
  std::vector<Status> statuses(found.files.size());
  parallel_for(found.files.size(), threads, [&](size_t i, size_t worker) {
    const std::span<float> row(data.features.data() + i * data.feature_size,
                               data.feature_size);
    statuses[i] = load_clip(
        found.files[i].path, options.front_end.mfcc.sample_rate,
        extractors[worker], row, options.keep_audio ? &data.audio[i] : nullptr);
  });
  // The first error in name order, whichever thread met it.
  for (const Status& status : statuses) FT_TRY_STATUS(status);
  return data;
}

// Opens, parses and hands the view on while the mapping lives.
template <class Fn>
Status with_npy(const std::string& path, const Fn& fn) {
  FT_TRY(const MappedFile file, MappedFile::open(path));
  auto view = parse_npy(file.bytes());
  if (!view.ok()) return Status(view.status()).in("'" + path + "'");
  Status status = fn(*view);
  return status.ok() ? status : status.in("'" + path + "'");
}

// Label values are class numbers: 0 to the largest, whether all occur or not,
// so that a part of a data set keeps the numbers of the whole.
Status load_labels(const std::string& path, Dataset& data) {
  return with_npy(path, [&](const NpyView& view) -> Status {
    FT_TRY(const std::vector<int64_t> values, npy_integers(view));
    if (values.size() != data.size())
      return invalid_input(
          fmt::format("{} labels for {} samples", values.size(), data.size()));
    int64_t classes = 0;
    for (const int64_t v : values) {
      if (v < 0 || v >= kMaxClasses)
        return invalid_input(
            fmt::format("label {} is not in [0, {})", v, kMaxClasses));
      classes = std::max(classes, v + 1);
      data.labels.push_back(static_cast<int>(v));
    }
    for (int64_t c = 0; c < classes; ++c)
      data.classes.push_back(std::to_string(c));
    return ok_status();
  });
}

// The samples' array of a folder: the only .npy beside labels.npy.
Result<std::string> array_in_folder(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (is_npy_name(name) && name != "labels.npy")
      found.push_back(it->path().string());
  }
  if (error || found.size() != 1)
    return invalid_input(
        fmt::format("folder '{}' needs one array such as images.npy beside "
                    "labels.npy, found {} (recordings need an audio front "
                    "end, e.g. mlperf-kws)",
                    folder, found.size()));
  return found.front();
}

Result<Dataset> load_array(const DataOptions& options) {
  std::string path = options.path, labels = options.labels_path;
  if (is_folder(path)) {
    if (labels.empty()) labels = (fs::path(path) / "labels.npy").string();
    FT_TRY(path, array_in_folder(path));
  }
  Dataset data;
  data.front_end = options.front_end;
  FT_TRY_STATUS(with_npy(path, [&](const NpyView& view) -> Status {
    if (view.shape.size() < 2 || view.elements() == 0)
      return invalid_input(
          fmt::format("shape [{}] holds no samples along a first axis",
                      fmt::join(view.shape, ",")));
    data.feature_shape.assign(view.shape.begin() + 1, view.shape.end());
    data.feature_size = product(data.feature_shape);
    data.features = npy_floats(view);
    return ok_status();
  }));
  for (float& x : data.features)
    x = x * options.front_end.scale + options.front_end.offset;
  const size_t samples = data.features.size() / data.feature_size;
  for (size_t i = 0; i < samples; ++i)
    data.sample_names.push_back(
        fmt::format("{}[{}]", fs::path(path).filename().string(), i));
  if (!labels.empty()) {
    FT_TRY_STATUS(load_labels(labels, data));
  } else {  // unlabelled: learn to reproduce the input
    data.targets = data.features;
    data.target_size = data.feature_size;
  }
  return data;
}

Result<Series> series_of_csv(const std::string& path) {
  FT_TRY(const std::string text, read_text_file(path));
  auto table = parse_csv(text);
  if (!table.ok()) return Status(table.status()).in("'" + path + "'");
  Series out{path, table->numeric_names(), {}};
  if (out.columns.empty())
    return invalid_input(fmt::format("'{}' has no numeric column", path));
  std::vector<const CsvColumn*> columns;
  for (const std::string& name : out.columns)
    columns.push_back(table->numeric(name).value());
  out.values.reserve(table->rows * columns.size());
  for (size_t r = 0; r < table->rows; ++r)
    for (const CsvColumn* column : columns)
      out.values.push_back(static_cast<float>(column->values[r]));
  return out;
}

// Columns of an array have no names; they are numbered.
Result<Series> series_of_npy(const std::string& path) {
  Series out{path, {}, {}};
  FT_TRY_STATUS(with_npy(path, [&](const NpyView& view) -> Status {
    if (view.shape.empty() || view.shape.size() > 2 || view.elements() == 0)
      return invalid_input(
          fmt::format("shape [{}] is not a recording [rows] or [rows, columns]",
                      fmt::join(view.shape, ",")));
    const int64_t columns = view.shape.size() == 2 ? view.shape[1] : 1;
    for (int64_t c = 0; c < columns; ++c)
      out.columns.push_back(std::to_string(c));
    out.values = npy_floats(view);
    return ok_status();
  }));
  return out;
}

Result<Dataset> windows_of(std::span<const Series> series,
                           std::span<const int> labels,
                           const DataOptions& options) {
  Dataset data;
  data.front_end = options.front_end;
  WindowConfig& config = data.front_end.windows;
  FT_TRY_STATUS(complete_windows(series, options.train_fraction, config));
  if (!labels.empty() && config.horizon > 0)
    return usage_error("windows with labels need horizon = 0");
  for (size_t s = 0; s < series.size(); ++s) {
    FT_TRY_STATUS(
        append_windows(series[s], config, data.features, data.targets));
    const size_t windows = window_count(config, series[s].rows());
    const std::string name = fs::path(series[s].name).filename().string();
    for (size_t w = 0; w < windows; ++w) {
      data.sample_names.push_back(fmt::format("{}[{}]", name, w));
      if (!labels.empty()) data.labels.push_back(labels[s]);
    }
  }
  data.feature_shape = {config.history,
                        static_cast<int64_t>(config.columns.size())};
  data.feature_size = product(data.feature_shape);
  if (!labels.empty()) data.targets.clear();
  data.target_size = data.targets.size() / data.size();
  return data;
}

Result<Dataset> load_windows(const DataOptions& options) {
  std::vector<Series> series;
  std::vector<int> labels;
  if (!is_folder(options.path)) {
    FT_TRY(Series one, is_npy_name(options.path) ? series_of_npy(options.path)
                                                 : series_of_csv(options.path));
    series.push_back(std::move(one));
    return windows_of(series, labels, options);
  }
  FT_TRY(const SampleFiles found,
         find_sample_files(options.path, options.label_from, is_npy_name));
  for (const SampleFile& file : found.files) {
    FT_TRY(Series one, series_of_npy(file.path));
    series.push_back(std::move(one));
    labels.push_back(found.label_of(file));
  }
  FT_TRY(Dataset data, windows_of(series, labels, options));
  data.classes = found.classes;
  return data;
}

Status check_classes(const Dataset& data, size_t min_samples) {
  std::vector<size_t> count(data.classes.size());
  for (const int label : data.labels) ++count[static_cast<size_t>(label)];
  for (size_t c = 0; c < count.size(); ++c)
    if (min_samples > 1 && count[c] < min_samples)
      return invalid_input(fmt::format(
          "class '{}' has {} sample{}, at least {} are needed", data.classes[c],
          count[c], count[c] == 1 ? "" : "s", min_samples));
  return ok_status();
}

Status check_finite(const Dataset& data) {
  for (size_t i = 0; i < data.features.size(); ++i)
    if (!std::isfinite(data.features[i]))
      return invalid_input(
          fmt::format("sample '{}' has a value that is not a finite number",
                      data.sample_names[i / data.feature_size]));
  return ok_status();
}

}  // namespace

Result<Dataset> load_dataset(const DataOptions& options) {
  std::error_code ignored;
  if (!fs::exists(options.path, ignored))
    return io_error(fmt::format("no such file or folder: '{}'", options.path));
  const bool table = options.path.ends_with(".csv");
  const bool windows = options.front_end.kind == FrontEnd::Kind::kWindows;
  const bool array = is_npy_name(options.path);
  if (!is_folder(options.path) && !table && !array)
    return invalid_input(fmt::format(
        "'{}' is neither a folder nor an .npy or .csv file", options.path));
  if (table && !windows)
    return usage_error(fmt::format("'{}' needs a front end of kind \"windows\"",
                                   options.path));
  if (array && options.front_end.takes_audio())
    return usage_error(fmt::format(
        "'{}' is an array, but the front end takes audio", options.path));
  FT_TRY(Dataset data, windows                           ? load_windows(options)
                       : options.front_end.takes_audio() ? load_audio(options)
                                                         : load_array(options));
  FT_TRY_STATUS(check_finite(data));
  FT_TRY_STATUS(check_classes(data, options.min_samples_per_class));
  return data;
}

Status relabel(Dataset& data, std::span<const std::string> classes) {
  std::vector<int> to;
  for (const std::string& name : data.classes) {
    const auto at = std::find(classes.begin(), classes.end(), name);
    if (at == classes.end())
      return invalid_input(
          fmt::format("class '{}' of the data is not one of the model's: {}",
                      name, fmt::join(classes, ", ")));
    to.push_back(static_cast<int>(at - classes.begin()));
  }
  for (int& label : data.labels) label = to[static_cast<size_t>(label)];
  data.classes.assign(classes.begin(), classes.end());
  return ok_status();
}

}  // namespace ft
