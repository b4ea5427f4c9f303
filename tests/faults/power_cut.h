// What a power cut leaves of the files that a process wrote: from a record
// (record.h), for each call, folders as a disk may hold them.
//
// The model is what POSIX promises, which is less than file systems do: bytes
// are safe once their file was synced, names once their folder was. Of the
// rest anything may be there: each sector of an unsynced write, each unsynced
// change of a folder, a size without its bytes. A sync that failed makes
// nothing safe, and neither does a later one for the bytes before it, as Linux
// drops the pages of a failed write-back. Equal records and seeds give equal
// folders. It knows nothing of what the files mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "tests/faults/record.h"

namespace ft::faults {

struct Entry {
  Call call;
  int error;
  uint64_t id, offset;
  std::string path, other;
  std::string data;
};

Result<std::vector<Entry>> read_record(const std::string& path);

// The state of a disk after the first calls of a record.
class Disk {
 public:
  // What is there before the first call, all of it on disk; else nothing is.
  Status start_from(const std::string& folder);
  void apply(const Entry& entry);

  // What a program sees at `path`; nothing where there is no file.
  std::optional<std::string> contents(const std::string& path) const;

  // Writes into `folder` (which is emptied) one of the states that a power cut
  // after the applied calls may leave. Names for which `keep` is false are left
  // out: files that a program makes anew after a restart.
  Status leave(const std::string& folder, uint64_t seed) const;
  // What is there as long as the power is: for tests of the model.
  Status write_all(const std::string& folder) const;

 private:
  struct Change {  // of a file's contents
    bool truncates;
    bool lost;  // its sync failed: a later one does not save it
    uint64_t offset;
    std::string data;
  };
  struct File {
    std::string safe;
    std::vector<Change> pending;
    std::string now() const;
    std::string after_cut(const Random& random, uint64_t& counter) const;
  };
  // A change of one folder's names; 0: gone, 1: a folder, else a file's id.
  // Both halves of a rename within a folder happen together.
  using Names = std::map<std::string, uint64_t>;
  struct NameChange {
    std::vector<std::pair<std::string, uint64_t>> sets;
  };
  struct Folder {
    Names safe;
    std::vector<NameChange> pending;
    Names now() const;
    Names after_cut(const Random& random, uint64_t& counter) const;
  };

  void change_names(const std::string& from, uint64_t from_id,
                    const std::string& to, uint64_t to_id);
  uint64_t id_at(const std::string& path) const;
  void sync(File& file, bool failed) const;
  Status write_folder(const std::string& to, const std::string& path,
                      const Random* random, uint64_t& counter) const;

  std::map<uint64_t, File> files_;
  std::map<std::string, Folder> folders_ = {{"", {}}};
};

}  // namespace ft::faults
