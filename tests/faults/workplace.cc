#include "tests/faults/workplace.h"

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"

namespace ft::faults {

namespace fs = std::filesystem;

Workplace::Workplace() {
  here_ = fs::read_symlink("/proc/self/exe").parent_path().string() + "/";
  const std::string root = fs::exists("/dev/shm") ? "/dev/shm" : "/tmp";
  work_ = fmt::format("{}/ft_faults_{}", root, getpid());
  fs::remove_all(work_);
  fs::create_directories(work_);
}

Workplace::~Workplace() {
  std::error_code error;  // a leftover in memory is no reason to end
  fs::remove_all(work_, error);
}

int Workplace::run(const std::string& command) const {
  const int status = std::system(
      fmt::format("( {} ) > {} 2>&1", command, path("out")).c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::string Workplace::said() const {
  return read_text_file(path("out")).value();
}

}  // namespace ft::faults
