// SQLite's files in memory, for fuzzing the index: the same calls of SQLite and
// of ours as with files, without the cost of a file system.
//
// One process, one thread: locks are granted always. A name stands for its
// bytes until they are removed; shared memory of a write-ahead log lives with
// its file. Nothing is ever durable. Not for programs.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace ft::store {

class MemoryFiles {
 public:
  // Makes SQLite use these files wherever no other VFS is named. There may be
  // one such object, and it stays until the process ends.
  static MemoryFiles& install();

  void put(const std::string& name, std::string bytes);
  void remove(const std::string& name) { files_.erase(name); }
  std::string get(const std::string& name) const;

  struct File {
    std::string bytes;
    std::vector<std::unique_ptr<char[]>> shared;  // regions of the log's index
  };
  // An empty one where there is none and `make`; null where not.
  std::shared_ptr<File> open(const std::string& name, bool make);
  bool has(const std::string& name) const { return files_.contains(name); }

 private:
  MemoryFiles() = default;
  std::map<std::string, std::shared_ptr<File>> files_;
};

}  // namespace ft::store
