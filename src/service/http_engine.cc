#include "service/http_engine.h"

#include <fmt/format.h>
#include <httplib.h>

#include <algorithm>

#include "service/page.h"

namespace ft::service {
namespace {

// What the library takes for a connection: a request in memory.
class MemoryStream : public httplib::Stream {
 public:
  MemoryStream(std::string_view in, bool is_network)
      : in_(in), is_network_(is_network) {}

  bool is_readable() const override { return !in_.empty(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* to, size_t size) override {
    const size_t count = in_.copy(to, size);
    in_.remove_prefix(count);
    return static_cast<ssize_t>(count);
  }
  ssize_t write(const char* from, size_t size) override {
    out_.append(from, size);
    return static_cast<ssize_t>(size);
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override {
    ip = is_network_ ? "network" : "";
    port = 0;
  }
  void get_local_ip_and_port(std::string& ip, int& port) const override {
    get_remote_ip_and_port(ip, port);
  }
  socket_t socket() const override { return INVALID_SOCKET; }

  std::string take_out() { return std::move(out_); }

 private:
  std::string_view in_;
  std::string out_;
  const bool is_network_;
};

std::string media_type(const std::string& field) {
  std::string type = field.substr(0, field.find(';'));
  while (!type.empty() && type.back() == ' ') type.pop_back();
  std::ranges::transform(type, type.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return type;
}

Call call_of(const httplib::Request& request) {
  return {.method = request.method,
          .path = request.path,
          .content_type = media_type(request.get_header_value("Content-Type")),
          .host = request.get_header_value("Host"),
          .origin = request.get_header_value("Origin"),
          .is_network = !request.remote_addr.empty(),
          .body = request.body};
}

void write_reply(const Reply& reply, httplib::Response& response) {
  response.status = reply.status;
  response.set_content(reply.body, reply.type);
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Content-Type-Options", "nosniff");
  if (!reply.allow.empty()) response.set_header("Allow", reply.allow);
  // Of the page: nothing from elsewhere, and in nobody's frame.
  if (reply.type.starts_with("text/html"))
    response.set_header("Content-Security-Policy", page_policy());
}

// Of what this folder refuses before the library sees it.
const char* reason_of(int status) {
  switch (status) {
    case 400: return "Bad Request";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    default: return "Refused";
  }
}

}  // namespace

class HttpEngine::Parser : public httplib::Server {
 public:
  explicit Parser(service::Handler handler) : handler_(std::move(handler)) {
    // Routes are the handler's own, whatever the method. The library would
    // match each of its routes as a regular expression, whose depth grows with
    // the path's length, so it gets none and asks here before it looks.
    set_pre_routing_handler([this](const auto& request, auto& response) {
      Call call = call_of(request);
      call.body = std::move(body_of_this_thread());
      write_reply(handler_(call), response);
      return HandlerResponse::Handled;
    });
    set_error_handler([](const auto&, httplib::Response& response) {
      if (response.body.empty())
        write_reply({response.status, "the request cannot be understood"},
                    response);
    });
    set_exception_handler(
        [](const auto&, httplib::Response& response, std::exception_ptr) {
          write_reply({500, "out of memory"}, response);
        });
  }

  EngineAnswer answer(const WholeRequest& request, bool is_network,
                      bool close) {
    const size_t end = request.text.find("\r\n\r\n") + 4;
    body_of_this_thread() = request.text.substr(end);
    MemoryStream stream(std::string_view(request.text).substr(0, end),
                        is_network);
    bool closed = close;
    const bool good = process_request(stream, close, closed, nullptr);
    return {stream.take_out(), closed || !good};
  }

 private:
  // The library hands a handler the request before it reads the body; one
  // thread answers one request at a time.
  static std::string& body_of_this_thread() {
    static thread_local std::string body;
    return body;
  }

  const service::Handler handler_;
};

HttpEngine::HttpEngine(Handler handler)
    : parser_(std::make_unique<Parser>(std::move(handler))) {}
HttpEngine::~HttpEngine() = default;

EngineAnswer HttpEngine::answer(const WholeRequest& request, bool is_network,
                                bool close) {
  return parser_->answer(request, is_network, close || !request.keep_alive);
}

std::string refusal_text(const RefusedRequest& refused) {
  const Reply reply(refused.status, refused.why);
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n"
      "{}Connection: close\r\n\r\n{}",
      reply.status, reason_of(reply.status), reply.type, reply.body.size(),
      reply.status == 503 ? "Retry-After: 1\r\n" : "", reply.body);
}

}  // namespace ft::service
