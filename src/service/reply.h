// What a route answers: an HTTP status and one JSON object, or text of another
// type. A failed Status becomes a reply by itself, so that FT_TRY works in
// routes; what its code does not tell (404, 409 ...) the route says.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "base/result.h"

namespace ft::service {

using Json = nlohmann::ordered_json;

inline constexpr const char* kJsonType = "application/json";

// Bytes that are no UTF-8 become U+FFFD: what callers send may come back in a
// sentence.
inline std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Of the HTTP status that a failure becomes where the route says nothing: what
// the caller asked for, what a file holds, a budget, the machine.
constexpr int http_status(Code code) {
  switch (code) {
    case Code::kOk: return 200;
    case Code::kUsage: return 400;
    case Code::kInvalidInput: return 422;
    case Code::kDoesNotFit: return 507;
    case Code::kIo:
    case Code::kInternal: return 500;
  }
  return 500;
}

struct Reply {
  int status = 200;
  std::string body = {};
  std::string type = kJsonType;
  std::string allow = {};  // of 405: the methods that there are

  Reply() = default;
  Reply(const Json& json) : body(to_text(json)) {}  // NOLINT: implicit
  Reply(const Status& why)                          // NOLINT: implicit
      : Reply(http_status(why.code()), why.message()) {}
  Reply(int http, const std::string& why)
      : status(http), body(to_text(Json{{"error", why}})) {}
  // Other types than JSON.
  Reply(std::string text, std::string content_type)
      : body(std::move(text)), type(std::move(content_type)) {}
};

}  // namespace ft::service
