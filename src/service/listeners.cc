#include "service/listeners.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

namespace ft::service {
namespace {

constexpr int kBacklog = 128;
constexpr mode_t kSocketMode = 0660;

Status failed(const std::string& what) {
  return io_error(fmt::format("{}: {}", what, std::strerror(errno)));
}

int stream_socket(int family) {
  return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

// All that the sockets API takes as an address.
template <class Address>
const sockaddr* general(const Address& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path))
    return usage_error(
        fmt::format("socket '{}': a path has 1 to {} bytes, this one {}", path,
                    sizeof(address.sun_path) - 1, path.size()));
  path.copy(address.sun_path, path.size());
  return address;
}

// Services that begin at once look one after the other: between bind() and
// listen() a socket looks like one that was left. Whoever holds the folder for
// long is no service, and not waited for.
FileDescriptor lock_folder_of(const std::string& path) {
  const std::string folder = std::filesystem::absolute(path).parent_path();
  FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 500 && fd.get() >= 0; ++i) {
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return fd;
}

// Removes the file of a service that was killed.
Status make_way(const std::string& path, const sockaddr_un& address) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return ok_status();
  if (!S_ISSOCK(found.st_mode))
    return usage_error(
        fmt::format("'{}' is there already and no socket", path));
  const FileDescriptor probe(stream_socket(AF_UNIX));
  if (probe.get() < 0) return failed("cannot make a socket");
  // A service with a full queue of connections is alive, too: EAGAIN.
  if (::connect(probe.get(), general(address), sizeof(address)) == 0 ||
      errno == EAGAIN)
    return io_error(fmt::format("another service answers on '{}'", path));
  if (errno != ECONNREFUSED)
    return failed(fmt::format("cannot tell who listens on '{}'", path));
  if (::unlink(path.c_str()) != 0)
    return failed(fmt::format("cannot remove the stale socket '{}'", path));
  return ok_status();
}

struct LoopbackAddress {
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  bool is_v6 = false;
  const sockaddr* get() const { return is_v6 ? general(v6) : general(v4); }
  socklen_t size() const { return is_v6 ? sizeof(v6) : sizeof(v4); }
};

Result<LoopbackAddress> loopback(const std::string& text, int port) {
  LoopbackAddress a;
  const auto number = htons(static_cast<uint16_t>(port));
  a.v4.sin_family = AF_INET;
  a.v4.sin_port = number;
  a.v6.sin6_family = AF_INET6;
  a.v6.sin6_port = number;
  const char* name = text == "localhost" ? "127.0.0.1" : text.c_str();
  if (::inet_pton(AF_INET, name, &a.v4.sin_addr) == 1) {
    if (ntohl(a.v4.sin_addr.s_addr) >> 24 == 127) return a;
  } else if (::inet_pton(AF_INET6, name, &a.v6.sin6_addr) == 1) {
    a.is_v6 = true;
    if (IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr)) return a;
  } else {
    return usage_error(fmt::format("'{}' is not an address", text));
  }
  return usage_error(fmt::format(
      "'{}' is not of the loopback device: the service has no encryption and "
      "no passwords, so others reach it through a server that has both",
      text));
}

int port_of(int fd) {
  sockaddr_storage bound{};
  socklen_t size = sizeof(bound);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    return 0;
  // At the same place in both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&bound)->sin_port);
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Listener> Listener::on_path(const std::string& path) {
  FT_TRY(const sockaddr_un address, address_of(path));
  const FileDescriptor lock = lock_folder_of(path);
  FT_TRY_STATUS(make_way(path, address));
  Listener made;
  made.socket_ = FileDescriptor(stream_socket(AF_UNIX));
  const int fd = made.fd();
  if (fd < 0 || ::bind(fd, general(address), sizeof(address)) != 0)
    return failed(fmt::format("cannot make the socket '{}'", path));
  struct stat own {};
  if (::chmod(path.c_str(), kSocketMode) != 0 ||
      ::lstat(path.c_str(), &own) != 0 || ::listen(fd, kBacklog) != 0) {
    const Status status =
        failed(fmt::format("cannot listen on the socket '{}'", path));
    ::unlink(path.c_str());
    return status;
  }
  made.path_ = path;
  made.name_ = "unix:" + path;
  made.device_ = own.st_dev;
  made.inode_ = own.st_ino;
  return made;
}

Result<Listener> Listener::on_port(const std::string& address, int port) {
  if (port < 0 || port > 65535)
    return usage_error(fmt::format("port {}: must lie in 0 to 65535", port));
  FT_TRY(const LoopbackAddress at, loopback(address, port));
  Listener made;
  made.socket_ = FileDescriptor(stream_socket(at.is_v6 ? AF_INET6 : AF_INET));
  const int fd = made.fd(), on = 1;
  // Only past connections of the port are overlooked, never a listener.
  if (fd < 0 ||
      ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
      ::bind(fd, at.get(), at.size()) != 0 || ::listen(fd, kBacklog) != 0)
    return failed(fmt::format("cannot listen on port {} of {}", port, address));
  made.name_ = fmt::format(
      "http://{}:{}", at.is_v6 ? "[" + address + "]" : address, port_of(fd));
  return made;
}

Listener::~Listener() {
  struct stat found {};
  if (fd() >= 0 && !path_.empty() && ::lstat(path_.c_str(), &found) == 0 &&
      found.st_dev == device_ && found.st_ino == inode_)
    ::unlink(path_.c_str());
}

}  // namespace ft::service
