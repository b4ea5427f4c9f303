// The service without a network: routes from several threads, a store that
// changes under them, and the texts of metrics.
#include "service/service.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <set>
#include <sstream>
#include <thread>

#include "service/http_server.h"
#include "service/json_fields.h"
#include "service/prometheus.h"
#include "service/routes.h"
#include "serving/frozen_thread.h"
#include "serving/test_adapters.h"

namespace ft::service {
namespace {

const std::string kBase = FT_SOURCE_DIR "/examples/demo/keyword_base.tflite";

struct Fixture {
  explicit Fixture(int mark_ms = 60000,
                   const std::string& adapter_mode = "side") {
    folder = std::filesystem::path(testing::TempDir()) /
             fmt::format("ft_service_{}_{}", getpid(), fixtures++);
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
                                 .adapter_mode = adapter_mode,
                                 .active = "me",
                                 .work = folder / "work",
                                 .idle_training = false,
                                 .watch_ms = 20,
                                 .mark_ms = mark_ms});
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

  static inline int fixtures = 0;
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

// Of version 1 of "you", as the store has it.
int64_t last_use(const Fixture& f) {
  return fieldtune::AdapterStore::open(f.folder / "store")
      ->find("you", 1)
      ->last_use;
}

TEST(Service, TellsTheStoreWhichVersionsAnswered) {
  Fixture f(20);
  const int64_t before = last_use(f);
  f.predict({});
  EXPECT_EQ(last_use(f), before);
  f.predict({{"adapter", "you"}});
  while (last_use(f) == before)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST(Service, TellsTheStoreAtItsEnd) {
  Fixture f;
  const int64_t before = last_use(f);
  f.predict({{"adapter", "you"}});
  EXPECT_EQ(last_use(f), before);
  ASSERT_TRUE(f.service->stop().ok());
  EXPECT_GT(last_use(f), before);
}

TEST(Service, AStoreThatCannotBeToldIsServedAndToldLater) {
  Fixture f(20);
  const auto store = f.folder / "store", away = f.folder / "away";
  const int64_t before = last_use(f);
  f.predict({{"adapter", "you"}});
  while (last_use(f) == before)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::filesystem::rename(store, away);
  f.predict({{"adapter", "you"}, {"version", 1}});
  const auto problem = [&] {
    return Json::parse(f.get("/v1/status").body)["use_marks_problem"]
        .get<std::string>();
  };
  while (problem().empty())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  f.predict({{"adapter", "you"}});
  std::filesystem::rename(away, store);
  while (!problem().empty())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST(Service, AdaptersInIntegersAnswerAsInTheRuntime) {
  const Fixture f(60000, "int8"), as_trained;
  auto runtime = fieldtune::Runtime::open(kBase, {.adapter_mode = "int8"});
  ASSERT_TRUE(runtime.ok());
  for (const auto& [file, name] : {std::pair("1", "me"), {"3", "you"}}) {
    ASSERT_TRUE(
        runtime->add(name, f.folder / (std::string(file) + ".safetensors"))
            .ok());
    const Json status = Json::parse(f.get("/v1/status").body);
    EXPECT_EQ(status["adapter_mode"], "int8");
    const std::vector<float> x(status["features"].get<size_t>(), 5);
    std::vector<float> answer;
    ASSERT_TRUE(runtime->run_with(name, x, answer).ok());
    const Json given = f.predict({{"adapter", name}})["answer"];
    EXPECT_EQ(given.get<std::vector<float>>(), answer);
    EXPECT_NE(as_trained.predict({{"adapter", name}})["answer"], given);
  }
  EXPECT_EQ(Service::open({.model = kBase,
                           .store = f.folder / "store",
                           .adapters = {},
                           .adapter_mode = "int4"})
                .status()
                .code(),
            Code::kUsage);
}

// The step that a training ends with may take as long as others want the cores.
TEST(Service, AnswersWhileATrainingThatGetsNoCoreEnds) {
  const Fixture f;
  ASSERT_EQ(f.ask("/v1/train/start", {{"adapter", "mine"},
                                      {"total_steps", 1000000},
                                      {"publish_every", 1000000},
                                      {"batch", 1},
                                      {"least_held_back", 1}})
                .status,
            200);
  const auto now = [&] { return Json::parse(f.get("/v1/train").body); };
  const size_t size =
      Json::parse(f.get("/v1/status").body)["features"].get<size_t>();
  for (int i = 0; i < 12; ++i)
    ASSERT_EQ(f.ask("/v1/samples", {{"features", std::vector<float>(size, 1)},
                                    {"label", i % 2}})
                  .status,
              200);
  while (now()["steps"] == 0) std::this_thread::yield();
  std::thread ending;
  {
    const FrozenThread frozen(thread_named("ft_background"));
    ending = std::thread([&] {
      EXPECT_EQ(f.ask("/v1/train/stop", Json::object()).status, 200);
    });
    const auto began = std::chrono::steady_clock::now();
    while (now()["state"] != "ending") std::this_thread::yield();
    EXPECT_EQ(
        f.ask("/v1/train/start", {{"adapter", "mine"}, {"total_steps", 5}})
            .status,
        409);
    EXPECT_LT(std::chrono::steady_clock::now() - began,
              std::chrono::seconds(3));
  }
  ending.join();
  EXPECT_EQ(now()["state"], "stopped");
}

TEST(Service, EveryRouteRefusesWhatItDoesNotKnow) {
  Fixture f;
  for (const Route& route : all_routes()) {
    const std::string path(route.path);
    const bool has_both = allowed_methods(path) == "GET, HEAD, POST";
    EXPECT_EQ(has_both, path == "/v1/samples");
    if (route.method == "GET") {
      EXPECT_EQ(f.get(path).status, 200) << path;
      EXPECT_EQ(f.ask(path, Json::object()).status, has_both ? 400 : 405);
    } else {
      const Reply reply = f.ask(path, {{"nonsense", 1}});
      EXPECT_EQ(reply.status, 400) << path << reply.body;
      EXPECT_EQ(f.get(path).status, has_both ? 200 : 405);
    }
  }
  // Each series once.
  std::set<std::string> series;
  std::istringstream lines(f.get("/metrics").body);
  for (std::string line; std::getline(lines, line);)
    EXPECT_TRUE(line.starts_with("#") ||
                series.insert(line.substr(0, line.rfind(' '))).second)
        << line;
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

// Files are replaced under requests that name the adapter.
TEST(Service, BatchesAreAnsweredWhileFilesAreReplaced) {
  Fixture f;
  const auto folder = f.folder / "files";
  std::filesystem::create_directories(folder);
  const auto replace = [&](int seed) {
    std::filesystem::copy_file(
        f.folder / fmt::format("{}.safetensors", 1 + seed % 2), folder / "new");
    std::filesystem::rename(folder / "new", folder / "me.safetensors");
  };
  replace(0);
  auto opened = Service::open(
      {.model = kBase, .store = {}, .adapters = folder, .watch_ms = 1});
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  f.service = std::move(opened).value();
  const std::vector<float> x(
      Json::parse(f.get("/v1/status").body)["features"].get<size_t>(), 5);
  const Json one = {{"adapter", "me"}, {"features", x}};
  std::atomic<bool> ends{false};
  std::atomic<int> answered{0};
  // Not faster than answers come: a service that is slow, as under a sanitizer,
  // looks a few times and then says so.
  std::thread replacing([&] {
    for (int i = 0; !ends; ++i) {
      const int before = answered;
      replace(i);
      do std::this_thread::sleep_for(std::chrono::milliseconds(3));
      while (!ends && answered == before);
    }
  });
  for (int i = 0; i < 400; ++i) {
    const Reply all =
        f.ask("/v1/predict", {{"requests", Json::array({one, one, one})}});
    EXPECT_EQ(all.status, 200) << all.body;
    ++answered;
    const Reply single = f.ask("/v1/predict", one);
    EXPECT_EQ(single.status, 200) << single.body;
    ++answered;
  }
  ends = true;
  replacing.join();
}

TEST(Service, ARefusedStartLeavesTheCheckpoint) {
  const Fixture f;
  const auto checkpoint = f.folder / "work" / "mine.checkpoint";
  const Json start = {{"adapter", "mine"}, {"total_steps", 50}};
  ASSERT_EQ(f.ask("/v1/train/start", start).status, 200);
  ASSERT_EQ(f.ask("/v1/train/stop", Json::object()).status, 200);
  ASSERT_TRUE(std::filesystem::exists(checkpoint));
  Json wrong = start;
  wrong["fresh"] = true;
  wrong["method"] = "magic";
  EXPECT_EQ(f.ask("/v1/train/start", wrong).status, 400);
  EXPECT_TRUE(std::filesystem::exists(checkpoint));
  wrong.erase("method");
  EXPECT_EQ(f.ask("/v1/train/start", wrong).status, 200);
  EXPECT_FALSE(std::filesystem::exists(checkpoint));
  EXPECT_FALSE(
      std::filesystem::exists(f.folder / "work" / "mine.checkpoint.before"));
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
  EXPECT_TRUE(from("LocalHost:80", "", true));
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

TEST(Fields, AreThereOnce) {
  for (const char* text :
       {R"({"x":1,"x":1})", R"({"x":1,"\u0078":2})", R"({"y":[{"x":1,"x":2}]})",
        R"({"y":{"x":[],"x":{}}})"}) {
    const auto object = parse_object(text);
    EXPECT_EQ(object.status().message(), "a field of the body is there twice")
        << text;
  }
  for (const char* text : {R"({"x":{"x":1},"y":[{"x":2},{"x":3}]})",
                           R"({":":"a:b","\":":["\"x\":1",":",1]})"})
    EXPECT_TRUE(parse_object(text).ok()) << text;
}

TEST(Fields, AreNoMoreThanARequestCanHave) {
  using namespace std::string_literals;
  EXPECT_EQ(parse_object("{\"x\":1}\0"s).status().message(),
            "the body is not JSON");
  EXPECT_EQ(parse_object("{\"x\":1}\0 and more"s).status().message(),
            "the body is not JSON");
  for (const char* part : {"[],", "{},", "\"\","}) {
    const auto of = [&](int parts) {
      std::string text = "{\"x\":[";  // two, and the list and the object
      for (int i = 3; i < parts; ++i) text += part;
      return parse_object(text + "0]}");
    };
    EXPECT_TRUE(of(16384).ok()) << part;
    EXPECT_EQ(of(16385).status().message(),
              "the body has 16385 lists, objects and texts, above 16384");
  }
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
