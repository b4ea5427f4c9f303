// Which samples a folder of trainings has, and their end.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "adapters/store/index.h"
#include "base/file.h"
#include "service/sample_file.h"

namespace ft::service {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEnding = ".samples";
constexpr const char* kBeside[] = {"-wal", "-shm", "-journal"};

// Of the file first, then of what SQLite keeps beside it, and of one that was
// never finished.
std::vector<std::string> all_names(const std::string& path) {
  std::vector<std::string> names;
  for (const std::string& file : {path, path + ".new"}) {
    names.push_back(file);
    for (const char* ending : kBeside) names.push_back(file + ending);
  }
  return names;
}

// Also of a deletion that was interrupted: a log has samples, too.
std::vector<std::string> all_that_is_left(const std::string& path) {
  std::vector<std::string> names = all_names(path);
  std::erase_if(names, [](const std::string& name) {
    std::error_code error;
    return !fs::exists(name, error) && !error;
  });
  return names;
}

// So that nobody else has it open. Reads only: a full disk is why samples are
// deleted.
Result<store::Database> hold(const std::string& path) {
  FT_TRY(auto db, store::Database::open(path, store::Database::Mode::kWrite, 0,
                                        "samples '" + path + "'"));
  FT_TRY_STATUS(db.execute("PRAGMA locking_mode = EXCLUSIVE"));
  FT_TRY_STATUS(db.execute("SELECT count(*) FROM sqlite_schema"));
  return db;
}

}  // namespace

std::string sample_file_of(const std::string& folder,
                           const std::string& adapter) {
  return folder + "/" + adapter + kEnding;
}

uint64_t sample_file_bytes(const std::string& path) {
  uint64_t bytes = 0;
  const auto add = [&](const std::string& name) {
    std::error_code error;
    const uintmax_t size = fs::file_size(name, error);
    if (!error) bytes += size;
  };
  add(path);
  for (const char* ending : kBeside) add(path + ending);
  return bytes;
}

KeptSamples SampleFile::facts() const {
  return {.adapter = fs::path(path_).stem(),
          .samples = count_,
          .features = kind_.features,
          .bytes = sample_file_bytes(path_),
          .classes = kind_.classes,
          .is_encrypted = is_encrypted_};
}

Result<std::vector<KeptSamples>> list_samples(const std::string& folder,
                                              const std::string& open) {
  std::vector<KeptSamples> list;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().stem();
    if (at->path().extension() != kEnding || name == open ||
        !store::check_name(name).ok())
      continue;
    const std::string path = sample_file_of(folder, name);
    const auto opened = SampleFile::open_to_look(path);
    list.push_back(opened.ok()
                       ? opened->facts()
                       : KeptSamples{.adapter = name,
                                     .bytes = sample_file_bytes(path),
                                     .problem = opened.status().message()});
  }
  if (error)
    return io_error("cannot list '" + folder + "': " + error.message());
  std::ranges::sort(list, {}, &KeptSamples::adapter);
  return list;
}

Status delete_samples(const std::string& folder, const std::string& adapter) {
  FT_TRY_STATUS(store::check_name(adapter));
  const std::string path = sample_file_of(folder, adapter);
  const std::vector<std::string> there = all_that_is_left(path);
  if (there.empty())
    return usage_error(
        fmt::format("there are no samples of '{}' in '{}'", adapter, folder));
  std::optional<Result<store::Database>> held;
  if (there.front() == path) {
    held.emplace(hold(path));
    if (!held->ok() && held->status().code() == Code::kIo)
      return held->status();
  }
  for (const std::string& name : all_names(path))
    FT_TRY_STATUS(remove_file(name));
  return ok_status();
}

}  // namespace ft::service
