// Progress of long work on stderr, and Ctrl-C as a question to ask.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace ft::cli {

// On a terminal one line that is rewritten ten times a second, with rate and
// time left; elsewhere a plain line at each tenth of the work. Quiet: nothing.
class ProgressLine {
 public:
  ProgressLine(std::string what, int64_t total, bool quiet);
  ~ProgressLine();

  // `detail` is shown behind the counts, e.g. "loss 0.412".
  void update(int64_t done, const std::string& detail);
  // True when update() would print: saves formatting the detail.
  bool due(int64_t done) const;

 private:
  using Clock = std::chrono::steady_clock;

  std::string line(int64_t done, const std::string& detail) const;

  std::string what_;
  int64_t total_;
  bool quiet_, terminal_;
  Clock::time_point start_, last_;
  int64_t first_done_ = -1;
  int64_t next_plain_ = 0;
  bool open_ = false;
};

// From now on SIGINT and SIGTERM only set a flag; a second one kills.
void catch_interrupts();
bool interrupted();

}  // namespace ft::cli
