#include "cli/demo/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace ft::cli {
namespace {

Status check_exit(const std::string& program, int state) {
  if (WIFEXITED(state) && WEXITSTATUS(state) == 0) return ok_status();
  if (WIFEXITED(state))
    return io_error(
        fmt::format("'{}' ended with code {}", program, WEXITSTATUS(state)));
  return io_error(
      fmt::format("'{}' was ended by signal {}", program, WTERMSIG(state)));
}

}  // namespace

Status run_process(const std::vector<std::string>& argv,
                   const std::string& if_missing) {
  std::vector<char*> pointers;
  for (const std::string& a : argv)
    pointers.push_back(const_cast<char*>(a.c_str()));  // POSIX keeps them
  pointers.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
    ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, pointers[0], &actions, nullptr,
                                   pointers.data(), ::environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error == ENOENT)
    return io_error(
        fmt::format("there is no program '{}': {}", argv[0], if_missing));
  if (error != 0)
    return io_error(
        fmt::format("cannot start '{}': {}", argv[0], std::strerror(error)));

  int state = 0;
  while (::waitpid(child, &state, 0) < 0)
    if (errno != EINTR)
      return io_error(fmt::format("lost the process of '{}': {}", argv[0],
                                  std::strerror(errno)));
  return check_exit(argv[0], state);
}

}  // namespace ft::cli
