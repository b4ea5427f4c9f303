#include "service/request_buffer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

namespace ft::service {
namespace {

constexpr std::string_view kEnd = "\r\n\r\n";

bool equal_words(std::string_view a, std::string_view b) {
  const auto lower = [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

// Whether a word is among those of a list (RFC 9110, 5.6.1).
bool lists(std::string_view value, std::string_view word) {
  while (true) {
    const size_t comma = value.find(',');
    if (equal_words(trimmed(value.substr(0, comma)), word)) return true;
    if (comma == value.npos) return false;
    value.remove_prefix(comma + 1);
  }
}

// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) !=
               std::string_view::npos;
  });
}

// Printable ASCII; a control character in a line is nobody's honest request.
bool is_text(std::string_view line) {
  return std::ranges::all_of(
      line, [](char c) { return (c >= ' ' && c <= '~') || c == '\t'; });
}

}  // namespace

void RequestBuffer::refuse(int status, std::string why) {
  refused_ = RefusedRequest{status, std::move(why)};
  // Not forget(): who refuses a line may still look at it.
  in_.clear();
  head_.reset();
}

void RequestBuffer::forget() {
  std::string().swap(in_);
  head_.reset();
}

void RequestBuffer::add(std::string_view bytes) {
  if (refused_) return;
  in_ += bytes;
  if (!head_) look_for_head();
}

void RequestBuffer::look_for_head() {
  const size_t from = searched_ < kEnd.size() ? 0 : searched_ - kEnd.size();
  const size_t end = in_.find(kEnd, from);
  searched_ = in_.size();
  const size_t bytes = end == in_.npos ? in_.size() : end + kEnd.size();
  if (bytes > limits_.head_bytes)
    return refuse(431, fmt::format("the request's header is above {} bytes",
                                   limits_.head_bytes));
  if (end != in_.npos) read_head(std::string_view(in_).substr(0, end + 2));
}

// `head` ends in the last line's CRLF.
void RequestBuffer::read_head(std::string_view head) {
  Head found{.bytes = head.size() + 2};
  has_length_ = has_host_ = false;
  bool is_first = true;
  while (!head.empty()) {
    const size_t end = head.find("\r\n");
    const std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 2);
    if (!is_text(line))
      return refuse(400, "a line of the request's header is no ASCII text");
    if (is_first) {
      const bool is_old = line.ends_with(" HTTP/1.0");
      if (std::ranges::count(line, ' ') != 2 ||
          !(is_old || line.ends_with(" HTTP/1.1")) || line.size() > 2048)
        return refuse(400,
                      "the request does not begin with METHOD PATH HTTP/1.1");
      found.keep_alive = !is_old;
      found.text = fmt::format("{}\r\n", line);
      is_first = false;
    } else if (!read_line(line, found)) {
      return;
    }
  }
  found.text += "\r\n";
  if (!has_host_ && found.keep_alive)
    return refuse(400, "the request has no field Host");
  head_ = std::move(found);
}

bool RequestBuffer::read_line(std::string_view line, Head& head) {
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  if (colon == line.npos || !is_token(name)) {
    refuse(400, "a line of the request's header is no 'Name: value'");
    return false;
  }
  return read_field(name, trimmed(line.substr(colon + 1)), head);
}

bool RequestBuffer::read_field(std::string_view name, std::string_view value,
                               Head& head) {
  const auto is = [&](std::string_view other) {
    return equal_words(name, other);
  };
  if (is("Transfer-Encoding")) {
    refuse(411, "a body needs a Content-Length; chunks are not taken");
  } else if (is("Content-Encoding") && !equal_words(value, "identity")) {
    refuse(415, "a compressed body is not taken");
  } else if (is("Upgrade")) {
    return true;  // may be ignored (RFC 9110, 7.8)
  } else if (is("Content-Length")) {
    uint64_t bytes = 0;
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), bytes);
    if (std::exchange(has_length_, true) ||
        end != value.data() + value.size() ||
        (error != std::errc() && error != std::errc::result_out_of_range))
      refuse(400, "Content-Length is not one number");
    else if (error != std::errc() || bytes > limits_.body_bytes)
      refuse(413,
             fmt::format("the body is above {} bytes", limits_.body_bytes));
    head.body_bytes = bytes;
  } else if (is("Host") && std::exchange(has_host_, true)) {
    refuse(400, "the request has several fields Host");
  } else if (is("Expect")) {
    if (!equal_words(value, "100-continue"))
      refuse(417, "nothing but 100-continue can be expected");
    head.expects_continue = true;
    return !refused_;
  } else if (is("Connection")) {
    head.keep_alive = head.keep_alive && !lists(value, "close");
    return true;
  } else if (is("Range") || is("Accept-Encoding")) {
    return true;
  }
  head.text += fmt::format("{}: {}\r\n", name, value);
  return !refused_;
}

std::optional<WholeRequest> RequestBuffer::take() {
  if (!head_ || in_.size() < head_->bytes + head_->body_bytes) return {};
  WholeRequest request{.text = std::move(head_->text),
                       .keep_alive = head_->keep_alive};
  request.text.append(in_, head_->bytes, head_->body_bytes);
  in_.erase(0, head_->bytes + head_->body_bytes);
  // A large request's memory is not the connection's for ever.
  if (in_.size() < in_.capacity() / 4) in_.shrink_to_fit();
  head_.reset();
  searched_ = 0;
  if (!in_.empty()) look_for_head();
  return request;
}

bool RequestBuffer::wants_continue() {
  return head_ && std::exchange(head_->expects_continue, false) &&
         in_.size() < head_->bytes + head_->body_bytes;
}

}  // namespace ft::service
