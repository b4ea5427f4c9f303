// One client of a server: its socket, the requests that come, the answer that
// it has not taken yet, and by when it has to have done what it is to do.
//
// Of the server's reading thread, but for the socket while a pool answers.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "service/listeners.h"
#include "service/request_buffer.h"

namespace ft::service {

// Sends of a text what the socket takes now, from `sent` on, and counts it
// there. False: the client is gone.
bool send_some(int fd, std::string_view text, size_t& sent);

// Each is whole seconds.
struct TimeLimits {
  int head_seconds = 5;      // from a request's first byte to its header's end
  int request_seconds = 10;  // from there to its last byte
  int answer_seconds = 10;   // for the client to take an answer
  int idle_seconds = 60;     // between two requests
};

struct Connection {
  using Clock = std::chrono::steady_clock;
  enum class State {
    kReading,    // waits for a request, or for more of it
    kAnswering,  // its request is with the pool, so is the socket
    kWriting,    // the client has not taken all of the answer
    // Refused: what it still sends is dropped until it ends or the time is up,
    // as closing with bytes unread would take the refusal from the client.
    kRefused,
  };

  Connection(int fd, bool network, const RequestLimits& limits)
      : socket(fd), is_network(network), requests(limits) {}

  bool is_idle() const {
    return state == State::kReading && !requests.has_begun();
  }
  // Memory that the client makes us hold.
  size_t held_bytes() const {
    return requests.held_bytes() + answering_bytes + unsent.size();
  }
  // It may be told to go at any time; a request is not answered by half.
  bool may_go() const {
    return state == State::kReading || state == State::kWriting;
  }
  void enter(State next) {
    state = next;
    since = Clock::now();
  }
  bool is_overdue(Clock::time_point now, const TimeLimits& limits) const;
  // Sends what the socket takes now. False: the client is gone.
  bool send_some();

  FileDescriptor socket;
  const bool is_network;
  RequestBuffer requests;
  State state = State::kReading;
  Clock::time_point since = Clock::now();  // in this state, or of a part of it
  bool has_head = false;                   // `since` is of the header's end
  size_t answering_bytes = 0;              // of the request that the pool has
  std::string unsent;
  size_t sent = 0;  // of these
  bool ends_when_sent = false;
  size_t counted_bytes = 0;  // of held_bytes(), in the server's sum
};

}  // namespace ft::service
