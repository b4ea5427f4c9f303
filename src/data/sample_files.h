// Finds the files of a data set and the class of each.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace ft {

struct SampleFile {
  std::string path;
  std::string name;  // below the data folder
  std::string label;
};

struct SampleFiles {
  std::vector<SampleFile> files;     // sorted by name
  std::vector<std::string> classes;  // sorted

  int label_of(const SampleFile& file) const;  // index into classes
};

// Files of `folder` for which `accepts` holds; others and hidden ones are not
// looked at. Without a label pattern the class is the subfolder, and a
// subfolder without samples is an error; with one, every file must match.
Result<SampleFiles> find_sample_files(const std::string& folder,
                                      const std::string& label_from,
                                      bool (*accepts)(std::string_view));

}  // namespace ft
