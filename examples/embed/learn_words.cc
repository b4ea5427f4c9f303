// Learns words from recordings, as a program on a device would do it: through
// the C++ interface, one step at a time, within a budget.
//
//   learn_words BASE.tflite OUT.safetensors yes=a.raw yes=b.raw no=c.raw ...
//
// A recording is 16-bit mono PCM of 16 kHz, as `arecord -t raw -f S16_LE -r
// 16000 -d 1 a.raw` makes it.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "fieldtune/fieldtune.h"

namespace {

using fieldtune::Result;
using fieldtune::Status;

constexpr int kEpochs = 30;
constexpr size_t kBudget = 256 * 1024;

struct Words {
  std::vector<std::string> names;
  std::vector<std::vector<float>> features;  // of each recording
  std::vector<int32_t> labels;
};

Result<std::vector<float>> read_recording(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<float> samples;
  char bytes[2];
  while (file.read(bytes, 2)) {
    const int low = static_cast<unsigned char>(bytes[0]);
    const int high = static_cast<signed char>(bytes[1]);
    samples.push_back(static_cast<float>(high * 256 + low) / 32768.0f);
  }
  if (samples.empty()) return ft::io_error("cannot read '" + path + "'");
  return samples;
}

Result<Words> read_words(const std::vector<std::string>& args) {
  FT_TRY(auto front_end, fieldtune::FrontEnd::open("mlperf-kws"));
  Words words;
  for (const std::string& arg : args) {
    const size_t eq = arg.find('=');
    if (eq == 0 || eq == std::string::npos)
      return ft::usage_error("'" + arg + "' is not of the form word=file");
    const std::string name = arg.substr(0, eq);
    FT_TRY(const auto sound, read_recording(arg.substr(eq + 1)));
    std::vector<float> features(front_end.feature_size());
    FT_TRY_STATUS(front_end.run(sound, features));
    const auto at = std::find(words.names.begin(), words.names.end(), name);
    words.labels.push_back(static_cast<int32_t>(at - words.names.begin()));
    if (at == words.names.end()) words.names.push_back(name);
    words.features.push_back(std::move(features));
  }
  return words;
}

Status learn(const std::string& base, const std::string& out,
             const Words& words) {
  const size_t count = words.labels.size();
  FT_TRY(auto training,
         fieldtune::Training::create(
             base, {.rank = 4,
                    .classes = words.names,
                    .total_steps = static_cast<int64_t>(kEpochs * count),
                    .ram_bytes = kBudget,
                    .front_end = "mlperf-kws"}));
  const auto memory = training.memory();
  std::printf("RAM %zu bytes (arena %zu, adapter and optimizer %zu)\n",
              memory.ram(), memory.arena, memory.persistent);
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    float loss = 0;
    // 7 recordings on from the last one: no word twice in a row.
    for (size_t i = 0; i < count; ++i) {
      const size_t at = count % 7 == 0 ? i : i * 7 % count;
      FT_TRY(const float one,
             training.step(words.features[at], {&words.labels[at], 1}));
      loss += one / static_cast<float>(count);
    }
    if (epoch % 10 == 9) std::printf("epoch %2d  loss %.4f\n", epoch + 1, loss);
  }
  return training.save_adapter(out);
}

// The word that the adapted model hears in each recording.
Status listen(const std::string& base, const std::string& adapter,
              const Words& words) {
  FT_TRY(auto model, fieldtune::Model::open(base, {.adapters = {{adapter}}}));
  size_t right = 0;
  for (size_t i = 0; i < words.labels.size(); ++i) {
    FT_TRY(const auto answer, model.run(words.features[i]));
    const auto best = std::max_element(answer.begin(), answer.end());
    right += best - answer.begin() == words.labels[i];
  }
  std::printf("%zu of %zu recordings recognized; '%s' holds the adapter\n",
              right, words.labels.size(), adapter.c_str());
  return {};
}

Status run(const std::vector<std::string>& args) {
  if (args.size() < 4)
    return ft::usage_error(
        "usage: learn_words BASE.tflite OUT.safetensors word=recording.raw "
        "word=recording.raw ...");
  FT_TRY(const Words words, read_words({args.begin() + 2, args.end()}));
  FT_TRY_STATUS(learn(args[0], args[1], words));
  return listen(args[0], args[1], words);
}

}  // namespace

int main(int argc, char** argv) {
  const Status status = run({argv + 1, argv + argc});
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return ft::exit_code(status.code());
}
