#include "service/http_server.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <vector>

#include "service/answer_pool.h"

namespace ft::service {
namespace {

using Clock = Connection::Clock;
using State = Connection::State;

// Between two looks for who is late.
constexpr std::chrono::milliseconds kPeriod{250};

// Of a connection that has to make room.
constexpr std::chrono::seconds kLeastIdle{1};

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// "POST /v1/predict?x HTTP/1.1..." -> "/v1/predict".
std::string_view path_of(std::string_view request) {
  const size_t from = request.find(' ') + 1;
  return request.substr(from, request.find_first_of(" ?", from) - from);
}

}  // namespace

struct HttpServer::Impl {
  Impl(std::vector<Listener> l, Handler handler, const ServerOptions& o)
      : listeners(std::move(l)),
        options(o),
        load(o.load ? o.load : std::make_shared<ServerLoad>()),
        engine(std::move(handler)) {}

  Status prepare();
  void run();
  void handle(const epoll_event& event);
  bool watch(int fd, uint32_t what, int operation = EPOLL_CTL_MOD) const;
  void listen_again();
  void accept_all(const Listener& listener);
  bool make_room();
  void read_some(Connection& connection);
  void go_on(Connection& connection);
  void give_to_pool(Connection& connection, WholeRequest request);
  void write_some(Connection& connection);
  void refuse(Connection& connection, ServerLoad::Reason reason,
              const RefusedRequest& why);
  void close(Connection& connection);
  void count(Connection& connection);
  void free_memory();
  void take_back();
  void close_overdue();
  void read_last(int fd);
  void begin_to_stop();

  std::vector<Listener> listeners;
  const ServerOptions options;
  const std::shared_ptr<ServerLoad> load;
  HttpEngine engine;
  FileDescriptor epoll, wake;
  std::atomic<bool> stopping{false};
  bool is_stopping = false;  // of run()
  bool is_deaf = false;      // no file was left for another connection
  size_t busy = 0;           // that are answered, or take their answer
  std::map<int, std::unique_ptr<Connection>> connections;
  Clock::time_point looked = {};
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
  pool.emplace(engine, wake.get(), options.threads);
  return ok_status();
}

void HttpServer::Impl::run() {
  std::array<epoll_event, 64> events;
  while (!is_stopping || busy > 0) {
    const int count = ::epoll_wait(epoll.get(), events.data(),
                                   static_cast<int>(events.size()),
                                   static_cast<int>(kPeriod.count()));
    for (int i = 0; i < count; ++i) handle(events[static_cast<size_t>(i)]);
    take_back();
    free_memory();
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
  const auto at = connections.find(fd);
  if (at == connections.end()) return;
  Connection& connection = *at->second;
  if (connection.state == State::kWriting) return write_some(connection);
  if (connection.state != State::kAnswering) read_some(connection);
}

// Once: whoever has the connection asks again.
bool HttpServer::Impl::watch(int fd, uint32_t what, int operation) const {
  epoll_event event{.events = what | EPOLLONESHOT, .data = {.fd = fd}};
  return ::epoll_ctl(epoll.get(), operation, fd, &event) == 0;
}

// Level-triggered: those who wait are seen at once.
void HttpServer::Impl::listen_again() {
  is_deaf = false;
  for (const Listener& listener : listeners) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = listener.fd()}};
    (void)::epoll_ctl(epoll.get(), EPOLL_CTL_MOD, listener.fd(), &event);
  }
}

void HttpServer::Impl::accept_all(const Listener& listener) {
  while (!is_stopping) {
    const int fd = ::accept4(listener.fd(), nullptr, nullptr,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == ECONNABORTED || errno == EINTR)) continue;
    if (fd < 0) {
      // Out of files or memory: asking at once would keep the core busy.
      is_deaf = errno != EAGAIN;
      epoll_event none{.events = 0, .data = {.fd = listener.fd()}};
      if (is_deaf)
        (void)::epoll_ctl(epoll.get(), EPOLL_CTL_MOD, listener.fd(), &none);
      return;
    }
    auto made =
        std::make_unique<Connection>(fd, listener.is_network(), options.limits);
    const bool has_room =
        connections.size() < options.max_connections || make_room();
    // Those beyond twice the limit are closed without a word.
    if (connections.size() >= 2 * options.max_connections) {
      ++load->refused[ServerLoad::kTooMany];
      continue;
    }
    Connection& added = *connections.emplace(fd, std::move(made)).first->second;
    ++load->connections;
    if (!watch(fd, EPOLLIN | EPOLLRDHUP, EPOLL_CTL_ADD))
      close(added);
    else if (!has_room)
      refuse(added, ServerLoad::kTooMany, {503, "too many connections"});
  }
}

// The connection that has been idle longest is closed, as it may be at any time
// (RFC 9112, 9.5); not one that has just come, or whose request has.
bool HttpServer::Impl::make_room() {
  Connection* oldest = nullptr;
  const auto before = Clock::now() - kLeastIdle;
  for (const auto& [fd, c] : connections) {
    char first = 0;
    if (c->is_idle() && c->since < before &&
        (oldest == nullptr || c->since < oldest->since) &&
        ::recv(fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
      oldest = c.get();
  }
  if (oldest == nullptr) return false;
  close(*oldest);
  return true;
}

void HttpServer::Impl::read_some(Connection& connection) {
  std::array<char, 16384> bytes;
  const int fd = connection.socket.get();
  const ssize_t got = ::recv(fd, bytes.data(), bytes.size(), 0);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
    return close(connection);
  if (connection.state == State::kRefused) {
    if (!watch(fd, EPOLLIN | EPOLLRDHUP)) close(connection);
    return;
  }
  if (got > 0) {
    if (connection.is_idle()) connection.enter(State::kReading);
    connection.requests.add({bytes.data(), static_cast<size_t>(got)});
  }
  go_on(connection);
}

// Hands a request that is whole to the pool, or waits for more of it.
void HttpServer::Impl::go_on(Connection& connection) {
  const int fd = connection.socket.get();
  if (auto request = connection.requests.take())
    return give_to_pool(connection, std::move(*request));
  if (connection.requests.refused())
    return refuse(connection, ServerLoad::kNotHttp,
                  *connection.requests.refused());
  if (connection.requests.wants_continue())
    (void)::send(fd, kContinue.data(), kContinue.size(),
                 MSG_NOSIGNAL | MSG_DONTWAIT);
  if (connection.requests.has_head() && !connection.has_head) {
    connection.enter(State::kReading);
    connection.has_head = true;
  }
  count(connection);
  if (!watch(fd, EPOLLIN | EPOLLRDHUP)) close(connection);
}

void HttpServer::Impl::give_to_pool(Connection& connection,
                                    WholeRequest request) {
  ++busy;
  connection.enter(State::kAnswering);
  connection.has_head = false;
  connection.answering_bytes = request.text.size();
  count(connection);
  const bool may_wait =
      options.may_wait && options.may_wait(path_of(request.text));
  pool->add({.fd = connection.socket.get(),
             .is_network = connection.is_network,
             .request = std::move(request),
             .is_last = is_stopping,
             .may_wait = may_wait});
}

void HttpServer::Impl::write_some(Connection& connection) {
  if (!connection.send_some()) return close(connection);
  count(connection);
  if (!connection.unsent.empty()) {
    if (!watch(connection.socket.get(), EPOLLOUT)) close(connection);
    return;
  }
  if (connection.ends_when_sent ||
      (is_stopping && !connection.requests.has_begun()))
    return close(connection);
  --busy;
  connection.enter(State::kReading);
  go_on(connection);
}

void HttpServer::Impl::refuse(Connection& connection, ServerLoad::Reason reason,
                              const RefusedRequest& why) {
  ++load->refused[reason];
  const std::string text = refusal_text(why);
  const int fd = connection.socket.get();
  (void)::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(fd, SHUT_WR);
  connection.requests.forget();
  connection.enter(State::kRefused);
  count(connection);
  if (!watch(fd, EPOLLIN | EPOLLRDHUP)) close(connection);
}

void HttpServer::Impl::close(Connection& connection) {
  if (connection.state == State::kAnswering ||
      connection.state == State::kWriting)
    --busy;
  load->held_bytes -= connection.counted_bytes;
  --load->connections;
  connections.erase(connection.socket.get());
}

void HttpServer::Impl::count(Connection& connection) {
  const size_t before = connection.counted_bytes;
  connection.counted_bytes = connection.held_bytes();
  load->held_bytes += connection.counted_bytes - before;
}

// Whoever holds most goes first: those with small requests are not made to pay.
void HttpServer::Impl::free_memory() {
  while (load->held_bytes > options.held_bytes) {
    Connection* most = nullptr;
    for (const auto& [fd, c] : connections)
      if (c->may_go() &&
          (most == nullptr || c->counted_bytes > most->counted_bytes))
        most = c.get();
    if (most == nullptr || most->counted_bytes == 0) return;
    if (most->state == State::kReading) {
      refuse(*most, ServerLoad::kTooMuch,
             {503, "too many bytes of requests and answers are held"});
    } else {
      ++load->refused[ServerLoad::kTooMuch];
      close(*most);
    }
  }
}

void HttpServer::Impl::take_back() {
  for (AnswerPool::Done& done : pool->take_done()) {
    Connection& connection = *connections.at(done.fd);
    if (done.is_gone) {
      close(connection);
      continue;
    }
    connection.answering_bytes = 0;
    connection.unsent = std::move(done.unsent);
    connection.sent = 0;
    connection.ends_when_sent = done.close;
    connection.enter(State::kWriting);
    write_some(connection);
  }
}

void HttpServer::Impl::close_overdue() {
  const auto now = Clock::now();
  if (now - looked < kPeriod) return;
  looked = now;
  if (is_deaf) listen_again();
  std::vector<Connection*> late;
  for (const auto& [fd, c] : connections)
    if (c->is_overdue(now, options.times)) late.push_back(c.get());
  for (Connection* c : late) {
    if (c->state == State::kReading && !c->is_idle()) {
      refuse(*c, ServerLoad::kSlowRequest,
             {408, "the request did not come in time"});
    } else {
      if (c->state == State::kWriting) ++load->refused[ServerLoad::kSlowReader];
      close(*c);
    }
  }
}

// Reads what has come already; a request that is whole then is answered.
void HttpServer::Impl::read_last(int fd) {
  for (;;) {
    const auto at = connections.find(fd);
    if (at == connections.end()) return;
    const State state = at->second->state;
    if (state == State::kAnswering || state == State::kWriting) return;
    char first = 0;
    if (state == State::kRefused ||
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
