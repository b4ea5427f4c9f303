#include "service/answer_log.h"

#include <fmt/format.h>
#include <sodium.h>

#include <charconv>

namespace ft::service {

AnswerLog::AnswerLog(size_t size)
    : prefix_(fmt::format("{:08x}-", ::randombytes_random())), rows_(size) {}

std::string AnswerLog::add(GivenAnswer answer) {
  const std::lock_guard lock(mutex_);
  const uint64_t number = next_++;
  rows_[number % rows_.size()] = {number, std::move(answer)};
  return fmt::format("{}{}", prefix_, number);
}

Result<GivenAnswer> AnswerLog::take(const std::string& id) {
  uint64_t number = 0;
  const char* const end = id.data() + id.size();
  const bool ours = id.starts_with(prefix_);
  const auto parsed =
      std::from_chars(id.data() + (ours ? prefix_.size() : 0), end, number);
  const std::lock_guard lock(mutex_);
  Row& row = rows_[number % rows_.size()];
  if (!ours || parsed.ec != std::errc() || parsed.ptr != end || number == 0 ||
      row.number != number)
    return usage_error(fmt::format(
        "no answer '{}' waits for feedback: it is unknown, was judged before "
        "or is not among the last {}",
        id.substr(0, 64), rows_.size()));
  row.number = 0;
  return std::move(row.answer);
}

}  // namespace ft::service
