#include "service/service.h"

#include <fmt/format.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/file.h"
#include "service/routes.h"
#include "train/base_model.h"

namespace ft::service {

struct Service::Impl {
  Impl(const ServiceOptions& options, fieldtune::Runtime runtime)
      : parts(options, std::move(runtime)) {}
  ~Impl();

  Status prepare();
  void open_experiments();
  void watch();
  void mark();
  Reply answer(const Call& call, const Route& route);

  Parts parts;
  std::mutex mutex;
  std::condition_variable ended;
  bool ends = false;
  std::thread watcher, marker, resumer;  // last: use the others
};

namespace {

// Refusals before any route: one more row of the metrics.
constexpr std::string_view kNoRoute = "(none)";

// Each path once: those of one path stand together.
std::vector<std::string_view> route_names() {
  std::vector<std::string_view> names;
  for (const Route& route : all_routes())
    if (names.empty() || names.back() != route.path)
      names.push_back(route.path);
  names.push_back(kNoRoute);
  return names;
}

// Where route `at` is among these.
size_t row_of(size_t at) {
  const auto routes = all_routes();
  size_t row = at;
  for (size_t i = 1; i < routes.size() && i <= at; ++i)
    row -= routes[i].path == routes[i - 1].path ? 1 : 0;
  return row;
}

size_t find_route(std::string_view method, std::string_view path) {
  const auto routes = all_routes();
  size_t i = 0;
  while (i < routes.size() &&
         (routes[i].method != method || routes[i].path != path))
    ++i;
  return i;
}

// A language model answers each token with one number for every token there is.
int64_t tokens_of(const fieldtune::Model& model, size_t features) {
  const auto& in = model.inputs()[0];
  const auto& answer = model.outputs()[0].shape;
  if (in.dtype != "int32") return 0;
  const bool is_language_model =
      answer.size() == 2 && static_cast<size_t>(answer[0]) == features;
  return is_language_model ? answer[1] : int64_t{1} << 31;
}

Result<std::shared_ptr<AdapterShelf>> open_shelf(const ServiceOptions& o) {
  if (!o.store.empty())
    return store_shelf({.folder = o.store, .key = o.key, .policy = o.policy});
  if (!o.adapters.empty()) return folder_shelf(o.adapters);
  return std::shared_ptr<AdapterShelf>();
}

}  // namespace

Service::Service(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Service::~Service() = default;

Result<std::unique_ptr<Service>> Service::open(const ServiceOptions& options) {
  FT_TRY(
      auto runtime,
      fieldtune::Runtime::open(
          options.model, {.adapter_budget_bytes = options.adapter_budget_bytes,
                          .exact = options.exact,
                          .sequence_length = options.sequence_length,
                          .policy = options.policy,
                          .adapter_mode = options.adapter_mode}));
  auto impl = std::make_unique<Impl>(options, std::move(runtime));
  FT_TRY_STATUS(impl->prepare());
  return std::unique_ptr<Service>(new Service(std::move(impl)));
}

Status Service::Impl::prepare() {
  const ServiceOptions& o = parts.options;
  {
    FT_TRY(
        const auto model,
        fieldtune::Model::open(
            o.model, {.exact = o.exact, .sequence_length = o.sequence_length}));
    const auto elements = [](const fieldtune::TensorInfo& t) {
      size_t count = 1;
      for (const int64_t d : t.shape) count *= static_cast<size_t>(d);
      return count;
    };
    parts.features = elements(model.inputs()[0]);
    parts.answers = elements(model.outputs()[0]);
    parts.tokens = tokens_of(model, parts.features);
  }
  FT_TRY(auto shelf, open_shelf(o));
  FT_TRY(parts.book, AdapterBook::open(parts.runtime, std::move(shelf)));
  std::string base_sha256;
  if (!o.work.empty()) {
    FT_TRY_STATUS(make_folder(o.work));
    FT_TRY(const BaseModel base, open_base_model(o.model));
    base_sha256 = base.sha256;
  }
  parts.desk.emplace(parts.runtime, *parts.book,
                     DeskOptions{.model = o.model,
                                 .work = o.work,
                                 .signing_key = o.signing_key,
                                 .max_samples = o.max_samples,
                                 .ram_bytes = o.training_ram_bytes,
                                 .idle_class = o.idle_training,
                                 .checkpoint_seconds = o.checkpoint_seconds,
                                 .features = parts.features,
                                 .answers = parts.answers,
                                 .keep_samples = o.keep_samples,
                                 .base_sha256 = base_sha256,
                                 .key = o.key});
  open_experiments();
  parts.route_metrics = std::make_unique<RouteMetrics>(route_names());
  if (!o.active.empty()) FT_TRY_STATUS(parts.book->use(o.active).status());
  if (o.watch_ms > 0 && parts.book->shelf() != nullptr)
    watcher = std::thread([this] { watch(); });
  if (parts.book->shelf() != nullptr) marker = std::thread([this] { mark(); });
  // Compiling a step takes a while, and answers do not wait for it.
  if (o.resume_training && !o.work.empty() && parts.book->shelf() != nullptr)
    resumer = std::thread([this] { go_on_training(parts); });
  return ok_status();
}

// What ends an experiment moves the versions of the store.
void Service::Impl::open_experiments() {
  const ServiceOptions& o = parts.options;
  if (o.store.empty()) return;
  fieldtune::LiveOptions options{.store = {.key = o.key}, .decide = true};
  options.on_end = [this](const fieldtune::Experiment&) {
    (void)parts.book->reload(true).ok();
  };
  auto live = fieldtune::LiveExperiments::open(o.store, options);
  if (live.ok())
    parts.live.emplace(std::move(live).value());
  else
    parts.live_problem = live.status().message();
}

// Sees what another process changed.
void Service::Impl::watch() {
  const std::chrono::milliseconds period(parts.options.watch_ms);
  std::unique_lock lock(mutex);
  while (!ended.wait_for(lock, period, [this] { return ends; })) {
    lock.unlock();
    // What fails shows in /v1/status, and is tried again.
    (void)parts.book->reload(true).ok();
    lock.lock();
  }
}

// Not with each answer: it is a change of the store.
void Service::Impl::mark() {
  const std::chrono::milliseconds period(parts.options.mark_ms);
  std::unique_lock lock(mutex);
  while (!ended.wait_for(lock, period, [this] { return ends; })) {
    lock.unlock();
    // What fails shows in /v1/status, and is tried again.
    (void)parts.use_marks.tell(*parts.book->shelf());
    lock.lock();
  }
}

Service::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex);
    ends = true;
  }
  ended.notify_all();
  if (watcher.joinable()) watcher.join();
  if (marker.joinable()) marker.join();
  if (resumer.joinable()) resumer.join();
}

Reply Service::Impl::answer(const Call& call, const Route& route) {
  if (route.method == "GET") return route.answer(parts, Input::object());
  if (!call.body.empty() && call.content_type != kJsonType)
    return {415, "the body must have the Content-Type application/json"};
  FT_TRY(const Input body, parse_object(call.body));
  return route.answer(parts, body);
}

Reply Service::handle(const Call& call) {
  const auto began = std::chrono::steady_clock::now();
  std::string_view method = call.method;
  if (method == "HEAD") method = "GET";
  const size_t at = find_route(method, call.path);
  Reply reply;
  if (!is_from_here(call)) {
    reply = {403, "the request comes from another site"};
  } else if (at < all_routes().size()) {
    reply = impl_->answer(call, all_routes()[at]);
  } else {
    const std::string allow = allowed_methods(call.path);
    reply = allow.empty() ? Reply(404, "there is nothing at this path")
                          : Reply(405, "this path takes " + allow);
    reply.allow = allow;
  }
  const std::chrono::duration<double> took =
      std::chrono::steady_clock::now() - began;
  impl_->parts.route_metrics->record(row_of(at), reply.status, took.count());
  return reply;
}

Status Service::stop() {
  Parts& parts = impl_->parts;
  // A store that may only be read is served without.
  if (AdapterShelf* const shelf = parts.book->shelf())
    (void)parts.use_marks.tell(*shelf);
  return parts.desk->stop();
}

}  // namespace ft::service
