#include "cli/data_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/file.h"
#include "base/hash.h"
#include "base/plain_text.h"
#include "cli/output.h"
#include "data/npy.h"
#include "data/token_windows.h"

namespace ft::cli {

std::string recorded(const Metadata& metadata, const char* key) {
  const auto at = metadata.find(key);
  return at == metadata.end() ? std::string() : at->second;
}

namespace {

// Which samples there are, whatever their order on disk: same fingerprint, same
// split.
std::string data_fingerprint(const Dataset& set) {
  std::string text;
  for (size_t i = 0; i < set.size(); ++i)
    text += fmt::format("{}\t{}\n", set.sample_names[i],
                        set.labels.empty() ? -1 : set.labels[i]);
  return sha256_hex(std::as_bytes(std::span(text.data(), text.size())));
}

Result<Split> make_split(const DataFlags& flags, const Dataset& set,
                         uint64_t seed) {
  if (flags.train_per_class > 0 && !flags.split.empty())
    return usage_error("--train-per-class and --split contradict each other");
  if (flags.train_per_class > 0) {
    if (set.labels.empty())
      return usage_error("--train-per-class needs data with classes");
    return split_per_class(set.labels, set.classes.size(),
                           flags.train_per_class, flags.validation, seed);
  }
  const bool in_order =
      set.front_end.kind == FrontEnd::Kind::kWindows || !flags.text.empty();
  const auto order = in_order ? SplitOrder::kInOrder : SplitOrder::kShuffled;
  Split split;
  if (flags.split.empty()) {
    split.train.resize(set.size());
    std::iota(split.train.begin(), split.train.end(), 0u);
  } else {
    FT_TRY(const auto fractions, parse_fractions(flags.split));
    FT_TRY(split, split_fractions(set.size(), fractions, order, seed));
  }
  FT_TRY_STATUS(hold_out(split, flags.validation, order, seed));
  return split;
}

// The leading part of the samples that may tell mean and spread of windows.
Result<double> train_fraction(const DataFlags& flags) {
  if (flags.split.empty()) return 1.0;
  FT_TRY(const auto fractions, parse_fractions(flags.split));
  return fractions[0];
}

Status bind_samples(LoadedData& data, uint64_t seed) {
  if (data.augment.any()) {
    FT_TRY(AugmentedFeatures features,
           AugmentedFeatures::make(data.set, data.augment, seed));
    data.augmented.push_back(std::move(features));
  }
  LoadedData* self = &data;
  data.samples = {.fill =
                      [self](size_t sample, int epoch, std::span<float> out) {
                        if (epoch >= 0 && !self->augmented.empty())
                          self->augmented[0].features(
                              sample, static_cast<uint64_t>(epoch), out);
                        else
                          std::ranges::copy(self->set.feature(sample),
                                            out.begin());
                      },
                  .feature_size = data.set.feature_size,
                  .labels = data.set.labels,
                  .label_size = data.set.label_size,
                  .targets = data.set.targets,
                  .target_size = data.set.target_size};
  return ok_status();
}

// The front end is that of the flags, of the adapter or "raw".
Result<DataOptions> data_options(const DataFlags& flags,
                                 const Metadata& metadata) {
  if (flags.path.empty())
    return usage_error("no data was given; use --data FOLDER or --text FILE");
  DataOptions options{.path = flags.path,
                      .label_from = flags.label_from,
                      .labels_path = flags.labels,
                      .front_end = {},
                      .train_fraction = 1,
                      .threads = flags.threads};
  FT_TRY(options.train_fraction, train_fraction(flags));
  const std::string stored = recorded(metadata, "front_end");
  if (flags.front_end.empty() && !stored.empty()) {
    FT_TRY(options.front_end,
           front_end_from_toml(stored, "front end of the adapter"));
  } else {
    FT_TRY(options.front_end,
           load_front_end(flags.front_end.empty() ? "raw" : flags.front_end));
  }
  return options;
}

// Of a text file, or of an NPY array of token ids.
Result<std::vector<int>> tokens_of(const std::string& path,
                                   const TextReader& reader) {
  if (!path.ends_with(".npy")) {
    if (reader.tokenizer == nullptr)
      return usage_error(fmt::format(
          "the model comes without a tokenizer; give --text an .npy array of "
          "token ids instead of '{}'",
          path));
    FT_TRY(const std::string text, read_text_file(path));
    return reader.tokenizer->encode(text);
  }
  FT_TRY(const MappedFile file, MappedFile::open(path));
  const auto array = parse_npy(file.bytes());
  if (!array.ok()) return Status(array.status()).in("'" + path + "'");
  FT_TRY(const std::vector<int64_t> ids, npy_integers(*array));
  for (const int64_t id : ids)
    if (id < 0 || id >= reader.vocab_size)
      return invalid_input(
          fmt::format("'{}' holds token {}, the model knows {}", path, id,
                      reader.vocab_size));
  return std::vector<int>(ids.begin(), ids.end());
}

Result<Dataset> load_text(const DataFlags& flags, const TextReader* reader) {
  if (!flags.path.empty())
    return usage_error("--data and --text contradict each other");
  if (!flags.labels.empty() || !flags.label_from.empty() ||
      !flags.front_end.empty() || !flags.class_names.empty() ||
      flags.train_per_class > 0)
    return usage_error(
        "--text takes no --labels, --label-from, --front-end, --class-names or "
        "--train-per-class: each token's label is the next one");
  if (reader == nullptr || reader->seq_len == 0)
    return usage_error("--text needs a model that reads tokens");
  FT_TRY(const std::vector<int> tokens, tokens_of(flags.text, *reader));
  auto set = window_tokens(tokens, reader->seq_len,
                           flags.stride > 0 ? flags.stride : reader->seq_len);
  if (!set.ok()) return Status(set.status()).in("'" + flags.text + "'");
  return set;
}

// Flags that the user left out are filled from the adapter.
DataFlags completed(DataFlags flags, const Metadata& metadata) {
  const auto fill = [&](std::string& flag, const char* key) {
    if (flag.empty()) flag = recorded(metadata, key);
  };
  if (flags.text.empty()) fill(flags.path, "data_path");
  if (flags.path.empty()) fill(flags.text, "data_text");
  if (flags.stride == 0 && !recorded(metadata, "data_stride").empty())
    flags.stride = std::stoi(recorded(metadata, "data_stride"));
  fill(flags.label_from, "data_label_from");
  fill(flags.labels, "data_labels");
  fill(flags.split, "data_split");
  if (flags.train_per_class == 0 &&
      !recorded(metadata, "data_train_per_class").empty())
    flags.train_per_class = static_cast<size_t>(
        std::stoul(recorded(metadata, "data_train_per_class")));
  return flags;
}

}  // namespace

void DataFlags::add_source_to(CLI::App& app) {
  app.add_option("--data", path,
                 "folder of recordings (<class>/*.wav), NPY arrays or a CSV "
                 "table");
  app.add_option("--text", text,
                 "file of text, or .npy array of token ids, for models that "
                 "read tokens: windows of --seq-len tokens");
  app.add_option("--stride", stride,
                 "tokens between the starts of two windows of text (0: "
                 "--seq-len)")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  app.add_option("--label-from", label_from,
                 "pattern that finds the class in file names, e.g. "
                 "'{label}_{speaker}_{take}'");
  app.add_option("--labels", labels, "NPY array of integer labels");
  app.add_option("--front-end", front_end,
                 "what turns files into model inputs: mlperf-kws, raw, "
                 "unit-image or a TOML file (default: the adapter's, else "
                 "raw)");
  app.add_option("--class-names", class_names,
                 "the model's own classes in their order, comma separated")
      ->delimiter(',');
  app.add_option("--threads", threads,
                 "threads for features and evaluation; results do not depend "
                 "on it")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
}

void DataFlags::add_split_to(CLI::App& app) {
  app.add_option("--train-per-class", train_per_class,
                 "samples of each class to train on; the others are the test");
  app.add_option("--split", split,
                 "parts of train[/validation]/test, e.g. 70/10/20 (in order "
                 "for time series, else shuffled by --seed)");
}

void DataFlags::add_training_to(CLI::App& app) {
  add_split_to(app);
  app.add_option("--validation", validation,
                 "part of the training samples held out to choose the best "
                 "epoch (of each class with --train-per-class)")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 0.9));
  app.add_option("--augment", augment,
                 "variations while training, e.g. 'noise=10:30,shift=0.1' (dB, "
                 "part of the clip)")
      ->capture_default_str();
}

std::vector<size_t> to_indices(const std::vector<uint32_t>& part) {
  return {part.begin(), part.end()};
}

TextReader::TextReader(const BaseModel& model)
    : tokenizer(model.tokenizer.get()) {
  if (takes_tokens(model.graph)) {
    seq_len = static_cast<int>(
        model.graph.value(model.graph.inputs[0]).type.shape.back());
    vocab_size = model.graph.value(model.graph.outputs[0]).type.shape.back();
  }
}

namespace {

// Numbered as the flags say, else as the adapter does.
Status number_classes(const DataFlags& flags, const Metadata& metadata,
                      Dataset& set) {
  std::vector<std::string> classes = flags.class_names;
  if (classes.empty()) classes = recorded_words(metadata, "classes");
  return classes.empty() ? ok_status() : relabel(set, classes);
}

// What record_data() writes: found out before training, not after it.
Status check_texts(const DataFlags& flags) {
  constexpr size_t kLongestPath = 4096;
  const std::pair<const char*, const std::string*> texts[] = {
      {"--data", &flags.path},
      {"--text", &flags.text},
      {"--label-from", &flags.label_from},
      {"--labels", &flags.labels}};
  for (const auto& [option, text] : texts)
    FT_TRY_STATUS(check_plain_text(option, *text, kLongestPath));
  return ok_status();
}

Status check_classes(const Dataset& set) {
  for (const std::string& name : set.classes)
    FT_TRY_STATUS(check_plain_text("the name of a class", name));
  return ok_status();
}

}  // namespace

Result<std::unique_ptr<LoadedData>> load_training_data(const DataFlags& flags,
                                                       uint64_t seed,
                                                       const TextReader* reader,
                                                       const Metadata& start) {
  auto data = std::make_unique<LoadedData>();
  FT_TRY_STATUS(check_texts(flags));
  FT_TRY(data->augment, parse_augment(flags.augment));
  if (!flags.text.empty()) {
    if (data->augment.any()) return usage_error("--augment does not vary text");
    FT_TRY(data->set, load_text(flags, reader));
  } else {
    FT_TRY(DataOptions options, data_options(flags, start));
    options.keep_audio = data->augment.any() && options.front_end.takes_audio();
    FT_TRY(data->set, load_dataset(options));
  }
  FT_TRY_STATUS(number_classes(flags, start, data->set));
  FT_TRY_STATUS(check_classes(data->set));
  FT_TRY(data->split, make_split(flags, data->set, seed));
  FT_TRY_STATUS(bind_samples(*data, seed));
  return data;
}

namespace {

Result<Dataset> load_evaluation_set(const DataFlags& flags,
                                    const Metadata& metadata,
                                    const TextReader* reader) {
  if (!flags.text.empty()) return load_text(flags, reader);
  FT_TRY(DataOptions options, data_options(flags, metadata));
  options.min_samples_per_class = 1;
  return load_dataset(options);
}

}  // namespace

Result<EvaluationData> load_evaluation_data(const DataFlags& given,
                                            const Metadata& metadata,
                                            const TextReader* reader) {
  const DataFlags flags = completed(given, metadata);
  EvaluationData result{
      .data = std::make_unique<LoadedData>(), .indices = {}, .part = "all"};
  FT_TRY(result.data->set, load_evaluation_set(flags, metadata, reader));
  Dataset& set = result.data->set;
  FT_TRY_STATUS(number_classes(given, metadata, set));
  const bool same_data =
      recorded(metadata, "data_fingerprint") == data_fingerprint(set);
  const bool has_split = flags.train_per_class > 0 || !flags.split.empty();
  if (same_data && has_split) {
    FT_TRY(
        result.data->split,
        make_split(flags, set, std::stoull(recorded(metadata, "data_seed"))));
    result.indices = to_indices(result.data->split.test);
    result.part = "test";
  } else {
    result.indices.resize(set.size());
    std::iota(result.indices.begin(), result.indices.end(), size_t{0});
  }
  FT_TRY_STATUS(bind_samples(*result.data, 0));
  return result;
}

void record_data(const DataFlags& flags, const LoadedData& data, uint64_t seed,
                 Metadata& metadata) {
  metadata["front_end"] = to_toml(data.set.front_end);
  metadata["classes"] = Json(data.set.classes).dump();
  metadata["data_path"] = flags.path;
  metadata["data_text"] = flags.text;
  metadata["data_stride"] = fmt::format("{}", flags.stride);
  metadata["data_label_from"] = flags.label_from;
  metadata["data_labels"] = flags.labels;
  metadata["data_split"] = flags.split;
  metadata["data_train_per_class"] = fmt::format("{}", flags.train_per_class);
  metadata["data_seed"] = fmt::format("{}", seed);
  metadata["data_fingerprint"] = data_fingerprint(data.set);
}

}  // namespace ft::cli
