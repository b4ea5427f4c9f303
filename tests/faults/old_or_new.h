// What files may hold after a power cut if each is only ever replaced whole:
// all contents that a name has had since its folder was last synced.
//
// Follows a record (record.h) call by call. Not for files that are written in
// place, as SQLite's are: one of them is an error here.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "tests/faults/power_cut.h"

namespace ft::faults {

// Relative paths to bytes; folders are not told.
using Files = std::map<std::string, std::string>;
Files files_of(const std::string& folder);

class OldOrNew {
 public:
  // Says nothing of paths that begin with `except`; empty: of all.
  explicit OldOrNew(const Files& before, std::string except = {});
  // `disk` has had the same calls, this one included.
  void apply(const Entry& entry, const Disk& disk);

  // What is wrong with what a fault left; empty: nothing. Temporary files may
  // be there.
  std::string wrong_with(const Files& left) const;
  // A file whose last change is not safe yet; empty: none.
  std::string unsafe() const;

 private:
  using Contents = std::set<std::optional<std::string>>;
  bool concerns(const std::string& path) const;
  void note(const std::string& path, const Disk& disk);

  std::map<std::string, Contents> allowed_;
  std::string except_;
  std::string in_place_;  // a file that was written so
};

}  // namespace ft::faults
