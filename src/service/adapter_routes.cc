// Adapters: which there are, which are in memory, which one answers.
#include <map>

#include "service/parts.h"

namespace ft::service {
namespace {

struct Named {
  std::string adapter;
  int64_t version = 0;
};

// 'adapter', which may be null for the base alone, and 'version'.
Result<Named> read_named(const Fields& fields, const Input& body) {
  if (!fields.has("adapter"))
    return usage_error("the field 'adapter' is missing");
  Named named;
  if (!body["adapter"].is_null()) {
    FT_TRY(const auto name, fields.text("adapter"));
    named.adapter = name.value_or("");
  }
  FT_TRY(const auto version, fields.whole("version", 1, INT64_MAX));
  named.version = version.value_or(0);
  return named;
}

Reply reply_of(const Result<Chosen>& chosen, int status_of_usage) {
  if (!chosen.ok() && chosen.status().code() == Code::kUsage)
    return {status_of_usage, chosen.status().message()};
  if (!chosen.ok()) return chosen.status();
  return Json{{"adapter", name_or_null(chosen->name)},
              {"version", version_or_null(chosen->version)}};
}

Json fields_of(const CatalogVersion& v,
               const fieldtune::AdapterInMemory* in_memory) {
  Json fields = {
      {"version", version_or_null(v.version)},
      {"slot", v.slot ? Json(fieldtune::name_of(*v.slot)) : Json()},
      {"pinned", v.pinned},
      {"method", v.method},
      {"file_bytes", v.bytes},
      {"sha256", v.sha256.empty() ? Json() : Json(v.sha256)},
      {"in_memory_bytes", in_memory != nullptr ? in_memory->bytes : 0},
      {"kept", in_memory != nullptr && in_memory->pins > 0}};
  Json metrics = Json::object();
  for (const auto& [name, value] : v.metrics) metrics[name] = value;
  fields["metrics"] = metrics;
  return fields;
}

Reply not_in_slots(const Status& status) {
  if (status.code() == Code::kUsage) return {409, status.message()};
  return status;
}

}  // namespace

Json name_or_null(const std::string& name) {
  return name.empty() ? Json() : Json(name);
}

Json version_or_null(int64_t version) {
  return version > 0 ? Json(version) : Json();
}

Reply list_adapters(Parts& parts, const Input&) {
  const auto catalog = parts.book->catalog();
  const auto held = parts.runtime.in_memory();
  std::map<std::string_view, const fieldtune::AdapterInMemory*> by_name;
  for (const auto& h : held) by_name[h.name] = &h;
  const Chosen active = parts.book->active();
  Json list = Json::array();
  for (const auto& [name, entry] : *catalog) {
    Json versions = Json::array();
    for (const CatalogVersion& v : entry.versions) {
      const auto at = by_name.find(runtime_name(name, v));
      versions.push_back(
          fields_of(v, at == by_name.end() ? nullptr : at->second));
    }
    list.push_back({{"adapter", name},
                    {"in_use", entry.active >= 0},
                    {"version", version_or_null(entry.active)},
                    {"active", name == active.name},
                    {"versions", versions}});
  }
  return Json{{"active", name_or_null(active.name)},
              {"active_version", version_or_null(active.version)},
              {"adapters", list}};
}

Reply load_adapter(Parts& parts, const Input& body) {
  FT_TRY(const Fields fields, Fields::of(body, {"adapter", "version", "keep"}));
  FT_TRY(const Named named, read_named(fields, body));
  FT_TRY(const auto keep, fields.flag("keep"));
  // A file that came since the last look.
  if (parts.book->shelf() != nullptr)
    FT_TRY_STATUS(parts.book->reload(true).status());
  return reply_of(
      parts.book->load(named.adapter, named.version, keep.value_or(true)), 404);
}

Reply unload_adapter(Parts& parts, const Input& body) {
  FT_TRY(const Fields fields, Fields::of(body, {"adapter", "version"}));
  FT_TRY(const Named named, read_named(fields, body));
  if (const auto known = parts.book->choose(named.adapter, named.version);
      !known.ok())
    return {404, known.status().message()};
  return reply_of(parts.book->unload(named.adapter, named.version), 409);
}

Reply use_adapter(Parts& parts, const Input& body) {
  FT_TRY(const Fields fields,
         Fields::of(body, {"adapter", "version", "confirm"}));
  FT_TRY(const Named named, read_named(fields, body));
  FT_TRY(const auto confirm, fields.flag("confirm"));
  AdapterShelf* shelf = parts.book->shelf();
  const bool changes = named.version > 0 || confirm.value_or(false);
  if (changes) {
    if (named.adapter.empty() || shelf == nullptr)
      return {400, "the base alone has no versions"};
    if (const auto known = parts.book->choose(
            named.adapter, named.version > 0 ? named.version : 0);
        !known.ok())
      return {404, known.status().message()};
    // Loads before it changes the store: what cannot be loaded is not used.
    const auto loaded = parts.book->load(named.adapter, named.version, false);
    if (!loaded.ok()) return loaded.status();
    if (named.version > 0)
      if (const Status s = shelf->use(named.adapter, named.version); !s.ok())
        return not_in_slots(s);
    if (confirm.value_or(false))
      if (const Status s = shelf->confirm(named.adapter); !s.ok())
        return not_in_slots(s);
    FT_TRY_STATUS(parts.book->reload().status());
  }
  return reply_of(parts.book->use(named.adapter), 404);
}

Reply rollback_adapter(Parts& parts, const Input& body) {
  FT_TRY(const Fields fields, Fields::of(body, {"adapter"}));
  FT_TRY(const Named named, read_named(fields, body));
  if (parts.book->shelf() == nullptr || named.adapter.empty())
    return {400, "the base alone has no versions"};
  if (!parts.book->catalog()->contains(named.adapter))
    return {404, "there is no adapter '" + named.adapter + "'"};
  if (const Status s = parts.book->shelf()->rollback(named.adapter); !s.ok())
    return not_in_slots(s);
  FT_TRY(const Reloaded done, parts.book->reload());
  if (!done.problem.empty()) return {500, done.problem};
  return reply_of(parts.book->choose(named.adapter), 409);
}

Reply reload_adapters(Parts& parts, const Input& body) {
  FT_TRY_STATUS(Fields::of(body, {}).status());
  if (parts.book->shelf() == nullptr)
    return {409, "this service has neither a store nor a folder of adapters"};
  FT_TRY(const Reloaded done, parts.book->reload());
  return Json{{"names", done.names},
              {"versions", done.versions},
              {"changed", done.changed},
              {"problem", done.problem}};
}

}  // namespace ft::service
