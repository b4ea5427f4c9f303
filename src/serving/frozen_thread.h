// For tests: a thread that gets no core, from whatever moment on.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

namespace ft {

// The thread of the name that ps shows; 0: there is none.
inline pid_t thread_named(const std::string& wanted) {
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream file(task.path() / "comm");
    std::string name;
    if (std::getline(file, name) && name == wanted)
      return std::stoi(task.path().filename());
  }
  return 0;
}

// The thread is stopped as long as this exists, five seconds at most. One at a
// time.
class FrozenThread {
 public:
  explicit FrozenThread(pid_t thread) {
    frozen_ = thawed_ = false;
    struct sigaction action = {};
    action.sa_handler = freeze;
    (void)::sigaction(SIGUSR1, &action, &before_);
    if (::tgkill(::getpid(), thread, SIGUSR1) == 0) wait_until(frozen_, true);
  }
  FrozenThread(FrozenThread&&) = delete;
  ~FrozenThread() {
    thawed_ = true;
    wait_until(frozen_, false);
    (void)::sigaction(SIGUSR1, &before_, nullptr);
  }

 private:
  static void freeze(int) {
    frozen_ = true;
    for (int i = 0; i < 5000 && !thawed_; ++i) (void)::poll(nullptr, 0, 1);
    frozen_ = false;
  }
  static void wait_until(const std::atomic<bool>& flag, bool value) {
    while (flag != value)
      std::this_thread::sleep_for(std::chrono::microseconds(100));
  }

  static inline std::atomic<bool> frozen_{false}, thawed_{false};
  struct sigaction before_ = {};
};

}  // namespace ft
