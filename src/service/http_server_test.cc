// Sockets: how a server ends, and who gets one that was left behind.
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

std::string socket_path() {
  return testing::TempDir() + fmt::format("ft_service_{}.sock", getpid());
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
