#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <utility>

namespace ft::cli {
namespace {

volatile std::sig_atomic_t interrupt_count = 0;

extern "C" void on_interrupt(int signal) {
  interrupt_count = interrupt_count + 1;
  std::signal(signal, SIG_DFL);  // the second one ends the process
}

std::string readable_seconds(double seconds) {
  const auto s = std::llround(seconds);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s / 60 % 60);
}

}  // namespace

ProgressLine::ProgressLine(std::string what, int64_t total, bool quiet)
    : what_(std::move(what)),
      total_(std::max<int64_t>(total, 1)),
      quiet_(quiet),
      terminal_(::isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      last_(start_) {}

ProgressLine::~ProgressLine() {
  if (open_) std::fputc('\n', stderr);
}

bool ProgressLine::due(int64_t done) const {
  if (quiet_) return false;
  if (!terminal_) return done >= next_plain_ || done == total_;
  return done == total_ ||
         Clock::now() - last_ > std::chrono::milliseconds(100);
}

std::string ProgressLine::line(int64_t done, const std::string& detail) const {
  const double seconds =
      std::chrono::duration<double>(Clock::now() - start_).count();
  const auto fresh = static_cast<double>(done - first_done_);
  std::string text =
      fmt::format("{} {}/{} ({} %)", what_, done, total_, 100 * done / total_);
  if (fresh > 0 && seconds > 0) {
    const double rate = fresh / seconds;
    text += fmt::format("  {:.0f}/s", rate);
    if (done < total_)
      text += "  " +
              readable_seconds(static_cast<double>(total_ - done) / rate) +
              " left";
  }
  return text + (detail.empty() ? "" : "  " + detail);
}

void ProgressLine::update(int64_t done, const std::string& detail) {
  if (first_done_ < 0) first_done_ = done;
  if (!due(done)) return;
  last_ = Clock::now();
  next_plain_ = done + std::max<int64_t>(total_ / 10, 1);
  const std::string text = line(done, detail);
  if (terminal_) {
    std::fprintf(stderr, "\r%s\x1b[K", text.c_str());
    open_ = true;
  } else {
    std::fprintf(stderr, "%s\n", text.c_str());
  }
}

void catch_interrupts() {
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
}

bool interrupted() { return interrupt_count > 0; }

}  // namespace ft::cli
