// Takes connections, reads requests from all of them in one thread, and has
// them answered by a pool of others.
//
// A connection that sends slowly, reads slowly or does nothing costs its buffer
// and no thread: it is handed to the pool when its request is whole, and what
// the client does not take of the answer comes back from there. Limits are in
// ServerOptions; what exceeds one is answered (408, 413, 431, 503) and closed.
// Where there are too many connections the one that has been idle longest makes
// room; where they hold too many bytes, the one that holds most.
//
// stop() is graceful: listeners are closed, requests that have come whole are
// answered, other connections closed, and run() returns when the last one is.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "service/connection.h"
#include "service/http_engine.h"
#include "service/listeners.h"
#include "service/server_load.h"

namespace ft::service {

struct ServerOptions {
  RequestLimits limits = {};
  TimeLimits times = {};
  int threads = 4;
  size_t max_connections = 256;
  // Of requests and of answers that clients have not taken, of all connections.
  size_t held_bytes = 64 << 20;
  // Paths whose answers may wait for a disk or a training; empty: none.
  std::function<bool(std::string_view path)> may_wait = {};
  std::shared_ptr<ServerLoad> load = {};  // counted for whoever shows it
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
