// Value-or-error: how every fallible function of fieldtune reports.
//
// A Status is a code and one sentence that says what, where and the numbers.
// Result<T> is a T or a failed Status. Both are [[nodiscard]]. No exceptions
// cross a function of src/; FT_CHECK is for our own bugs only.
//
//   Result<Plan> build(...) {
//     FT_TRY(auto graph, load_graph(path));   // returns early on error
//     FT_TRY_STATUS(verify(graph));
//     return plan_of(graph);
//   }
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

namespace ft {

// Codes map to the exit codes of the command line (see exit_code()).
enum class Code {
  kOk,
  kUsage,         // the caller asked for something contradictory or unknown
  kInvalidInput,  // a file or its contents is malformed or unsupported
  kDoesNotFit,    // a memory, flash, time or energy budget is too small
  kIo,            // the device, disk or operating system refused
  kInternal,      // our bug
};

// 0 ok, 2 usage, 3 bad input file, 4 does not fit, 5 device or I/O, 1 our bug.
constexpr int exit_code(Code code) {
  switch (code) {
    case Code::kOk: return 0;
    case Code::kUsage: return 2;
    case Code::kInvalidInput: return 3;
    case Code::kDoesNotFit: return 4;
    case Code::kIo: return 5;
    case Code::kInternal: return 1;
  }
  return 1;
}

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message)
      : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // Puts "where: " in front of the sentence; returns itself for chaining.
  Status& in(const std::string& where) {
    if (!ok()) message_ = where + ": " + message_;
    return *this;
  }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

inline Status ok_status() { return {}; }
inline Status usage_error(std::string m) {
  return {Code::kUsage, std::move(m)};
}
inline Status invalid_input(std::string m) {
  return {Code::kInvalidInput, std::move(m)};
}
inline Status does_not_fit(std::string m) {
  return {Code::kDoesNotFit, std::move(m)};
}
inline Status io_error(std::string m) { return {Code::kIo, std::move(m)}; }
inline Status internal_error(std::string m) {
  return {Code::kInternal, std::move(m)};
}

[[noreturn]] inline void check_failed(const char* what, const char* file,
                                      int line) {
  std::fprintf(stderr, "%s:%d: internal error: %s\n", file, line, what);
  std::abort();
}
#define FT_CHECK(cond) \
  ((cond) ? (void)0 : ::ft::check_failed(#cond, __FILE__, __LINE__))

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {  // NOLINT
    FT_CHECK(!status_.ok());
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & {
    FT_CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    FT_CHECK(ok());
    return *value_;
  }
  T&& value() && {
    FT_CHECK(ok());
    return std::move(*value_);
  }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

#define FT_CONCAT_(a, b) a##b
#define FT_CONCAT(a, b) FT_CONCAT_(a, b)
// FT_TRY(auto x, f()): x = value of f(), or return its Status.
#define FT_TRY(decl, expr) FT_TRY_(decl, expr, FT_CONCAT(ft_try_, __LINE__))
#define FT_TRY_(decl, expr, tmp)      \
  auto tmp = (expr);                  \
  if (!tmp.ok()) return tmp.status(); \
  decl = std::move(tmp).value()
// FT_TRY_STATUS(f()): returns the Status of f() if it failed.
#define FT_TRY_STATUS(expr)                                              \
  do {                                                                   \
    if (::ft::Status ft_try_s = (expr); !ft_try_s.ok()) return ft_try_s; \
  } while (false)

}  // namespace ft
