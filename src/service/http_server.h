// Takes connections, reads requests from all of them in one thread, and has
// them answered by a pool of others.
//
// A connection that sends slowly or nothing costs its buffer and no thread: it
// is handed to the pool when its request is whole, and back when the answer is
// written. Limits are in ServerOptions; what exceeds one is answered (408, 413,
// 431, 503) and closed, never waited for.
//
// stop() is graceful: listeners are closed, requests that have come whole are
// answered, other connections closed, and run() returns when the last one is.
#pragma once

#include <memory>
#include <vector>

#include "service/http_engine.h"
#include "service/listeners.h"

namespace ft::service {

struct ServerOptions {
  RequestLimits limits = {};
  int threads = 4;
  size_t max_connections = 256;
  int request_seconds = 10;  // from a request's first byte to its last
  int answer_seconds = 10;   // for the client to take an answer
  int idle_seconds = 60;     // between two requests
};

class HttpServer {
 public:
  static Result<HttpServer> create(std::vector<Listener> listeners,
                                   Handler handler,
                                   const ServerOptions& options = {});
  HttpServer(HttpServer&&) noexcept;
  ~HttpServer();

  const std::vector<Listener>& listeners() const;  // none once it stops
  // Serves until stop().
  void run();
  void stop();  // from any thread

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace ft::service
