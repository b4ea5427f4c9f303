// Bytes that are really held, and what gives them back.
//
// A Charge is part of what it counts, so that the ledger falls at the moment
// when memory is freed and not when a table forgets it: a block that an
// inference still uses is still counted.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace ft {

struct ByteLedger {
  std::atomic<size_t> used{0};
};

class Charge {
 public:
  Charge() = default;
  Charge(std::shared_ptr<ByteLedger> ledger, size_t bytes)
      : ledger_(std::move(ledger)), bytes_(bytes) {
    if (ledger_) ledger_->used += bytes_;
  }
  Charge(Charge&& other) noexcept
      : ledger_(std::move(other.ledger_)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  Charge& operator=(Charge&& other) noexcept {
    std::swap(ledger_, other.ledger_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Charge() {
    if (ledger_) ledger_->used -= bytes_;
  }

  size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<ByteLedger> ledger_;
  size_t bytes_ = 0;
};

}  // namespace ft
