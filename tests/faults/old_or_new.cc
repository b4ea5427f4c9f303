#include "tests/faults/old_or_new.h"

#include <filesystem>
#include <utility>

#include "base/file.h"

namespace ft::faults {
namespace {

namespace fs = std::filesystem;

std::string folder_of(const std::string& path) {
  return fs::path(path).parent_path();
}

}  // namespace

Files files_of(const std::string& folder) {
  Files files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      files[entry.path().lexically_relative(folder)] =
          read_text_file(entry.path()).value();
  return files;
}

OldOrNew::OldOrNew(const Files& before, std::string except)
    : except_(std::move(except)) {
  for (const auto& [path, bytes] : before)
    if (concerns(path)) allowed_[path] = {bytes};
}

bool OldOrNew::concerns(const std::string& path) const {
  return !path.empty() && !is_temporary_name(path) &&
         (except_.empty() || !path.starts_with(except_));
}

void OldOrNew::note(const std::string& path, const Disk& disk) {
  if (!concerns(path)) return;
  Contents& contents = allowed_[path];
  if (contents.empty()) contents.insert(std::nullopt);
  contents.insert(disk.contents(path));
}

void OldOrNew::apply(const Entry& entry, const Disk& disk) {
  if (entry.error != 0) return;
  switch (entry.call) {
    case Call::kOpen:
    case Call::kWrite:
    case Call::kTruncate:
      if (concerns(entry.path)) in_place_ = entry.path;
      break;
    case Call::kRename:
    case Call::kLink:
      note(entry.path, disk);
      note(entry.other, disk);
      break;
    case Call::kUnlink: note(entry.path, disk); break;
    case Call::kSyncFolder:
      for (auto& [path, contents] : allowed_)
        if (folder_of(path) == entry.path) contents = {disk.contents(path)};
      break;
    case Call::kSync:
    case Call::kMakeFolder:
    case Call::kRemoveFolder:
    case Call::kMark: break;
  }
}

std::string OldOrNew::wrong_with(const Files& left) const {
  if (!in_place_.empty()) return "'" + in_place_ + "' was written in place";
  for (const auto& [path, contents] : allowed_) {
    const auto at = left.find(path);
    const auto there = at == left.end()
                           ? std::nullopt
                           : std::optional<std::string>(at->second);
    if (!contents.contains(there))
      return "'" + path + "' is " +
             (there ? "neither the old one nor the new one" : "lost");
  }
  for (const auto& [path, bytes] : left)
    if (concerns(path) && !allowed_.contains(path))
      return "'" + path + "' is nobody's";
  return "";
}

std::string OldOrNew::unsafe() const {
  for (const auto& [path, contents] : allowed_)
    if (contents.size() != 1) return path;
  return "";
}

}  // namespace ft::faults
