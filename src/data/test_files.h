// Files that the tests of this folder make, and where the real ones lie.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/npy.h"

namespace ft {

// A folder of its own for each test, removed at its end.
class TempFolder {
 public:
  TempFolder() {
    std::string name =
        (std::filesystem::temp_directory_path() / "ft_data_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;

  // The path of `name` in it; folders on the way are made.
  std::string at(const std::string& name) const {
    const std::filesystem::path path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    return path.string();
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// 16-bit PCM, interleaved.
inline void write_wav(const std::string& path, uint32_t rate, uint16_t channels,
                      std::span<const int16_t> samples) {
  const auto data_bytes = static_cast<uint32_t>(samples.size() * 2);
  const auto frame_bytes = static_cast<uint16_t>(channels * 2);
  std::vector<std::byte> out;
  const auto put = [&](const auto& value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    out.insert(out.end(), bytes.begin(), bytes.end());
  };
  const auto put_text = [&](const char* text) {
    for (; *text != 0; ++text) out.push_back(static_cast<std::byte>(*text));
  };
  put_text("RIFF");
  put(uint32_t{36 + data_bytes});
  put_text("WAVEfmt ");
  put(uint32_t{16});
  put(uint16_t{1});
  put(channels);
  put(rate);
  put(uint32_t{rate * frame_bytes});
  put(frame_bytes);
  put(uint16_t{16});
  put_text("data");
  put(data_bytes);
  for (const int16_t s : samples) put(s);
  ASSERT_TRUE(write_file_atomically(path, out).ok());
}

template <class T>
void write_array(const std::string& path, DType dtype,
                 std::vector<int64_t> shape, const std::vector<T>& values) {
  const auto bytes = write_npy(dtype, shape, std::as_bytes(std::span(values)));
  ASSERT_TRUE(bytes.ok()) << bytes.status().message();
  ASSERT_TRUE(write_file_atomically(path, *bytes).ok());
}

// The message, or "" where there is no error.
template <class T>
std::string error_text(const Result<T>& result) {
  return result.ok() ? "" : result.status().message();
}

#define EXPECT_ERROR_HAS(result, part)                              \
  EXPECT_NE(::ft::error_text(result).find(part), std::string::npos) \
      << "message: '" << ::ft::error_text(result) << "'"

// Real inputs: FT_SHARED or the folder beside the repository. Tests that use
// them skip where they are absent.
inline std::string real_data(const std::string& name) {
  const char* shared = std::getenv("FT_SHARED");
  return (shared != nullptr ? std::string(shared)
                            : std::string(FT_SOURCE_DIR) + "/../shared") +
         "/data/" + name;
}
#define FT_SKIP_WITHOUT(path)         \
  if (!std::filesystem::exists(path)) \
  GTEST_SKIP() << "real input absent: " << (path)

}  // namespace ft
