// Hostile files: 10,000 seeded mutations of real models and of a small one must
// give a model or a sentence, and stay within 4x the file size of memory.
// FT_SEED replays a run.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "base/file.h"
#include "base/random.h"
#include "formats/tflite/import.h"
#include "formats/tflite/test_model.h"
#include "tests/draws.h"

namespace {

// Live bytes of this process, by a header in front of every allocation.
std::atomic<size_t> live_bytes{0}, peak_bytes{0};
constexpr size_t kHeader = 16;

void* counted_alloc(size_t size) {
  auto* block = static_cast<char*>(std::malloc(size + kHeader));
  if (block == nullptr) std::abort();
  *reinterpret_cast<size_t*>(block) = size;
  const size_t now = live_bytes += size;
  size_t peak = peak_bytes;
  while (now > peak && !peak_bytes.compare_exchange_weak(peak, now)) {
  }
  return block + kHeader;
}

void counted_free(void* p) {
  if (p == nullptr) return;
  char* block = static_cast<char*>(p) - kHeader;
  live_bytes -= *reinterpret_cast<size_t*>(block);
  std::free(block);
}

}  // namespace

void* operator new(size_t size) { return counted_alloc(size); }
void* operator new[](size_t size) { return counted_alloc(size); }
void operator delete(void* p) noexcept { counted_free(p); }
void operator delete[](void* p) noexcept { counted_free(p); }
void operator delete(void* p, size_t) noexcept { counted_free(p); }
void operator delete[](void* p, size_t) noexcept { counted_free(p); }

namespace ft {
namespace {

using Bytes = std::vector<std::byte>;

// Weights are most of a model and any bytes will do there; half of all edits
// therefore aim at the tables, near the file's ends.
size_t position(const Bytes& file, Draws& draw) {
  const size_t n = file.size();
  if (n < 4096 || draw.below(2) == 0) return draw.below(n);
  return draw.below(2) == 0 ? draw.below(2048) : n - 1 - draw.below(n / 4);
}

void mutate(Bytes& file, Draws& draw) {
  switch (draw.below(6)) {
    case 0:  // bit flips
      for (uint32_t i = 0, n = 1 + draw.below(8); i < n; ++i)
        file[position(file, draw)] ^= std::byte{1} << draw.below(8);
      break;
    case 1:  // a byte of an extreme value
      file[position(file, draw)] =
          std::byte{std::array<uint8_t, 4>{0, 1, 0x7f, 0xff}[draw.below(4)]};
      break;
    case 2:  // random bytes
      for (uint32_t i = 0, n = 1 + draw.below(16); i < n; ++i)
        file[position(file, draw)] = draw.byte();
      break;
    case 3:  // cut off
      file.resize(draw.below(file.size()));
      break;
    case 4: {  // a piece copied elsewhere
      const size_t n = std::min<size_t>(1 + draw.below(64), file.size());
      const size_t from = draw.below(file.size() - n + 1);
      const size_t to = std::min(position(file, draw), file.size() - n);
      std::copy_n(Bytes(file).begin() + static_cast<ptrdiff_t>(from), n,
                  file.begin() + static_cast<ptrdiff_t>(to));
      break;
    }
    default: {  // a 32-bit field, where offsets, sizes and dimensions live
      const size_t at = position(file, draw) / 4 * 4;
      for (size_t i = at; i < std::min(at + 4, file.size()); ++i)
        file[i] = draw.below(3) == 0 ? std::byte{0xff} : draw.byte();
    }
  }
}

struct Corpus {
  std::vector<std::pair<std::string, Bytes>> files;
};

Corpus read_corpus() {
  Corpus corpus;
  corpus.files.emplace_back("small", testing::small_int8_model());
  corpus.files.emplace_back("lstm", testing::small_lstm_model());
  const std::string folder =
      std::string(FT_SOURCE_DIR) + "/../shared/models/mlperf_tiny";
  if (!std::filesystem::exists(folder)) {
    fmt::print("real models are absent (no folder {}): the small model only\n",
               folder);
    return corpus;
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".tflite") continue;
    const auto file = MappedFile::open(entry.path().string());
    if (file.ok())
      corpus.files.emplace_back(
          entry.path().filename().string(),
          Bytes(file->bytes().begin(), file->bytes().end()));
  }
  std::ranges::sort(corpus.files);
  return corpus;
}

struct Outcome {
  bool imported = false;
  size_t peak = 0;
};

Outcome import_counted(const Bytes& file, const ImportOptions& options) {
  const size_t before = live_bytes;
  peak_bytes = before;
  Outcome outcome;
  {
    const Result<TfliteModel> model = import_tflite(file, options);
    outcome.imported = model.ok();
    EXPECT_EQ(model.ok(), model.status().message().empty());
  }
  outcome.peak = peak_bytes - before;
  EXPECT_EQ(live_bytes, before) << "import leaks";
  return outcome;
}

constexpr size_t kAllowed = 64 << 10;

TEST(Mutations, NeverCrashAndStayWithinMemory) {
  const Corpus corpus = read_corpus();
  const uint64_t s = test_seed();
  fmt::print("FT_SEED={}\n", s);
  constexpr int kMutations = 10000;
  int imported = 0;
  for (int i = 0; i < kMutations; ++i) {
    const auto& [name, original] =
        corpus.files[static_cast<size_t>(i) % corpus.files.size()];
    Draws draw(static_cast<uint64_t>(i));
    Bytes file = original;
    for (uint32_t k = 0, n = 1 + draw.below(3); k < n && !file.empty(); ++k)
      mutate(file, draw);
    const ImportOptions options{.dequantize = i % 5 == 1,
                                .dynamic_range = i % 5 == 2,
                                .batch = i % 7 == 1 ? 4 : 0};
    const Outcome outcome = import_counted(file, options);
    imported += outcome.imported;
    ASSERT_LE(outcome.peak, 4 * file.size() + kAllowed)
        << name << ", mutation " << i << " of FT_SEED=" << s;
  }
  fmt::print("{} of {} mutated files still import\n", imported, kMutations);
  // Neither all nor nothing: the mutations reach past the verifier.
  EXPECT_GT(imported, kMutations / 100);
  EXPECT_LT(imported, kMutations);
}

TEST(Mutations, UnchangedModelsStayWithinMemory) {
  for (const auto& [name, file] : read_corpus().files) {
    for (const ImportOptions& options :
         {ImportOptions{}, ImportOptions{.dequantize = true},
          ImportOptions{.dynamic_range = true}}) {
      const Outcome outcome = import_counted(file, options);
      EXPECT_TRUE(outcome.imported) << name;
      EXPECT_LE(outcome.peak, 4 * file.size() + kAllowed) << name;
    }
  }
}

}  // namespace
}  // namespace ft
