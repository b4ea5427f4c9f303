// What a server has to do at this moment, and whom it sent away: counted by the
// server, shown by the service.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ft::service {

struct ServerLoad {
  // Why a connection was told to go, or closed, before its request was answered
  // wholly.
  enum Reason { kTooMany, kTooMuch, kSlowRequest, kSlowReader, kNotHttp };
  static constexpr std::array kReasons = {
      "connections", "bytes", "slow_request", "slow_reader", "not_http"};

  std::atomic<size_t> connections{0};
  std::atomic<size_t> held_bytes{0};  // of requests and of unsent answers
  std::array<std::atomic<uint64_t>, kReasons.size()> refused = {};
};

}  // namespace ft::service
