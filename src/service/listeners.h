// Sockets that a service listens on: a path, a port of the loopback device.
//
// A socket's file outlives a process that is killed. One that nobody listens on
// is taken over; one where a service answers is not, nor any other file.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace ft::service {

// Closes it.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileDescriptor();
  int get() const { return fd_; }

 private:
  int fd_ = -1;
};

class Listener {
 public:
  // Mode 0660: whoever may open the file may use the service.
  static Result<Listener> on_path(const std::string& path);
  // `address`: of the loopback device; port 0: one that is free.
  static Result<Listener> on_port(const std::string& address, int port);
  Listener(Listener&&) noexcept = default;
  // Removes the socket's file, if it is still ours.
  ~Listener();

  int fd() const { return socket_.get(); }
  bool is_network() const { return path_.empty(); }
  // "unix:/run/fieldtune.sock", "http://127.0.0.1:8080".
  const std::string& name() const { return name_; }

 private:
  Listener() = default;
  FileDescriptor socket_;
  std::string path_, name_;
  dev_t device_ = 0;  // of the socket's file
  ino_t inode_ = 0;
};

}  // namespace ft::service
