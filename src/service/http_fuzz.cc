// Raw bytes of a connection, through framing, parser, routes and the service,
// as the server does it but without a network: a keyword model, a store with
// versions of adapters, and trainings that may start.
//
// The bytes are given whole and, by the first one, in pieces. Half of the
// inputs are bodies that get a well-formed head, as few mutations get past one.
//
// Promised: nothing crashes; each answer has a status, refusals are one JSON
// sentence; the base's answer to a fixed sample never changes.
#include <fmt/format.h>
#include <sodium.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "service/routes.h"
#include "service/service.h"
#include "serving/test_adapters.h"

namespace {

using ft::service::HttpEngine;
using ft::service::RequestBuffer;
namespace fs = std::filesystem;

const std::string kBase = FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";

fs::path folder() {
  static const fs::path path =
      fs::path(fs::exists("/dev/shm") ? "/dev/shm" : "/tmp") /
      fmt::format("ft_http_fuzz_{}", getpid());
  return path;
}

void make_store() {
  const std::string store = folder() / "store";
  FT_CHECK(fieldtune::AdapterStore::init(store).ok());
  auto opened = fieldtune::AdapterStore::open(store);
  FT_CHECK(opened.ok());
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const std::string file = folder() / fmt::format("{}.safetensors", seed);
    ft::AdapterRecipe recipe{.seed = seed};
    recipe.method.r = 2;
    FT_CHECK(ft::write_random_adapter(kBase, recipe, file).ok());
    FT_CHECK(opened->add(file, {.name = seed < 3 ? "me" : "you"}).ok());
  }
  FT_CHECK(opened->use("me", 1).ok() && opened->confirm("me").ok());
  FT_CHECK(opened->use("you", 1).ok());
}

ft::service::Service& service() {
  static ft::service::Service& made = *[] {
    FT_CHECK(::sodium_init() >= 0);
    fs::remove_all(folder());
    fs::create_directories(folder() / "work");
    std::atexit([] { fs::remove_all(folder()); });
    make_store();
    auto opened = ft::service::Service::open({.model = kBase,
                                              .store = folder() / "store",
                                              .adapters = {},
                                              .adapter_budget_bytes = 1 << 20,
                                              .active = "me",
                                              .work = folder() / "work",
                                              .max_samples = 64,
                                              .training_ram_bytes = 16 << 20,
                                              .idle_training = false,
                                              .watch_ms = 0});
    FT_CHECK(opened.ok());
    return std::move(opened).value().release();
  }();
  return made;
}

ft::service::Reply handle(const ft::service::Call& call) {
  ft::service::Reply reply = service().handle(call);
  FT_CHECK(reply.status == 200 || reply.status >= 400);
  if (reply.status == 200) return reply;
  const auto parsed = nlohmann::json::parse(reply.body, nullptr, false);
  FT_CHECK(parsed.is_object() && parsed.size() == 1 &&
           parsed["error"].is_string());
  return reply;
}

HttpEngine& engine() {
  static HttpEngine& made = *new HttpEngine(handle);
  return made;
}

void check(const std::string& answer) {
  FT_CHECK(answer.empty() || answer.starts_with("HTTP/1.1 ") ||
           answer.starts_with("HTTP/1.0 "));
}

void serve(std::string_view bytes, size_t piece) {
  RequestBuffer requests({.head_bytes = 16 << 10, .body_bytes = 64 << 10});
  while (!bytes.empty() && !requests.refused()) {
    requests.add(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    (void)requests.wants_continue();
    while (auto request = requests.take()) {
      const auto answer = engine().answer(*request, false, false);
      check(answer.text);
      if (answer.close) return;
    }
  }
  if (requests.refused()) check(refusal_text(*requests.refused()));
}

// A request to one of the routes with this body.
std::string with_head(uint8_t which, std::string_view body) {
  const auto routes = ft::service::all_routes();
  const auto& route = routes[which % routes.size()];
  return fmt::format(
      "{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\nContent-Length: {}\r\n\r\n{}",
      route.method, route.path, body.size(), body);
}

}  // namespace

// Opening the service is no part of an input's time.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  service();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 2,
                              size - 2);
  if (data[0] % 2 == 0)
    serve(rest, data[1] == 0 ? size : data[1]);
  else
    serve(with_head(data[1], rest), size + 4096);
  return 0;
}
