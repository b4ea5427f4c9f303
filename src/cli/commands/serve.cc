// fieldtune serve: the service of one base model, until it is told to stop.
#include <fmt/format.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "cli/commands/commands.h"
#include "cli/output.h"
#include "cli/policy_option.h"
#include "service/http_server.h"
#include "service/routes.h"
#include "service/service.h"

namespace ft::cli {
namespace {

struct Serve {
  service::ServiceOptions service;
  service::ServerOptions server;
  PolicyOption policy;
  std::string socket, address = "127.0.0.1", budget, body = "4M", held = "64M",
                      ram, samples = "disk";
  int port = -1;
  bool json = false;

  void add_to(CLI::App& app);
  void add_limits_to(CLI::App& app);
  void add_client_limits_to(CLI::App& app);
};

void Serve::add_to(CLI::App& app) {
  app.add_option("model", service.model, "base model")->required();
  auto* store = app.add_option("--store", service.store,
                               "folder of 'fieldtune store': adapters with "
                               "versions");
  app.add_option("--adapters", service.adapters,
                 "folder of adapter files NAME.safetensors")
      ->excludes(store);
  app.add_option("--socket", socket, "path of a Unix socket to listen on");
  app.add_option("--port", port,
                 "port to listen on, 0: one that is free (then printed)");
  app.add_option("--address", address, "of the loopback device, for --port")
      ->capture_default_str();
  app.add_option("--use", service.active,
                 "adapter that answers requests that name none");
  app.add_option("--work", service.work,
                 "folder of trainings: versions and checkpoints; without it "
                 "the service does not train");
  app.add_option("--samples", samples,
                 "where samples of trainings are kept. disk: in --work, until "
                 "they are deleted ('fieldtune samples'), encrypted with the "
                 "key if there is one; memory: gone with the process")
      ->check(CLI::IsMember({"disk", "memory"}))
      ->capture_default_str();
  app.add_flag("!--no-resume-training", service.resume_training,
               "after a restart do not go on with the training that ran");
  app.add_option("--checkpoint-seconds", service.checkpoint_seconds,
                 "between two checkpoints of a training: what a kill or a "
                 "power cut takes is computed again; 0: after every step")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  app.add_option("--signing-key", service.signing_key,
                 "sign what is learned (a key of 'fieldtune keys')");
  app.add_option("--key-file", service.key.file,
                 "of an encrypted store, and of samples");
  app.add_option("--keyring", service.key.keyring,
                 "of an encrypted store, and of samples");
  policy.add_to(app);
  add_limits_to(app);
  add_client_limits_to(app);
  app.add_flag("--exact", service.exact,
               "the same bits on every machine, more slowly");
  app.add_option("--adapter-mode", service.adapter_mode,
                 "beside int8 layers. side: adapters compute as they were "
                 "trained; int8: in integers of their own, much faster, LoRA "
                 "only ('eval --adapter-mode int8' says how well it answers)")
      ->check(CLI::IsMember({"side", "int8"}))
      ->capture_default_str();
  app.add_option("--seq-len", service.sequence_length,
                 "tokens in a sample, for models that read tokens");
  app.add_flag("--json", json, "one JSON object on stdout when it listens");
}

void Serve::add_limits_to(CLI::App& app) {
  app.add_option("--budget", budget,
                 "bytes of adapters in memory, e.g. 64M; default: no limit");
  app.add_option("--threads", server.threads,
                 "that answer requests; half of them at most wait for a disk")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app.add_option("--train-ram", ram,
                 "bytes that a training may need, e.g. 8M; default: no limit");
  app.add_option("--max-samples", service.max_samples, "of a training")
      ->capture_default_str();
  app.add_option("--watch", service.watch_ms,
                 "milliseconds between two looks whether another process "
                 "changed the store; 0: never")
      ->check(CLI::Range(0, 3600000))
      ->capture_default_str();
}

// Nobody who sends or reads slowly, or nothing, is in others' way.
void Serve::add_client_limits_to(CLI::App& app) {
  app.add_option("--max-connections", server.max_connections,
                 "at once; for one more the longest idle is closed, or it is "
                 "told so (503)")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  app.add_option("--max-body", body, "bytes of a request's body")
      ->capture_default_str();
  app.add_option("--max-held", held,
                 "bytes of requests and of answers not yet taken, of all "
                 "connections; above it who holds most is told to go (503)")
      ->capture_default_str();
  const auto seconds = [&](const char* name, int& value, const char* what) {
    app.add_option(name, value, what)
        ->check(CLI::Range(1, 86400))
        ->capture_default_str();
  };
  seconds("--header-timeout", server.times.head_seconds,
          "seconds from a request's first byte to the end of its header");
  seconds("--body-timeout", server.times.request_seconds,
          "seconds from there to its last byte");
  seconds("--answer-timeout", server.times.answer_seconds,
          "seconds for a client to take an answer");
  seconds("--idle-timeout", server.times.idle_seconds,
          "seconds between two requests of a connection");
}

Result<std::vector<service::Listener>> listen(const Serve& options) {
  std::vector<service::Listener> listeners;
  if (options.socket.empty() && options.port < 0)
    return usage_error("serve needs --socket PATH or --port N");
  if (!options.socket.empty()) {
    FT_TRY(auto listener, service::Listener::on_path(options.socket));
    listeners.push_back(std::move(listener));
  }
  if (options.port >= 0) {
    FT_TRY(auto listener,
           service::Listener::on_port(options.address, options.port));
    listeners.push_back(std::move(listener));
  }
  return listeners;
}

void announce(const Serve& options, const service::HttpServer& server) {
  Json names = Json::array();
  for (const auto& listener : server.listeners())
    names.push_back(listener.name());
  print_result({{"model", options.service.model}, {"listens_on", names}},
               options.json);
  (void)std::fflush(stdout);
}

// Threads made from now on leave these signals to whoever waits for them.
sigset_t hold_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// A connection is a file of the process, a store and its adapters are others.
Status allow_files(size_t connections) {
  constexpr rlim_t kOthers = 256;
  const rlim_t needed = 2 * connections + kOthers;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= needed)
    return ok_status();
  if (files.rlim_max < needed)
    return usage_error(fmt::format(
        "--max-connections {} needs {} open files, this process may have {} "
        "(ulimit -Hn)",
        connections, needed, files.rlim_max));
  files.rlim_cur = needed;
  if (::setrlimit(RLIMIT_NOFILE, &files) != 0)
    return io_error(fmt::format("cannot have {} open files: {}", needed,
                                std::strerror(errno)));
  return ok_status();
}

Status read_client_limits(const Serve& options,
                          service::ServerOptions& limits) {
  FT_TRY(limits.limits.body_bytes, parse_bytes(options.body));
  FT_TRY(limits.held_bytes, parse_bytes(options.held));
  // While it grows a buffer may have twice the bytes that are in it.
  const size_t needed =
      2 * (limits.limits.body_bytes + limits.limits.head_bytes);
  if (limits.held_bytes < needed)
    return usage_error(fmt::format(
        "--max-held {} is less than the {} bytes that one request of "
        "--max-body {} may take",
        options.held, needed, options.body));
  limits.may_wait = service::may_wait;
  limits.load = std::make_shared<service::ServerLoad>();
  return allow_files(limits.max_connections);
}

Status run_serve(const Serve& options) {
  // glibc gives each thread an arena that only grows: with a dozen threads that
  // is memory a small board does not have. Two are enough, one would be waited
  // for.
  mallopt(M_ARENA_MAX, 2);
  // Else one large request makes it keep the next ones' memory for ever.
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  const sigset_t signals = hold_signals();
  service::ServiceOptions settings = options.service;
  service::ServerOptions limits = options.server;
  settings.policy = options.policy.path;
  settings.keep_samples = options.samples == "disk";
  if (!options.budget.empty()) {
    FT_TRY(settings.adapter_budget_bytes, parse_bytes(options.budget));
  }
  if (!options.ram.empty()) {
    FT_TRY(settings.training_ram_bytes, parse_bytes(options.ram));
  }
  FT_TRY_STATUS(read_client_limits(options, limits));
  settings.load = limits.load;
  if (settings.store.empty() && settings.adapters.empty())
    return usage_error("serve needs --store STORE or --adapters FOLDER");
  // Listening first: a second service is refused before it loads anything.
  FT_TRY(auto listeners, listen(options));
  FT_TRY(const auto service, service::Service::open(settings));
  FT_TRY(auto server,
         service::HttpServer::create(
             std::move(listeners),
             [&](const service::Call& call) { return service->handle(call); },
             limits));
  announce(options, server);
  std::thread serving([&] { server.run(); });
  int signal = 0;
  sigwait(&signals, &signal);
  std::signal(signal, SIG_DFL);  // the second one ends the process
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  server.stop();
  serving.join();
  return service->stop();
}

}  // namespace

void add_serve(CLI::App& app, Action& action) {
  add_command<Serve>(
      app, action, "serve",
      "Answer requests over HTTP, on a Unix socket or the loopback device",
      "fieldtune serve kws.tflite --store adapters --socket /run/kws.sock\n"
      "  curl --unix-socket /run/kws.sock http://localhost/v1/adapters\n"
      "  fieldtune serve kws.tflite --adapters folder --port 8080 --use me "
      "--budget 64M --work /var/lib/kws\n"
      "  curl http://127.0.0.1:8080/metrics\n"
      "Ends on SIGTERM when the requests under way are answered. All routes: "
      "docs/service.md.",
      run_serve);
}

}  // namespace ft::cli
