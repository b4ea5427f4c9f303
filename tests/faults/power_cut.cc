#include "tests/faults/power_cut.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/file.h"

namespace ft::faults {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kGone = 0, kFolder = 1;
// Ids of the record are above the two that have a meaning here.
constexpr uint64_t id_of(uint64_t recorded) { return recorded + kFolder; }

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string name_in(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

void put(std::string& bytes, uint64_t offset, std::string_view data) {
  if (bytes.size() < offset + data.size())
    bytes.resize(offset + data.size(), '\0');
  bytes.replace(offset, data.size(), data);
}

// How much of what is unsynced survives.
enum class Mode { kNothing, kAll, kPrefix, kAny };
Mode mode_of(const Random& random, uint64_t& counter) {
  constexpr Mode kModes[] = {Mode::kNothing, Mode::kAll, Mode::kPrefix,
                             Mode::kPrefix,  Mode::kAny, Mode::kAny};
  return kModes[random.below(counter++, 6)];
}

}  // namespace

Result<std::vector<Entry>> read_record(const std::string& path) {
  FT_TRY(const std::string text, read_text_file(path));
  std::vector<Entry> entries;
  for (size_t at = 0; at < text.size();) {
    EntryHead head;
    if (text.size() - at < sizeof(head))
      return invalid_input("the record '" + path + "' ends within an entry");
    std::memcpy(&head, text.data() + at, sizeof(head));
    at += sizeof(head);
    const auto take = [&](size_t size) {
      std::string part = text.substr(at, size);
      at += size;
      return part;
    };
    if (text.size() - at <
        size_t{head.path_bytes} + head.other_bytes + head.data_bytes)
      return invalid_input("the record '" + path + "' ends within an entry");
    Entry entry{head.call, head.error, head.id, head.offset, "", "", ""};
    entry.path = take(head.path_bytes);
    entry.other = take(head.other_bytes);
    entry.data = take(head.data_bytes);
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::string Disk::File::now() const {
  std::string bytes = safe;
  for (const Change& change : pending)
    if (change.truncates)
      bytes.resize(change.offset, '\0');
    else
      put(bytes, change.offset, change.data);
  return bytes;
}

// Sectors of 512 bytes, or pages of 4096, of each unsynced write are there or
// not; in a prefix only the last write is torn. A file may have grown without
// its bytes.
std::string Disk::File::after_cut(const Random& random,
                                  uint64_t& counter) const {
  if (pending.empty()) return safe;
  const Mode mode = mode_of(random, counter);
  const size_t sector = random.below(counter++, 2) == 0 ? 512 : 4096;
  size_t whole = pending.size();
  if (mode == Mode::kPrefix)
    whole = random.below(counter++, static_cast<uint32_t>(pending.size()));
  std::string bytes = safe;
  for (size_t i = 0; i < pending.size(); ++i) {
    const Change& change = pending[i];
    if (mode == Mode::kNothing || (mode == Mode::kPrefix && i > whole)) break;
    const bool torn = mode == Mode::kAny || i == whole;
    if (change.truncates) {
      if (!torn || random.below(counter++, 2) == 0)
        bytes.resize(change.offset, '\0');
      continue;
    }
    for (size_t at = 0; at < change.data.size();) {
      const size_t in_sector = sector - (change.offset + at) % sector;
      const size_t size = std::min(in_sector, change.data.size() - at);
      if (!torn || random.below(counter++, 2) == 0)
        put(bytes, change.offset + at,
            std::string_view(change.data).substr(at, size));
      at += size;
    }
  }
  const std::string last = now();
  if (bytes.size() < last.size() && random.below(counter++, 2) == 0)
    bytes.resize(last.size(), '\0');
  return bytes;
}

Disk::Names Disk::Folder::now() const {
  Names names = safe;
  for (const NameChange& change : pending)
    for (const auto& [name, id] : change.sets) names[name] = id;
  return names;
}

Disk::Names Disk::Folder::after_cut(const Random& random,
                                    uint64_t& counter) const {
  if (pending.empty()) return safe;
  const Mode mode = mode_of(random, counter);
  size_t kept = mode == Mode::kNothing ? 0 : pending.size();
  if (mode == Mode::kPrefix)
    kept = random.below(counter++, static_cast<uint32_t>(pending.size() + 1));
  Names names = safe;
  for (size_t i = 0; i < kept; ++i) {
    if (mode == Mode::kAny && random.below(counter++, 2) == 0) continue;
    for (const auto& [name, id] : pending[i].sets) names[name] = id;
  }
  return names;
}

uint64_t Disk::id_at(const std::string& path) const {
  const auto folder = folders_.find(parent_of(path));
  if (folder == folders_.end()) return kGone;
  const Names names = folder->second.now();
  const auto at = names.find(name_in(path));
  return at == names.end() ? kGone : at->second;
}

void Disk::change_names(const std::string& from, uint64_t from_id,
                        const std::string& to, uint64_t to_id) {
  const std::string folder = parent_of(from), to_folder = parent_of(to);
  NameChange change{{{name_in(from), from_id}}};
  if (!to.empty() && folder == to_folder)
    change.sets.emplace_back(name_in(to), to_id);
  folders_[folder].pending.push_back(std::move(change));
  if (!to.empty() && folder != to_folder)
    folders_[to_folder].pending.push_back({{{name_in(to), to_id}}});
}

void Disk::sync(File& file, bool failed) const {
  if (failed) {
    for (Change& change : file.pending) change.lost = true;
    return;
  }
  // What was lost on the way may be there or not; what came after it is.
  std::vector<Change> lost;
  bool any = false;
  for (const Change& change : file.pending) any |= change.lost;
  if (!any) {
    file.safe = file.now();
    file.pending.clear();
    return;
  }
  // The safe part is written over what stays uncertain.
  File rest{file.safe, {}};
  for (const Change& change : file.pending)
    (change.lost ? lost : rest.pending).push_back(change);
  file.safe = rest.now();
  file.pending.clear();
  for (Change& change : lost) {
    if (change.truncates) continue;
    // Later safe writes to the same bytes win.
    for (const Change& later : rest.pending)
      if (!later.truncates && later.offset <= change.offset &&
          later.offset + later.data.size() >=
              change.offset + change.data.size())
        change.data.clear();
    if (!change.data.empty()) file.pending.push_back(change);
  }
}

// Ids of the record are below these.
Status Disk::start_from(const std::string& folder) {
  uint64_t id = uint64_t{1} << 40;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder, error), end;
       !error && at != end; at.increment(error)) {
    const std::string path = at->path().lexically_relative(folder);
    uint64_t& name = folders_[parent_of(path)].safe[name_in(path)];
    name = kFolder;
    if (at->is_directory()) {
      folders_[path];
      continue;
    }
    name = ++id;
    FT_TRY(files_[id].safe, read_text_file(at->path()));
  }
  if (error)
    return io_error("cannot list '" + folder + "': " + error.message());
  return ok_status();
}

std::optional<std::string> Disk::contents(const std::string& path) const {
  const auto file = files_.find(id_at(path));
  if (file == files_.end()) return std::nullopt;
  return file->second.now();
}

void Disk::apply(const Entry& entry) {
  const uint64_t id = id_of(entry.id);
  const bool failed = entry.error != 0;
  if (failed && entry.call != Call::kSync) return;
  switch (entry.call) {
    case Call::kOpen:
      files_[id] = {};
      change_names(entry.path, id, "", 0);
      break;
    case Call::kWrite:
      files_[id].pending.push_back({false, false, entry.offset, entry.data});
      break;
    case Call::kTruncate:
      files_[id].pending.push_back({true, false, entry.offset, ""});
      break;
    case Call::kSync: sync(files_[id], failed); break;
    case Call::kSyncFolder: {
      Folder& folder = folders_[entry.path];
      folder.safe = folder.now();
      folder.pending.clear();
      break;
    }
    case Call::kRename:
      change_names(entry.path, kGone, entry.other, id_at(entry.path));
      break;
    case Call::kLink:
      change_names(entry.other, id_at(entry.path), "", 0);
      break;
    case Call::kUnlink:
    case Call::kRemoveFolder: change_names(entry.path, kGone, "", 0); break;
    case Call::kMakeFolder:
      if (entry.path.empty()) break;
      folders_[entry.path] = {};
      change_names(entry.path, kFolder, "", 0);
      break;
    case Call::kMark: break;
  }
}

Status Disk::write_folder(const std::string& to, const std::string& path,
                          const Random* random, uint64_t& counter) const {
  std::error_code error;
  fs::create_directories(to, error);
  if (error) return io_error("cannot make '" + to + "': " + error.message());
  const auto folder = folders_.find(path);
  if (folder == folders_.end()) return ok_status();
  const Names names = random != nullptr
                          ? folder->second.after_cut(*random, counter)
                          : folder->second.now();
  for (const auto& [name, id] : names) {
    if (id == kGone) continue;
    const std::string below = path.empty() ? name : path + "/" + name;
    if (id == kFolder) {
      FT_TRY_STATUS(write_folder(to + "/" + name, below, random, counter));
      continue;
    }
    const auto file = files_.find(id);
    if (file == files_.end()) continue;
    const std::string bytes = random != nullptr
                                  ? file->second.after_cut(*random, counter)
                                  : file->second.now();
    std::ofstream out(to + "/" + name, std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out) return io_error("cannot write '" + to + "/" + name + "'");
  }
  return ok_status();
}

Status Disk::leave(const std::string& folder, uint64_t seed) const {
  fs::remove_all(folder);
  const Random random(seed, "power cut");
  uint64_t counter = 0;
  return write_folder(folder, "", &random, counter);
}

Status Disk::write_all(const std::string& folder) const {
  fs::remove_all(folder);
  uint64_t counter = 0;
  return write_folder(folder, "", nullptr, counter);
}

}  // namespace ft::faults
