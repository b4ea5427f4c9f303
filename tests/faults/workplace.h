// Where a test of faults works: a folder in memory that is gone with it, and
// the build's programs, which it runs in a shell.
#pragma once

#include <string>

namespace ft::faults {

class Workplace {
 public:
  Workplace();
  ~Workplace();
  Workplace(const Workplace&) = delete;
  Workplace& operator=(const Workplace&) = delete;

  std::string path(const std::string& name) const { return work_ + "/" + name; }
  // Of the folder that the test's own program is in.
  std::string program(const std::string& name) const { return here_ + name; }
  std::string recorder() const { return program("libft_fault_recorder.so"); }

  // Runs it in a shell; its exit status, -1: it did not end by itself.
  int run(const std::string& command) const;
  // What the last one wrote.
  std::string said() const;

 private:
  std::string here_, work_;
};

}  // namespace ft::faults
