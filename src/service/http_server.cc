#include "service/http_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <thread>

#include "service/answer_pool.h"

namespace ft::service {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

struct Connection {
  Connection(int fd, bool network, const RequestLimits& limits)
      : socket(fd), is_network(network), requests(limits) {}
  FileDescriptor socket;
  const bool is_network;
  RequestBuffer requests;
  bool is_busy = false;  // its request is with the pool, so is the socket
  // Refused: what it still sends is dropped until it ends or the time is up,
  // as closing with bytes unread would take the refusal from the client.
  bool is_refused = false;
  Clock::time_point since = Clock::now();  // idle, or the request's first byte
};

constexpr seconds kRefusedStay{2};

}  // namespace

struct HttpServer::Impl {
  Impl(std::vector<Listener> l, Handler handler, const ServerOptions& o)
      : listeners(std::move(l)), options(o), engine(std::move(handler)) {}

  Status prepare();
  void run();
  void handle(const epoll_event& event);
  bool watch(int fd, int operation) const;
  void accept_all(const Listener& listener);
  void read_some(Connection& connection);
  void go_on(Connection& connection);
  void refuse(Connection& connection, const RefusedRequest& why);
  void close(Connection& connection);
  void take_back();
  void close_overdue();
  void read_last(int fd);
  void begin_to_stop();

  std::vector<Listener> listeners;
  const ServerOptions options;
  HttpEngine engine;
  FileDescriptor epoll, wake;
  std::atomic<bool> stopping{false};
  bool is_stopping = false;  // of run()
  size_t busy = 0;
  std::map<int, std::unique_ptr<Connection>> connections;
  std::optional<AnswerPool> pool;  // last: its threads use the engine
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::HttpServer(HttpServer&&) noexcept = default;
HttpServer::~HttpServer() = default;

Result<HttpServer> HttpServer::create(std::vector<Listener> listeners,
                                      Handler handler,
                                      const ServerOptions& options) {
  auto impl =
      std::make_unique<Impl>(std::move(listeners), std::move(handler), options);
  FT_TRY_STATUS(impl->prepare());
  return HttpServer(std::move(impl));
}

const std::vector<Listener>& HttpServer::listeners() const {
  return impl_->listeners;
}
void HttpServer::run() { impl_->run(); }
void HttpServer::stop() {
  impl_->stopping = true;
  ::eventfd_write(impl_->wake.get(), 1);
}

Status HttpServer::Impl::prepare() {
  epoll = FileDescriptor(::epoll_create1(EPOLL_CLOEXEC));
  wake = FileDescriptor(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  bool good = epoll.get() >= 0 && wake.get() >= 0;
  if (good) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = wake.get()}};
    good = ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) == 0;
  }
  for (const Listener& listener : listeners) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = listener.fd()}};
    good = good &&
           ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, listener.fd(), &event) == 0;
  }
  if (!good)
    return io_error(std::string("cannot wait for connections: ") +
                    std::strerror(errno));
  pool.emplace(engine, wake.get(), options.threads, options.answer_seconds);
  return ok_status();
}

void HttpServer::Impl::run() {
  std::array<epoll_event, 64> events;
  while (!is_stopping || busy > 0) {
    const int count = ::epoll_wait(epoll.get(), events.data(),
                                   static_cast<int>(events.size()), 1000);
    for (int i = 0; i < count; ++i) handle(events[static_cast<size_t>(i)]);
    take_back();
    close_overdue();
    if (stopping && !is_stopping) begin_to_stop();
  }
}

void HttpServer::Impl::handle(const epoll_event& event) {
  const int fd = event.data.fd;
  if (fd == wake.get()) {
    eventfd_t ignored = 0;
    ::eventfd_read(fd, &ignored);
    return;
  }
  for (const Listener& listener : listeners)
    if (listener.fd() == fd) return accept_all(listener);
  // One that an earlier event closed is not there any more.
  if (const auto at = connections.find(fd); at != connections.end())
    read_some(*at->second);
}

// Once: whoever has the connection asks again.
bool HttpServer::Impl::watch(int fd, int operation) const {
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT,
                    .data = {.fd = fd}};
  return ::epoll_ctl(epoll.get(), operation, fd, &event) == 0;
}

void HttpServer::Impl::accept_all(const Listener& listener) {
  if (is_stopping) return;
  for (;;) {
    const int fd = ::accept4(listener.fd(), nullptr, nullptr,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      // Out of files or memory: whoever waits is heard again when some are
      // closed, and asking at once would keep the core busy.
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
          errno == ENOMEM)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      return;
    }
    auto made =
        std::make_unique<Connection>(fd, listener.is_network(), options.limits);
    // Those beyond twice the limit are closed without a word.
    const size_t open = connections.size();
    if (open >= 2 * options.max_connections) continue;
    Connection& added = *connections.emplace(fd, std::move(made)).first->second;
    if (!watch(fd, EPOLL_CTL_ADD))
      close(added);
    else if (open >= options.max_connections)
      refuse(added, {503, "too many connections"});
  }
}

void HttpServer::Impl::read_some(Connection& connection) {
  std::array<char, 16384> bytes;
  const int fd = connection.socket.get();
  const ssize_t count = ::recv(fd, bytes.data(), bytes.size(), 0);
  if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR))
    return close(connection);
  if (connection.is_refused) {
    if (!watch(fd, EPOLL_CTL_MOD)) close(connection);
    return;
  }
  if (count > 0) {
    if (!connection.requests.has_begun()) connection.since = Clock::now();
    connection.requests.add({bytes.data(), static_cast<size_t>(count)});
  }
  go_on(connection);
}

// Hands a request that is whole to the pool, or waits for more of it.
void HttpServer::Impl::go_on(Connection& connection) {
  const int fd = connection.socket.get();
  if (auto request = connection.requests.take()) {
    connection.is_busy = true;
    ++busy;
    pool->add({fd, connection.is_network, std::move(*request)}, is_stopping);
    return;
  }
  if (connection.requests.refused())
    return refuse(connection, *connection.requests.refused());
  if (connection.requests.wants_continue()) {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    (void)::send(fd, kContinue.data(), kContinue.size(),
                 MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  if (!watch(fd, EPOLL_CTL_MOD)) close(connection);
}

void HttpServer::Impl::refuse(Connection& connection,
                              const RefusedRequest& why) {
  const std::string text = refusal_text(why);
  const int fd = connection.socket.get();
  (void)::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(fd, SHUT_WR);
  connection.is_refused = true;
  connection.since = Clock::now();
  if (!watch(fd, EPOLL_CTL_MOD)) close(connection);
}

void HttpServer::Impl::close(Connection& connection) {
  connections.erase(connection.socket.get());
}

void HttpServer::Impl::take_back() {
  for (const AnswerPool::Done& done : pool->take_done()) {
    --busy;
    const auto at = connections.find(done.fd);
    if (at == connections.end()) continue;
    Connection& connection = *at->second;
    connection.is_busy = false;
    connection.since = Clock::now();
    if (done.close || (is_stopping && !connection.requests.has_begun()))
      close(connection);
    else
      go_on(connection);
  }
}

void HttpServer::Impl::close_overdue() {
  const auto now = Clock::now();
  std::vector<Connection*> late;
  for (const auto& [fd, c] : connections) {
    const seconds limit = c->is_refused ? kRefusedStay
                          : c->requests.has_begun()
                              ? seconds(options.request_seconds)
                              : seconds(options.idle_seconds);
    if (!c->is_busy && now - c->since > limit) late.push_back(c.get());
  }
  for (Connection* c : late) {
    if (!c->is_refused && c->requests.has_begun())
      refuse(*c, {408, "the request did not come in time"});
    else
      close(*c);
  }
}

// Reads what has come already; a request that is whole then is answered.
void HttpServer::Impl::read_last(int fd) {
  for (;;) {
    const auto at = connections.find(fd);
    if (at == connections.end() || at->second->is_busy) return;
    char first = 0;
    if (at->second->is_refused ||
        ::recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
      return close(*at->second);
    read_some(*at->second);
  }
}

// Who connected before is heard; who comes later finds nobody, and does not
// wait for requests and a training that may take a while to end.
void HttpServer::Impl::begin_to_stop() {
  for (const Listener& listener : listeners) accept_all(listener);
  is_stopping = true;
  listeners.clear();
  std::vector<int> open;
  for (const auto& [fd, connection] : connections) open.push_back(fd);
  for (const int fd : open) read_last(fd);
}

}  // namespace ft::service
