// Test tool: `front_end_features FRONT_END AUDIO OUT.npy` writes the features
// of one audio file; tests/python/test_front_end.py compares them with
// TensorFlow's definition.
#include <cstdio>
#include <span>

#include "base/file.h"
#include "data/front_end.h"
#include "data/npy.h"
#include "data/wav.h"

namespace {

ft::Status write_features(const char* name, const char* in, const char* out) {
  FT_TRY(const ft::FrontEnd front_end, ft::load_front_end(name));
  if (!front_end.takes_audio())
    return ft::usage_error("the front end does not take audio");
  FT_TRY(const ft::Audio audio, ft::read_audio(in));
  FT_TRY(const std::vector<float> samples,
         ft::resample(audio, front_end.mfcc.sample_rate));
  const std::vector<int64_t> shape = ft::audio_feature_shape(front_end);
  size_t size = 1;
  for (const int64_t d : shape) size *= static_cast<size_t>(d);
  std::vector<float> features(size);
  ft::FeatureExtractor(front_end).run(samples, features);
  FT_TRY(const std::vector<std::byte> file,
         ft::write_npy(ft::DType::kF32, shape,
                       std::as_bytes(std::span(features))));
  return ft::write_file_atomically(out, file);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: front_end_features FRONT_END AUDIO OUT.npy\n");
    return ft::exit_code(ft::Code::kUsage);
  }
  const ft::Status status = write_features(argv[1], argv[2], argv[3]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.message().c_str());
  return ft::exit_code(status.code());
}
