// The power goes while a printed model installs, swaps and saves: after every
// reset one of its adapters is in use, whole, and answers as a Session does.
#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "adapters/device_image.h"
#include "base/file.h"
#include "base/random.h"
#include "codegen/device_model.h"
#include "exec/session.h"
#include "plan/parameters.h"
#include "sim_flash.h"
#include "train/step.h"

namespace ft {
namespace {

using test::SimFlash;
using test::Torn;
using Bytes = std::vector<uint8_t>;

constexpr const char* kModel =
    FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";
constexpr uint32_t kPage = 512, kUnit = 8;
constexpr uint32_t kVersions = 4;  // 0: none

// The printed model and its store, compiled here and loaded.
struct Shim {
  template <class F>
  static void find(void* library, const char* name, F*& function) {
    function = reinterpret_cast<F*>(dlsym(library, name));
    ASSERT_NE(function, nullptr) << name;
  }
  void load(const std::string& path) {
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << dlerror();
    find(library, "shim_region_bytes", region_bytes);
    find(library, "shim_reset", reset);
    find(library, "shim_keep", keep);
    find(library, "shim_put_back", put_back);
    find(library, "shim_install", install);
    find(library, "shim_swap", swap);
    find(library, "shim_save", save);
    find(library, "shim_load", load_state);
    find(library, "shim_selected", selected);
    find(library, "shim_version", version);
    find(library, "shim_values", values);
    find(library, "shim_training", training);
    find(library, "shim_start_training", start_training);
    find(library, "shim_train", train);
    find(library, "shim_answer", answer);
  }

  uint32_t (*region_bytes)(uint32_t page);
  ft_flash_status (*reset)(const ft_flash_driver*, uint32_t, uint32_t);
  void (*keep)();
  void (*put_back)();
  ft_flash_status (*install)(uint32_t number, const uint8_t*, uint32_t);
  ft_flash_status (*swap)(uint32_t number);
  ft_flash_status (*save)();
  ft_flash_status (*load_state)();
  uint32_t (*selected)();
  uint32_t (*version)(uint32_t number);
  const uint8_t* (*values)();
  const uint8_t* (*training)(int64_t* step);
  void (*start_training)();
  int (*train)(const void* input, uint32_t bytes, int32_t label);
  const void* (*answer)(const void* input, uint32_t bytes);
};

// What a device would show after a reset.
struct Seen {
  uint32_t selected = 0, versions[2] = {0, 0};
  Bytes state;  // step and values; empty: none
  bool operator==(const Seen&) const = default;
};

class StorePowerCut : public testing::Test {
 protected:
  void SetUp() override {
#ifdef FT_SANITIZED
    GTEST_SKIP() << "printed code is not sanitized here; flash_test is";
#endif
    folder_ = std::filesystem::temp_directory_path() /
              fmt::format("ft_store_{}", ::getpid());
    std::filesystem::create_directories(folder_);
    compile();
    if (!HasFatalFailure()) print_and_load();
    if (!HasFatalFailure()) make_adapters();
    if (HasFatalFailure()) return;
    flash_.emplace(shim_.region_bytes(kPage), kPage, kUnit);
    driver_ = flash_->driver();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void compile() {
    auto base = load_base(kModel, Precision::kMixed, 1);
    ASSERT_TRUE(base.ok()) << base.status().message();
    base_sha256_ = base->sha256;
    MethodSettings method;
    method.method = "ia3";
    method.num_classes = 5;
    const PlanOptions plan{.device = std::vector<Isa>{}, .exact = true};
    const OptimizerSettings sgd{
        .optimizer = "sgd", .lr = 0.01, .momentum = 0.9};
    auto train = compile_training(
        base->graph, {.method = method, .optimizer = sgd, .plan = plan});
    ASSERT_TRUE(train.ok()) << train.status().message();
    auto infer = compile_inference(base->graph, method, plan);
    ASSERT_TRUE(infer.ok()) << infer.status().message();
    train_.emplace(std::move(*train));
    infer_.emplace(std::move(*infer));
    schedule_ = schedule_of(sgd, 0);
  }

  void print_and_load() {
    auto printed = codegen::print_device_model(
        {.infer = &infer_->program,
         .train = &train_->program,
         .schedule = schedule_,
         .title = "test",
         .base_sha256 = base_sha256_,
         .store = {.adapters = 2, .public_key = key_.public_key()}});
    ASSERT_TRUE(printed.ok()) << printed.status().message();
    std::string sources;
    for (const codegen::OutputFile& f : printed->files) {
      std::filesystem::create_directories((folder_ / f.path).parent_path());
      ASSERT_TRUE(write_file_atomically((folder_ / f.path).string(),
                                        std::as_bytes(std::span(f.text)))
                      .ok());
      if (f.path.ends_with(".c")) sources += " " + f.path;
    }
    const std::string command = fmt::format(
        "cd {} && cc -std=c99 -O2 -fPIC -shared -Wl,-Bsymbolic "
        "-ffp-contract=off -Wall -Wextra -Wpedantic -Wconversion -Werror -I. "
        "{}/tests/mcu/store_shim.c{} -lm -o device.so",
        folder_.string(), FT_SOURCE_DIR, sources);
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    shim_.load((folder_ / "device.so").string());
  }

  // Values of their own for each number and version, with their images, and
  // what a Session answers with them.
  void make_adapters() {
    const Program& program = infer_->program;
    auto session = Session::create(program);
    ASSERT_TRUE(session.ok());
    const Random random(3, "store_test");
    uint64_t counter = 0;
    sample_.resize(session->input(0).size());
    for (uint8_t& byte : sample_)
      byte = static_cast<uint8_t>(random.bits(counter++));
    auto start = parameter_region(program);
    ASSERT_TRUE(start.ok());
    for (uint32_t number = 0; number < 2; ++number)
      for (uint32_t version = 1; version < kVersions; ++version) {
        for (const Binding& b : program.persistent) {
          const auto region = std::span(*start).subspan(
              b.ref.offset, b.type.shape.num_elements() * sizeof(float));
          for (size_t at = 0; at < region.size(); at += sizeof(float)) {
            const float value = 0.5F + random.uniform(counter++);
            std::memcpy(region.data() + at, &value, sizeof value);
          }
        }
        add_adapter(number, version, *start, *session);
      }
  }

  void add_adapter(uint32_t number, uint32_t version,
                   std::span<const std::byte> payload, Session& session) {
    DeviceImage image{.version = version, .parent = number, .payload = payload};
    image.base_hash = *hash_prefix(base_sha256_);
    image.plan_hash = *hash_prefix(plan_hash(infer_->program));
    auto bytes = encode_device_image(image, &key_);
    ASSERT_TRUE(bytes.ok());
    const auto copy = [](std::span<const std::byte> from) {
      const auto* at = reinterpret_cast<const uint8_t*>(from.data());
      return Bytes(at, at + from.size());
    };
    images_[number][version] = copy(*bytes);
    values_[number][version] = copy(payload);
    std::ranges::copy(payload, session.all_persistent().begin());
    std::ranges::copy(std::as_bytes(std::span(sample_)),
                      session.input(0).begin());
    session.run();
    answers_[number][version] = copy(session.output(1));
  }

  ft_flash_status reset() { return shim_.reset(&driver_, kPage, kUnit); }

  ft_flash_status install(uint32_t number, uint32_t version) {
    const Bytes& image = images_[number][version];
    return shim_.install(number, image.data(),
                         static_cast<uint32_t>(image.size()));
  }

  Bytes training() const {
    int64_t step = 0;
    const uint8_t* values = shim_.training(&step);
    Bytes all(values, values + train_->program.persistent_bytes);
    for (int i = 0; i < 8; ++i)
      all.push_back(static_cast<uint8_t>(step >> (8 * i)));
    return all;
  }

  void train(int steps) const {
    for (int i = 0; i < steps; ++i)
      ASSERT_TRUE(shim_.train(sample_.data(),
                              static_cast<uint32_t>(sample_.size()), i % 5));
  }

  // The adapter in use is one of those that were made, all of it.
  void expect_whole(const Seen& seen) const {
    const Bytes& values = values_[seen.selected][seen.versions[seen.selected]];
    if (values.empty()) return;  // none was ever installed
    ASSERT_TRUE(
        std::ranges::equal(values, std::span(shim_.values(), values.size())));
  }

  // As a Session, to the bit.
  void expect_answer(const Seen& seen) const {
    const Bytes& expected =
        answers_[seen.selected][seen.versions[seen.selected]];
    const auto* found = static_cast<const uint8_t*>(
        shim_.answer(sample_.data(), static_cast<uint32_t>(sample_.size())));
    ASSERT_TRUE(
        expected.empty() ||
        std::ranges::equal(expected, std::span(found, expected.size())));
  }

  void look(Seen& seen) {
    const ft_flash_status opened = reset();
    ASSERT_TRUE(opened == FT_FLASH_OK || opened == FT_FLASH_NO_ADAPTER)
        << ft_flash_status_text(opened);
    seen.selected = shim_.selected();
    for (uint32_t n = 0; n < 2; ++n) seen.versions[n] = shim_.version(n);
    expect_whole(seen);
    const ft_flash_status loaded = shim_.load_state();
    ASSERT_TRUE(loaded == FT_FLASH_OK || loaded == FT_FLASH_NO_STATE ||
                loaded == FT_FLASH_STALE_STATE)
        << ft_flash_status_text(loaded);
    seen.state = loaded == FT_FLASH_OK ? training() : Bytes();
    // A state replaces what is trained, not what ft_infer uses.
    expect_whole(seen);
  }

  // Again, from what the cut left behind.
  void expect_goes_on(const std::function<ft_flash_status()>& operation,
                      const Seen& after) {
    Seen seen;
    ASSERT_EQ(operation(), FT_FLASH_OK);
    look(seen);
    ASSERT_EQ(seen.selected, after.selected);
    ASSERT_TRUE(std::ranges::equal(seen.versions, after.versions));
    ASSERT_EQ(flash_->violations(), 0);
  }

  // All points of an operation that leads from `before` to `after`.
  void cut(const std::function<ft_flash_status()>& operation,
           const SimFlash& start, const Seen& before, const Seen& after,
           uint64_t bytes) {
    for (const Torn torn : {Torn::kPrefix, Torn::kRandom, Torn::kAllBits})
      for (uint64_t at = points_ % kStride; at <= bytes;
           at += kStride, ++points_) {
        *flash_ = start;
        shim_.put_back();
        flash_->cut_after(at, torn, static_cast<uint32_t>(points_));
        const ft_flash_status status = operation();
        ASSERT_FALSE(flash_->is_on());
        flash_->power_on();
        Seen seen;
        look(seen);
        if (HasFatalFailure()) return;
        ASSERT_TRUE(seen == after || (status != FT_FLASH_OK && seen == before))
            << "cut after " << at << " bytes: adapter " << seen.selected
            << ", versions " << seen.versions[0] << ' ' << seen.versions[1];
        if (points_ % 8 != 0) continue;
        expect_answer(seen);
        expect_goes_on(operation, after);
        if (HasFatalFailure()) return;
      }
  }

  // Runs it whole, and then with every cut; leaves the flash as after it.
  void step(const std::function<ft_flash_status()>& operation) {
    Seen before, after;
    shim_.keep();
    const SimFlash start = *flash_;
    look(before);
    shim_.put_back();
    ASSERT_EQ(operation(), FT_FLASH_OK);
    const uint64_t bytes = flash_->worked() - start.worked();
    look(after);
    ASSERT_FALSE(before == after);
    expect_answer(after);
    const SimFlash end = *flash_;
    cut(operation, start, before, after, bytes);
    *flash_ = end;
    (void)reset();
  }

  static constexpr uint64_t kStride = 17;
  const SigningKey key_ = SigningKey(std::array<uint8_t, 32>{1, 2, 3});
  std::filesystem::path folder_;
  std::string base_sha256_;
  ft_schedule schedule_ = {};
  std::optional<CompiledStep> train_, infer_;
  Shim shim_ = {};
  std::optional<SimFlash> flash_;
  ft_flash_driver driver_ = {};
  Bytes sample_;
  Bytes images_[2][kVersions], values_[2][kVersions], answers_[2][kVersions];
  uint64_t points_ = 0;
};

TEST_F(StorePowerCut, LeavesAnAdapterThatAnswersAndAStateThatResumes) {
  ASSERT_EQ(reset(), FT_FLASH_NO_ADAPTER);
  const auto save = [&] { return shim_.save(); };
  step([&] { return install(0, 1); });
  step([&] { return install(1, 1); });
  step([&] { return shim_.swap(1); });
  shim_.start_training();
  train(2);
  step(save);
  ASSERT_EQ(shim_.load_state(), FT_FLASH_OK);
  train(1);
  step(save);
  step([&] { return shim_.swap(0); });
  step([&] { return install(0, 2); });
  step([&] { return install(1, 3); });  // of the one that is not selected
  step([&] { return shim_.swap(1); });
  ASSERT_EQ(shim_.load_state(), FT_FLASH_STALE_STATE);
  ASSERT_EQ(install(1, 2), FT_FLASH_OLDER_VERSION);
  shim_.start_training();
  train(1);
  step(save);
  EXPECT_EQ(flash_->violations(), 0);
  EXPECT_GT(points_, 5000 / kStride);
  RecordProperty("points", static_cast<int>(points_));
  fmt::print("{} points\n", points_);
}

}  // namespace
}  // namespace ft
