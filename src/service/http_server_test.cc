// Sockets: how a server ends, who gets one that was left behind, and clients
// that are slow.
#include "service/http_server.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>

namespace ft::service {
namespace {

// A client's end of a Unix socket.
class Client {
 public:
  explicit Client(const std::string& path)
      : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    is_connected_ =
        ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                  sizeof(address)) == 0;
  }
  bool is_connected() const { return is_connected_; }
  void send(const std::string& text) const {
    EXPECT_EQ(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  // Until the other end does not want more.
  void send_what_goes(size_t bytes) const {
    const std::string some(10000, ' ');
    for (size_t sent = 0; sent < bytes; sent += some.size())
      if (::send(socket_.get(), some.data(), some.size(), MSG_NOSIGNAL) <= 0)
        return;
  }
  // The next answer, header and body.
  std::string answer() const {
    std::string all;
    while (all.find("\r\n\r\n{") == all.npos || all.back() != '}') {
      char byte = 0;
      if (::recv(socket_.get(), &byte, 1, 0) != 1) break;
      all += byte;
    }
    return all;
  }
  // What comes until the other end closes.
  std::string receive() const {
    std::string all;
    char bytes[4096];
    ssize_t count = 0;
    while ((count = ::recv(socket_.get(), bytes, sizeof(bytes), 0)) > 0)
      all.append(bytes, static_cast<size_t>(count));
    return all;
  }

 private:
  FileDescriptor socket_;
  bool is_connected_ = false;
};

const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kLarge = "GET /large HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr size_t kLargeBytes = 4 << 20;  // more than a socket takes unread

bool is_good(const std::string& answer) {
  return answer.starts_with("HTTP/1.1 200 ");
}

std::string socket_path() {
  return testing::TempDir() + fmt::format("ft_service_{}.sock", getpid());
}

// A server on a path, with its thread.
class Running {
 public:
  explicit Running(ServerOptions options = {}, Handler handler = {})
      : load(std::make_shared<ServerLoad>()), path(socket_path()) {
    options.load = load;
    if (!handler)
      handler = [](const Call& call) {
        return Reply(Json{
            {"it", std::string(call.path == "/large" ? kLargeBytes : 1, 'x')}});
      };
    std::vector<Listener> listeners;
    listeners.push_back(Listener::on_path(path).value());
    server_.emplace(
        HttpServer::create(std::move(listeners), std::move(handler), options)
            .value());
    serving_ = std::thread([this] { server_->run(); });
  }
  ~Running() {
    server_->stop();
    serving_.join();
  }
  void wait_for(ServerLoad::Reason reason) const {
    while (load->refused[reason] == 0) std::this_thread::yield();
  }

  const std::shared_ptr<ServerLoad> load;
  const std::string path;

 private:
  std::optional<HttpServer> server_;
  std::thread serving_;
};

// Each of these had one of four threads for ten seconds once.
TEST(Server, AnswersWhileOthersAreSlow) {
  const Running running({.times = {.head_seconds = 3600,
                                   .request_seconds = 3600,
                                   .answer_seconds = 3600}});
  std::vector<std::unique_ptr<Client>> slow;
  const auto is_slow = [&](const std::string& sent) {
    slow.push_back(std::make_unique<Client>(running.path));
    slow.back()->send(sent);
  };
  for (int i = 0; i < 12; ++i) {
    is_slow(kLarge);
    is_slow("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome");
    is_slow("GET / HTTP/1.1\r\nHo");
    is_slow("");
  }
  const Client good(running.path);
  for (int i = 0; i < 200; ++i) {
    good.send(kGet);
    ASSERT_TRUE(is_good(good.answer())) << i;
  }
  // Who reads at last gets all of it.
  slow[0]->send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const std::string all = slow[0]->receive();
  EXPECT_TRUE(is_good(all) && all.size() > kLargeBytes) << all.size();
  EXPECT_TRUE(all.ends_with("\r\n\r\n{\"it\":\"x\"}"));
}

TEST(Server, AnswersWhileOthersWaitForADisk) {
  std::atomic<int> waiting{0};
  std::atomic<bool> goes_on{false};
  const auto handler = [&](const Call& call) {
    ++waiting;
    while (call.path == "/wait" && !goes_on) std::this_thread::yield();
    return Reply(Json{{"path", call.path}});
  };
  const Running running(
      {.may_wait = [](std::string_view path) { return path == "/wait"; }},
      handler);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; ++i) {
    clients.push_back(std::make_unique<Client>(running.path));
    clients.back()->send("GET /wait?a HTTP/1.1\r\nHost: a\r\n\r\n");
  }
  while (waiting < 2) std::this_thread::yield();
  const Client good(running.path);
  for (int i = 0; i < 50; ++i) {
    good.send(kGet);
    ASSERT_TRUE(is_good(good.answer()));
  }
  EXPECT_EQ(waiting, 52);
  goes_on = true;
  for (const auto& client : clients) EXPECT_TRUE(is_good(client->answer()));
}

TEST(Server, EndsWhoIsTooSlow) {
  const Running running({.times = {.head_seconds = 1,
                                   .request_seconds = 1,
                                   .answer_seconds = 1,
                                   .idle_seconds = 1}});
  const Client head(running.path), body(running.path), reader(running.path),
      idle(running.path);
  head.send("GET / HTTP/1.1\r\nHo");
  body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome");
  reader.send(kLarge);
  EXPECT_TRUE(head.receive().starts_with("HTTP/1.1 408 "));
  EXPECT_TRUE(body.receive().starts_with("HTTP/1.1 408 "));
  EXPECT_EQ(idle.receive(), "");
  running.wait_for(ServerLoad::kSlowReader);
  EXPECT_LT(reader.receive().size(), kLargeBytes);
  EXPECT_EQ(running.load->refused[ServerLoad::kSlowRequest], 2u);
}

TEST(Server, TheLongestIdleMakesRoom) {
  const Running running({.max_connections = 2});
  const Client old(running.path), begun(running.path);
  old.send(kGet);
  EXPECT_TRUE(is_good(old.answer()));
  begun.send("GET / HTTP/1.1\r\nHo");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));
  const Client next(running.path);
  next.send(kGet);
  EXPECT_TRUE(is_good(next.answer()));
  EXPECT_EQ(old.receive(), "");
  // One that has just been answered, or has begun, does not.
  const std::string told = Client(running.path).receive();
  EXPECT_TRUE(told.starts_with("HTTP/1.1 503 ")) << told;
  EXPECT_NE(told.find("\r\nRetry-After: 1\r\n"), told.npos);
  begun.send("st: a\r\n\r\n");
  EXPECT_TRUE(is_good(begun.answer()));
}

// Of requests, and of answers that nobody takes.
TEST(Server, HoldsNoMoreBytesThanItMay) {
  const Running running({.held_bytes = 3 << 20});
  const Client small(running.path), large(running.path), reader(running.path);
  small.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nsome");
  large.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n");
  std::thread sending([&] { large.send_what_goes(3900000); });
  EXPECT_TRUE(large.receive().starts_with("HTTP/1.1 503 "));
  sending.join();
  reader.send(kLarge);
  while (running.load->refused[ServerLoad::kTooMuch] < 2)
    std::this_thread::yield();
  EXPECT_LT(reader.receive().size(), kLargeBytes);
  small.send("bytes");
  EXPECT_TRUE(is_good(small.answer()));
  EXPECT_LT(running.load->held_bytes, 100000u);
}

// Also those that nobody has read yet, of connections that nobody has taken.
TEST(Server, AnswersWhatCameWholeBeforeItWasStopped) {
  const std::string path = socket_path();
  std::atomic<bool> goes_on{false};
  std::atomic<int> asked{0};
  std::vector<Listener> listeners;
  listeners.push_back(Listener::on_path(path).value());
  auto server = HttpServer::create(std::move(listeners), [&](const Call& call) {
    ++asked;
    while (!goes_on) std::this_thread::yield();
    return Reply(Json{{"bytes", call.body.size()}});
  });
  ASSERT_TRUE(server.ok());
  const Client one(path), large(path), half(path), idle(path);
  one.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  large.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n" +
             std::string(90000, ' '));
  half.send("GET / HTTP/1.1\r\nHo");
  server->stop();
  std::thread serving([&] { server->run(); });
  while (asked < 2) std::this_thread::yield();
  // Nobody waits for what is still being answered.
  EXPECT_FALSE(Client(path).is_connected());
  goes_on = true;
  serving.join();
  EXPECT_NE(one.receive().find("{\"bytes\":0}"), std::string::npos);
  EXPECT_NE(large.receive().find("{\"bytes\":90000}"), std::string::npos);
  EXPECT_EQ(half.receive(), "");
  EXPECT_EQ(idle.receive(), "");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Server, OneOfManyTakesAStaleSocketOver) {
  const std::string path = socket_path();
  for (int round = 0; round < 100; ++round) {
    {
      // A service that is killed leaves its file.
      const FileDescriptor killed(
          ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      path.copy(address.sun_path, sizeof(address.sun_path) - 1);
      ASSERT_EQ(
          ::bind(killed.get(), reinterpret_cast<const sockaddr*>(&address),
                 sizeof(address)),
          0);
    }
    std::barrier together(4);
    std::vector<std::optional<Listener>> made(4);
    std::vector<std::thread> threads;
    for (auto& own : made)
      threads.emplace_back([&] {
        together.arrive_and_wait();
        if (auto listener = Listener::on_path(path); listener.ok())
          own.emplace(std::move(listener).value());
      });
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(std::ranges::count_if(made, [](const auto& m) { return !!m; }), 1)
        << "round " << round;
    EXPECT_TRUE(Client(path).is_connected());
  }
}

}  // namespace
}  // namespace ft::service
