// From the bytes of one whole request to the bytes of its answer: cpp-httplib
// parses and formats, a handler answers. No sockets, so that tests and the
// fuzzer drive it as the server does (http_server.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "service/reply.h"
#include "service/request_buffer.h"

namespace ft::service {

struct Call {
  std::string method, path;  // the path without its query, decoded
  std::string content_type;  // without parameters, lower case
  std::string host, origin;  // fields of a browser; empty: not there
  bool is_network = false;   // came over TCP
  std::string body;
};

using Handler = std::function<Reply(const Call&)>;

struct EngineAnswer {
  std::string text;
  bool close = false;
};

class HttpEngine {
 public:
  explicit HttpEngine(Handler handler);
  HttpEngine(HttpEngine&&) = delete;
  ~HttpEngine();

  // By any number of threads at once. With `close` the connection is to end
  // with this answer, and the answer says so.
  EngineAnswer answer(const WholeRequest& request, bool is_network, bool close);

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

// The answer to what is no request; the connection ends with it.
std::string refusal_text(const RefusedRequest& refused);

}  // namespace ft::service
