// A file of a printed folder.
#pragma once

#include <string>

namespace ft::codegen {

struct OutputFile {
  std::string path;  // below the folder
  std::string text;
};

}  // namespace ft::codegen
