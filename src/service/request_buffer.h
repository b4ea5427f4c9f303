// One HTTP/1.1 connection's bytes as they come, cut into whole requests.
//
// Everything about where a request ends is decided here, before any other code
// sees it, and more strictly than RFC 9112 asks: lines end in CRLF, a body has
// one Content-Length, nothing is compressed or chunked. What is doubtful is
// refused and the connection closed, so two readers can never disagree. Header
// lines that ask the library for what no client of a service needs (ranges,
// compression, 100-continue) are taken out of what it gets to see.
//
// Not thread-safe. Never holds more than the limits and one read.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace ft::service {

struct RequestLimits {
  size_t head_bytes = 16 << 10;
  size_t body_bytes = 4 << 20;
};

struct WholeRequest {
  std::string text;        // head and body, for the library
  bool keep_alive = true;  // the client wants to go on
};

struct RefusedRequest {
  int status = 400;
  std::string why;
};

class RequestBuffer {
 public:
  explicit RequestBuffer(const RequestLimits& limits) : limits_(limits) {}

  void add(std::string_view bytes);

  // Anything of a request that is not whole.
  bool has_begun() const { return !in_.empty(); }
  bool has_head() const { return head_.has_value(); }
  size_t held_bytes() const { return in_.capacity(); }
  // The next request, if all of it is there.
  std::optional<WholeRequest> take();
  // Why no request comes any more; the connection is to be closed.
  const std::optional<RefusedRequest>& refused() const { return refused_; }
  // What has come is dropped; nothing more is to be added.
  void forget();
  // Once for each request whose sender waits for "100 Continue".
  bool wants_continue();

 private:
  struct Head {
    size_t bytes = 0;  // of the head in in_
    size_t body_bytes = 0;
    std::string text = {};  // what is left of it
    bool keep_alive = true, expects_continue = false;
  };
  void refuse(int status, std::string why);
  void look_for_head();
  void read_head(std::string_view head);
  bool read_line(std::string_view line, Head& head);
  bool read_field(std::string_view name, std::string_view value, Head& head);

  const RequestLimits limits_;
  std::string in_;
  size_t searched_ = 0;  // no end of a head before here
  std::optional<Head> head_;
  std::optional<RefusedRequest> refused_;
  bool has_length_ = false, has_host_ = false;
};

}  // namespace ft::service
