#include "service/routes.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace ft::service {
namespace {

constexpr Route kRoutes[] = {
    {"GET", "/", page},
    {"GET", "/healthz", health},
    {"GET", "/metrics", metrics},
    {"GET", "/v1/status", status},
    {"POST", "/v1/predict", predict},
    {"POST", "/v1/feedback", feedback},
    {"GET", "/v1/experiments", list_experiments},
    {"GET", "/v1/adapters", list_adapters},
    {"POST", "/v1/adapters/load", load_adapter},
    {"POST", "/v1/adapters/unload", unload_adapter},
    {"POST", "/v1/use", use_adapter},
    {"POST", "/v1/rollback", rollback_adapter},
    {"POST", "/v1/reload", reload_adapters},
    {"GET", "/v1/samples", list_samples},
    {"POST", "/v1/samples", add_samples},
    {"POST", "/v1/samples/delete", delete_samples},
    {"GET", "/v1/train", training_now},
    {"POST", "/v1/train/start", start_training},
    {"POST", "/v1/train/pause", pause_training},
    {"POST", "/v1/train/resume", resume_training},
    {"POST", "/v1/train/stop", stop_training},
};

// "[::1]:80" -> "[::1]".
std::string_view without_port(std::string_view host) {
  const size_t colon = host.rfind(':');
  const bool is_port =
      colon != host.npos &&
      host.find_first_not_of("0123456789", colon + 1) == host.npos &&
      host.find(']', colon) == host.npos;
  return is_port ? host.substr(0, colon) : host;
}

// Names of hosts have no case (RFC 9110, 4.2.3).
bool is_localhost(std::string_view host) {
  return std::ranges::equal(host, std::string_view("localhost"), {},
                            [](unsigned char c) { return std::tolower(c); });
}

bool is_loopback(std::string_view host) {
  return is_localhost(host) || host == "[::1]" ||
         (host.starts_with("127.") &&
          host.find_first_not_of("0123456789.") == host.npos);
}

}  // namespace

std::span<const Route> all_routes() { return kRoutes; }

// A path that is written in another way ("/v1/%75se") is not known here.
bool may_wait(std::string_view path) {
  constexpr std::array kPrompt = {
      std::string_view("/"),           std::string_view("/healthz"),
      std::string_view("/metrics"),    std::string_view("/v1/status"),
      std::string_view("/v1/predict"), std::string_view("/v1/feedback"),
      std::string_view("/v1/train")};
  return std::ranges::find(kPrompt, path) == kPrompt.end();
}

std::string allowed_methods(std::string_view path) {
  std::string methods;
  for (const Route& route : kRoutes) {
    if (route.path != path) continue;
    if (!methods.empty()) methods += ", ";
    methods += route.method == "GET" ? "GET, HEAD" : route.method;
  }
  return methods;
}

bool is_from_here(const Call& call) {
  if (!call.origin.empty() && call.origin != "http://" + call.host)
    return false;
  return !call.is_network || is_loopback(without_port(call.host));
}

}  // namespace ft::service
