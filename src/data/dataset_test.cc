#include "data/dataset.h"

#include <gtest/gtest.h>

#include <cmath>

#include "data/label_pattern.h"
#include "data/test_files.h"

namespace ft {
namespace {

std::vector<int16_t> ramp(int16_t step, size_t samples = 800) {
  std::vector<int16_t> out(samples);
  for (size_t i = 0; i < samples; ++i)
    out[i] = static_cast<int16_t>(static_cast<int16_t>(i) * step % 1000);
  return out;
}

DataOptions kws(const std::string& path, const std::string& label_from = "") {
  DataOptions options;
  options.path = path;
  options.label_from = label_from;
  options.front_end = *load_front_end("mlperf-kws");
  return options;
}

// Two classes with three and two samples.
void make_class_folders(const TempFolder& folder) {
  for (const char* name :
       {"yes/b.wav", "no/2.wav", "yes/a.wav", "no/1.wav", "yes/c.WAV"})
    write_wav(folder.at(name), 8000, 1,
              ramp(static_cast<int16_t>(name[4] % 7 + 1)));
}

TEST(LabelPattern, FindsTheLabel) {
  const auto p = LabelPattern::parse("{label}_{speaker}_{take}");
  ASSERT_TRUE(p.ok());
  EXPECT_EQ(p->label_of("7_theo_12"), "7");
  EXPECT_EQ(p->label_of("7_theo_12_b"), "7");
  EXPECT_EQ(p->label_of("7_theo"), std::nullopt);
  EXPECT_EQ(p->label_of("_theo_1"), std::nullopt);
  EXPECT_EQ(p->label_of("7_theo_"), std::nullopt);
  EXPECT_EQ(p->label_of(""), std::nullopt);
  const auto q = LabelPattern::parse("rec-{take}-{label}.x");
  EXPECT_EQ(q->label_of("rec-1-go.x"), "go");
  EXPECT_EQ(q->label_of("rec-1-go.xy"), std::nullopt);
  EXPECT_EQ(LabelPattern::parse("{label}")->label_of("all"), "all");
  for (const char* bad : {"", "{speaker}", "{label}{take}", "{label}_{label}",
                          "{label", "{}_{label}", "label}"})
    EXPECT_FALSE(LabelPattern::parse(bad).ok()) << bad;
}

TEST(Dataset, ClassFoldersInNameOrder) {
  const TempFolder folder;
  make_class_folders(folder);
  ASSERT_TRUE(write_file_atomically(folder.at("yes/notes.txt"), "x").ok());
  ASSERT_TRUE(write_file_atomically(folder.at("README.md"), "x").ok());
  std::filesystem::create_directories(folder.at(".git/x"));
  const auto data = load_dataset(kws(folder.path()));
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->classes, (std::vector<std::string>{"no", "yes"}));
  EXPECT_EQ(data->labels, (std::vector<int>{0, 0, 1, 1, 1}));
  EXPECT_EQ(data->sample_names.front(), "no/1.wav");
  EXPECT_EQ(data->feature_shape, (std::vector<int64_t>{49, 10}));
  EXPECT_EQ(data->features.size(), 5u * 490);
  EXPECT_TRUE(data->audio.empty());
}

TEST(Dataset, ThreadCountChangesNothing) {
  const TempFolder folder;
  make_class_folders(folder);
  DataOptions options = kws(folder.path());
  options.keep_audio = true;
  const auto one = load_dataset(options);
  options.threads = 5;
  const auto five = load_dataset(options);
  ASSERT_TRUE(one.ok() && five.ok());
  EXPECT_EQ(one->features, five->features);
  EXPECT_EQ(one->audio, five->audio);
  EXPECT_NEAR(static_cast<double>(one->audio[0].size()), 1600, 1);
}

TEST(Dataset, FlatFolderWithLabelPattern) {
  const TempFolder folder;
  for (const char* name :
       {"1_theo_0.wav", "0_theo_0.wav", "1_theo_1.wav", "0_theo_1.wav"})
    write_wav(folder.at(name), 16000, 1, ramp(3));
  auto data = load_dataset(kws(folder.path(), "{label}_{speaker}_{take}"));
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->labels, (std::vector<int>{0, 0, 1, 1}));
  write_wav(folder.at("other.wav"), 16000, 1, ramp(3));
  EXPECT_ERROR_HAS(load_dataset(kws(folder.path(), "{label}_{speaker}_{take}")),
                   "other.wav' does not match");
  const std::vector<std::string> order = {"go", "1", "0"};
  ASSERT_TRUE(relabel(*data, order).ok());
  EXPECT_EQ(data->labels, (std::vector<int>{2, 2, 1, 1}));
  EXPECT_EQ(data->classes, order);
  const std::vector<std::string> other = {"1", "0"};
  EXPECT_NE(relabel(*data, other).message().find("'go'"), std::string::npos);
}

TEST(Dataset, PatternAcrossFolders) {
  const TempFolder folder;
  for (const char* name : {"theo/1_0.wav", "theo/1_1.wav", "jackson/1_0.wav"})
    write_wav(folder.at(name), 16000, 1, ramp(3));
  const auto data =
      load_dataset(kws(folder.path(), "{speaker}/{label}_{take}"));
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->size(), 3u);
  EXPECT_EQ(data->classes, std::vector<std::string>{"1"});
}

TEST(Dataset, BadAudioFoldersGetClearErrors) {
  const TempFolder folder;
  EXPECT_ERROR_HAS(load_dataset(kws(folder.path())), "holds no samples");
  EXPECT_ERROR_HAS(load_dataset(kws(folder.at("absent"))), "no such file");
  make_class_folders(folder);
  std::filesystem::create_directories(folder.at("maybe"));
  std::filesystem::create_directories(folder.at("maybe/x"));
  EXPECT_ERROR_HAS(load_dataset(kws(folder.path())), "maybe' holds no samples");
  write_wav(folder.at("maybe/1.wav"), 8000, 1, ramp(1));
  EXPECT_ERROR_HAS(load_dataset(kws(folder.path())),
                   "class 'maybe' has 1 sample, at least 2");
  DataOptions eval = kws(folder.path());
  eval.min_samples_per_class = 1;
  EXPECT_TRUE(load_dataset(eval).ok());
  write_wav(folder.at("maybe/2.wav"), 8000, 2, ramp(1));
  EXPECT_ERROR_HAS(load_dataset(kws(folder.path())), "2.wav' has 2 channels");
  write_wav(folder.at("maybe/2.wav"), 8000, 1, {});
  EXPECT_ERROR_HAS(load_dataset(kws(folder.path())), "2.wav' has 0 samples");
  ASSERT_TRUE(write_file_atomically(folder.at("maybe/2.wav"), "RIFF").ok());
  EXPECT_ERROR_HAS(load_dataset(kws(folder.path())), "2.wav'");
  DataOptions raw = kws(folder.path());
  raw.front_end = *load_front_end("raw");
  EXPECT_FALSE(load_dataset(raw).ok());
}

TEST(Dataset, ArraysWithLabelsAreScaled) {
  const TempFolder folder;
  write_array<uint8_t>(folder.at("images.npy"), DType::kU8, {3, 2, 1},
                       {0, 255, 51, 102, 153, 204});
  DataOptions options;
  options.path = folder.at("images.npy");
  options.front_end = *load_front_end("unit-image");
  const auto unlabelled = load_dataset(options);
  ASSERT_TRUE(unlabelled.ok()) << unlabelled.status().message();
  EXPECT_FLOAT_EQ(unlabelled->features[1], 1.0f);
  EXPECT_EQ(unlabelled->feature_shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(unlabelled->targets, unlabelled->features);
  EXPECT_TRUE(unlabelled->labels.empty());

  write_array<int32_t>(folder.at("labels.npy"), DType::kS32, {3}, {1, 0, 1});
  options.path = folder.path();
  EXPECT_ERROR_HAS(load_dataset(options), "class '0' has 1 sample");
  options.min_samples_per_class = 1;
  const auto labelled = load_dataset(options);
  ASSERT_TRUE(labelled.ok()) << labelled.status().message();
  EXPECT_EQ(labelled->labels, (std::vector<int>{1, 0, 1}));
  EXPECT_EQ(labelled->classes, (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(labelled->target_size, 0u);
}

TEST(Dataset, BadArraysGetClearErrors) {
  const TempFolder folder;
  DataOptions options;
  options.path = folder.path();
  EXPECT_ERROR_HAS(load_dataset(options), "found 0");
  write_array<float>(folder.at("x.npy"), DType::kF32, {2, 1}, {1, NAN});
  write_array<int8_t>(folder.at("labels.npy"), DType::kS8, {3}, {0, 0, 0});
  EXPECT_ERROR_HAS(load_dataset(options), "3 labels for 2 samples");
  write_array<int8_t>(folder.at("labels.npy"), DType::kS8, {2}, {0, -1});
  EXPECT_ERROR_HAS(load_dataset(options), "label -1");
  write_array<float>(folder.at("labels.npy"), DType::kF32, {2}, {0, 1});
  EXPECT_ERROR_HAS(load_dataset(options), "integers expected");
  write_array<int8_t>(folder.at("labels.npy"), DType::kS8, {2}, {0, 0});
  EXPECT_ERROR_HAS(load_dataset(options), "x.npy[1]' has a value");
  write_array<float>(folder.at("x.npy"), DType::kF32, {2}, {1, 2});
  EXPECT_ERROR_HAS(load_dataset(options), "shape [2]");
  ASSERT_TRUE(write_file_atomically(folder.at("x.npy"), "junk").ok());
  EXPECT_ERROR_HAS(load_dataset(options), "x.npy': npy: not an .npy file");
  options.path = folder.at("x.npy");
  options.front_end = *load_front_end("mlperf-kws");
  EXPECT_ERROR_HAS(load_dataset(options), "takes audio");
}

FrontEnd windows(int history, int horizon) {
  FrontEnd f;
  f.kind = FrontEnd::Kind::kWindows;
  f.windows.history = history;
  f.windows.horizon = horizon;
  return f;
}

TEST(Dataset, CsvWindowsKeepTheirStatisticsForLater) {
  const TempFolder folder;
  std::string text = "date,a,b\n";
  for (int i = 0; i < 20; ++i)
    text += "d," + std::to_string(i) + "," + std::to_string(i * i) + "\n";
  DataOptions options;
  options.path = folder.at("t.csv");
  ASSERT_TRUE(write_file_atomically(options.path, text).ok());
  EXPECT_ERROR_HAS(load_dataset(options), "kind \"windows\"");
  options.front_end = windows(4, 2);
  options.front_end.windows.targets = {"b"};
  options.train_fraction = 0.5;
  const auto data = load_dataset(options);
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->size(), 15u);
  EXPECT_EQ(data->feature_shape, (std::vector<int64_t>{4, 2}));
  EXPECT_EQ(data->target_size, 2u);
  // The stored front end gives the same features without the fraction.
  options.front_end = *front_end_from_toml(to_toml(data->front_end), "stored");
  options.train_fraction = 1;
  EXPECT_EQ(load_dataset(options)->features, data->features);
  ASSERT_TRUE(write_file_atomically(options.path, "a\n1\n").ok());
  options.front_end = windows(4, 2);
  EXPECT_ERROR_HAS(load_dataset(options), "1 rows, fewer than history 4");
}

TEST(Dataset, RecordingsBecomeLabelledWindows) {
  const TempFolder folder;
  const std::vector<float> signal = {1, 2, 3, 4, 5, 6};
  write_array(folder.at("ball_load0.npy"), DType::kF32, {6}, signal);
  write_array(folder.at("normal_load0.npy"), DType::kF32, {6}, signal);
  DataOptions options;
  options.path = folder.path();
  options.label_from = "{label}_load{hp}";
  options.front_end = windows(2, 0);
  options.front_end.windows.stride = 2;
  const auto data = load_dataset(options);
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->labels, (std::vector<int>{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(data->classes, (std::vector<std::string>{"ball", "normal"}));
  EXPECT_TRUE(data->targets.empty());
  EXPECT_EQ(data->sample_names[4], "normal_load0.npy[1]");
  options.front_end = windows(2, 1);
  EXPECT_ERROR_HAS(load_dataset(options), "horizon = 0");
  options.path = folder.at("ball_load0.npy");
  options.front_end = windows(2, 0);
  const auto alone = load_dataset(options);
  ASSERT_TRUE(alone.ok()) << alone.status().message();
  EXPECT_EQ(alone->targets, alone->features);
}

TEST(DatasetReal, SpokenDigitsOfOneSpeaker) {
  const std::string path = real_data("fsdd/theo");
  FT_SKIP_WITHOUT(path);
  DataOptions options = kws(path, "{label}_{speaker}_{take}");
  options.threads = 2;
  const auto data = load_dataset(options);
  ASSERT_TRUE(data.ok()) << data.status().message();
  EXPECT_EQ(data->size(), 500u);
  EXPECT_EQ(data->classes.size(), 10u);
  EXPECT_EQ(data->classes.front(), "0");
  EXPECT_EQ(std::count(data->labels.begin(), data->labels.end(), 3), 50);
}

TEST(DatasetReal, OtherRealFiles) {
  FT_SKIP_WITHOUT(real_data("mnist1000"));
  DataOptions options;
  options.path = real_data("mnist1000");
  const auto digits = load_dataset(options);
  ASSERT_TRUE(digits.ok()) << digits.status().message();
  EXPECT_EQ(digits->feature_shape, (std::vector<int64_t>{28, 28}));
  EXPECT_EQ(digits->classes.size(), 10u);
  options.path = real_data("ett/ETTh1.csv");
  options.front_end = windows(96, 24);
  const auto ett = load_dataset(options);
  ASSERT_TRUE(ett.ok()) << ett.status().message();
  EXPECT_EQ(ett->size(), 17420u - 96 - 24 + 1);
  EXPECT_EQ(ett->feature_shape, (std::vector<int64_t>{96, 7}));
  options.path = real_data("cwru");
  options.label_from = "{label}_load{hp}";
  options.front_end = windows(1024, 0);
  options.front_end.windows.stride = 1024;
  const auto bearing = load_dataset(options);
  ASSERT_TRUE(bearing.ok()) << bearing.status().message();
  EXPECT_EQ(bearing->classes.size(), 7u);
}

}  // namespace
}  // namespace ft
