#include "cli/demo/speech.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/file.h"
#include "cli/demo/process.h"
#include "data/wav.h"

namespace ft::cli {
namespace {

namespace fs = std::filesystem;

class DemoSpeech : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "ft-speech-XXXXXX");
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string bytes_of(const std::string& file) const {
    const auto text = read_text_file(folder_ + "/" + file);
    return text.ok() ? text.value() : "";
  }
  Status record(const std::string& into, uint64_t seed, size_t threads = 2) {
    return synthesize_demo_speech({.folder = folder_ + "/" + into,
                                   .takes = 2,
                                   .threads = threads,
                                   .seed = seed});
  }

  std::string folder_;
};

bool has_espeak() { return run_process({"espeak-ng", "--version"}, "").ok(); }

TEST_F(DemoSpeech, IsAFunctionOfTheSeed) {
  if (!has_espeak()) GTEST_SKIP() << "espeak-ng is not installed";
  ASSERT_TRUE(record("a", 7).ok());
  ASSERT_TRUE(record("b", 7, 1).ok());
  ASSERT_TRUE(record("c", 8).ok());
  for (const char* file : {"yes/00.wav", "yes/01.wav", "curtain/01.wav"}) {
    const std::string a = bytes_of(std::string("a/") + file);
    EXPECT_GT(a.size(), 22050u * 2) << file;
    EXPECT_EQ(a, bytes_of(std::string("b/") + file)) << file;
    EXPECT_NE(a, bytes_of(std::string("c/") + file)) << file;
  }
  EXPECT_NE(bytes_of("a/yes/00.wav"), bytes_of("a/yes/01.wav"));
}

TEST_F(DemoSpeech, HasEveryWordWithNoiseAndWithoutClipping) {
  if (!has_espeak()) GTEST_SKIP() << "espeak-ng is not installed";
  ASSERT_TRUE(record("a", 3).ok());
  for (const auto* words : {&known_words(), &new_words()})
    for (const std::string& word : *words) {
      const auto audio = read_audio(folder_ + "/a/" + word + "/00.wav");
      ASSERT_TRUE(audio.ok()) << audio.status().message();
      EXPECT_EQ(audio->sample_rate, 22050);
      EXPECT_GE(audio->samples.size(), 22050u);
      double sum = 0, quiet = 0, peak = 0;
      const size_t edge = 500;  // the end of the second is noise only
      for (size_t i = 0; i < audio->samples.size(); ++i) {
        const double v = audio->samples[i];
        sum += v * v;
        peak = std::max(peak, std::abs(v));
        if (i + edge >= audio->samples.size()) quiet += v * v;
      }
      EXPECT_NEAR(peak, 0.9, 0.001) << word;
      EXPECT_GT(quiet / edge, 1e-6) << word << " has no noise";
      EXPECT_GT(sum / static_cast<double>(audio->samples.size()), quiet / edge)
          << word << " has no word";
    }
}

TEST_F(DemoSpeech, SaysHowToInstallAMissingProgram) {
  const Status status = synthesize_demo_speech(
      {.folder = folder_ + "/a", .program = "no-such-espeak"});
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_NE(status.message().find("apt-get install espeak-ng"),
            std::string::npos)
      << status.message();
}

TEST_F(DemoSpeech, ReportsAFolderThatCannotBeMade) {
  std::ofstream(folder_ + "/file") << "x";
  const Status status =
      synthesize_demo_speech({.folder = folder_ + "/file/below"});
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_NE(status.message().find("file/below"), std::string::npos);
}

TEST(RunProcess, ReportsHowAProgramEnded) {
  EXPECT_TRUE(run_process({"true"}, "").ok());
  EXPECT_NE(run_process({"sh", "-c", "exit 7"}, "").message().find("code 7"),
            std::string::npos);
  EXPECT_NE(
      run_process({"sh", "-c", "kill -9 $$"}, "").message().find("signal 9"),
      std::string::npos);
}

// The words that the base model heard under "unknown" stand in the script that
// made it.
TEST(DemoWords, AreNewToTheBaseModel) {
  const auto script = read_text_file(std::string(FT_SOURCE_DIR) +
                                     "/tools/make_demo_model_speech.py");
  ASSERT_TRUE(script.ok()) << script.status().message();
  for (const std::string& word : new_words())
    EXPECT_EQ(script->find(word), std::string::npos) << word;
  for (const std::string& word : known_words())
    EXPECT_NE(script->find('"' + word + '"'), std::string::npos) << word;
  EXPECT_EQ(script->find("en-gb-scotland"), std::string::npos);
}

}  // namespace
}  // namespace ft::cli
