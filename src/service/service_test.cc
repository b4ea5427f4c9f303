// The service without a network: routes from several threads, a store that
// changes under them, and the texts of metrics.
#include "service/service.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "service/http_server.h"
#include "service/json_fields.h"
#include "service/prometheus.h"
#include "service/routes.h"
#include "serving/test_adapters.h"

namespace ft::service {
namespace {

const std::string kBase = FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";

struct Fixture {
  Fixture() {
    folder = std::filesystem::path(testing::TempDir()) /
             fmt::format("ft_service_{}", getpid());
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder / "work");
    EXPECT_TRUE(fieldtune::AdapterStore::init(folder / "store").ok());
    auto store = fieldtune::AdapterStore::open(folder / "store");
    for (uint64_t seed = 1; seed <= 3; ++seed) {
      const std::string file = folder / fmt::format("{}.safetensors", seed);
      EXPECT_TRUE(write_random_adapter(kBase, {.seed = seed}, file).ok());
      EXPECT_TRUE(store->add(file, {.name = seed < 3 ? "me" : "you"}).ok());
    }
    EXPECT_TRUE(store->use("me", 1).ok() && store->confirm("me").ok());
    EXPECT_TRUE(store->use("you", 1).ok());
    auto opened = Service::open({.model = kBase,
                                 .store = folder / "store",
                                 .adapters = {},
                                 .active = "me",
                                 .work = folder / "work",
                                 .idle_training = false,
                                 .watch_ms = 20});
    EXPECT_TRUE(opened.ok()) << opened.status().message();
    service = std::move(opened).value();
  }
  ~Fixture() {
    service.reset();
    std::filesystem::remove_all(folder);
  }

  Reply ask(const std::string& path, const Json& body) const {
    return service->handle({.method = "POST",
                            .path = path,
                            .content_type = kJsonType,
                            .host = {},
                            .origin = {},
                            .body = to_text(body)});
  }
  Reply get(const std::string& path) const {
    return service->handle({.method = "GET",
                            .path = path,
                            .content_type = {},
                            .host = {},
                            .origin = {},
                            .body = {}});
  }
  Json predict(const Json& fields) const {
    Json body = fields;
    body["features"] = std::vector<float>(
        Json::parse(get("/v1/status").body)["features"].get<size_t>(), 5);
    const Reply reply = ask("/v1/predict", body);
    EXPECT_EQ(reply.status, 200) << reply.body;
    return Json::parse(reply.body);
  }

  std::filesystem::path folder;
  std::unique_ptr<Service> service;
};

TEST(Service, AnswersComeFromTheVersionThatTheyName) {
  Fixture f;
  Json oracle[3];
  for (int64_t v : {1, 2})
    oracle[v] = f.predict({{"adapter", "me"}, {"version", v}})["answer"];
  ASSERT_NE(oracle[1], oracle[2]);
  std::atomic<bool> ends{false};
  std::atomic<int> answers{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      while (!ends) {
        const Json got = f.predict({});
        EXPECT_EQ(got["answer"], oracle[got["version"].get<int64_t>()]);
        ++answers;
      }
    });
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(
        f.ask("/v1/use", {{"adapter", "me"}, {"version", 1 + i % 2}}).status,
        200);
    EXPECT_EQ(f.ask("/v1/adapters/load", {{"adapter", "you"}}).status, 200);
    EXPECT_EQ(f.ask("/v1/adapters/unload", {{"adapter", "you"}}).status, 200);
    EXPECT_EQ(f.get("/metrics").status, 200);
    EXPECT_EQ(f.get("/v1/adapters").status, 200);
    EXPECT_EQ(f.ask("/v1/reload", Json::object()).status, 200);
  }
  while (answers < 30) std::this_thread::yield();
  ends = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Json::parse(f.get("/v1/status").body)["failed_requests"], 0);
}

TEST(Service, ALoadIsSeenByAnotherProcessToo) {
  Fixture f;
  auto store = fieldtune::AdapterStore::open(f.folder / "store");
  ASSERT_TRUE(store.ok() && store->use("me", 2).ok());
  while (f.predict({})["version"] != 2)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ASSERT_TRUE(store->rollback("me").ok());
  EXPECT_EQ(f.ask("/v1/reload", Json::object()).status, 200);
  EXPECT_EQ(f.predict({})["version"], 1);
}

TEST(Service, EveryRouteRefusesWhatItDoesNotKnow) {
  Fixture f;
  for (const Route& route : all_routes()) {
    if (route.method == "GET") {
      EXPECT_EQ(f.get(std::string(route.path)).status, 200) << route.path;
      EXPECT_EQ(f.ask(std::string(route.path), Json::object()).status, 405);
    } else {
      const Reply reply = f.ask(std::string(route.path), {{"nonsense", 1}});
      EXPECT_EQ(reply.status, 400) << route.path << reply.body;
      EXPECT_EQ(f.get(std::string(route.path)).status, 405);
    }
  }
}

TEST(Service, ServesSocketsUntilItIsStopped) {
  Fixture f;
  const std::string path = f.folder / "socket";
  std::vector<Listener> listeners;
  listeners.push_back(Listener::on_path(path).value());
  listeners.push_back(Listener::on_port("127.0.0.1", 0).value());
  EXPECT_EQ(Listener::on_path(path).status().code(), Code::kIo);
  EXPECT_EQ(Listener::on_port("10.0.0.1", 0).status().code(), Code::kUsage);
  EXPECT_EQ(Listener::on_port("::", 0).status().code(), Code::kUsage);
  auto server = HttpServer::create(std::move(listeners), [&](const Call& call) {
    return f.service->handle(call);
  });
  ASSERT_TRUE(server.ok());
  std::thread serving([&] { server->run(); });
  server->stop();
  serving.join();
  { const HttpServer ended = std::move(*server); }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Routes, KnowWhoAsks) {
  const auto from = [](const std::string& host, const std::string& origin,
                       bool network) {
    return is_from_here({.method = {},
                         .path = {},
                         .content_type = {},
                         .host = host,
                         .origin = origin,
                         .is_network = network,
                         .body = {}});
  };
  EXPECT_TRUE(from("localhost:80", "", true));
  EXPECT_TRUE(from("[::1]:80", "", true));
  EXPECT_TRUE(from("127.0.0.1:80", "http://127.0.0.1:80", true));
  EXPECT_FALSE(from("evil.example:80", "", true));
  EXPECT_FALSE(from("localhost.evil.example", "", true));
  EXPECT_FALSE(from("127.evil.example", "", true));
  EXPECT_FALSE(from("localhost", "http://evil.example", true));
  EXPECT_FALSE(from("localhost", "null", false));
  EXPECT_TRUE(from("anything", "", false));
}

TEST(Fields, TellWhatIsWrong) {
  const auto message = [](const char* text, auto read) {
    const auto object = parse_object(text);
    EXPECT_TRUE(object.ok());
    const auto fields = Fields::of(*object, {"x"});
    if (!fields.ok()) return fields.status().message();
    return read(*fields).status().message();
  };
  const auto whole = [](const Fields& f) { return f.whole("x", 1, 5); };
  for (const char* text :
       {R"({"x":6})", R"({"x":1.5})", R"({"x":"1"})", R"({"x":null})",
        R"({"x":18446744073709551615})", R"({"x":-9223372036854775808})"})
    EXPECT_EQ(message(text, whole),
              "field 'x' must be a whole number from 1 to 5");
  EXPECT_EQ(message(R"({"y":1})", whole), "there is no field 'y' here");
  EXPECT_FALSE(parse_object("[[[[[[[[[1]]]]]]]]]").ok());
  EXPECT_FALSE(parse_object("{\"x\": NaN}").ok());
  EXPECT_FALSE(parse_object("{} {}").ok());
  EXPECT_TRUE(parse_object("  ").ok());
}

TEST(Prometheus, EscapesAndCountsUp) {
  PrometheusText out;
  out.family("a", "counter", "one\nline \\ \"here\"");
  out.sample({{"b", "x\"\\\n"}}, 0.1);
  EXPECT_EQ(out.text(),
            "# HELP a one\\nline \\\\ \"here\"\n# TYPE a counter\n"
            "a{b=\"x\\\"\\\\\\n\"} 0.1\n");
  EXPECT_EQ(prometheus_number(1.0 / 0.0), "+Inf");
}

}  // namespace
}  // namespace ft::service
