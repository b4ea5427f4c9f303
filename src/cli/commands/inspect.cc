// fieldtune inspect: what a model file holds and which layers can be adapted;
// what the header of a device image says.
#include <fmt/format.h>

#include <map>

#include "adapters/device_image.h"
#include "base/file.h"
#include "base/hash.h"
#include "cli/commands/commands.h"
#include "cli/output.h"
#include "methods/method.h"
#include "ops/op_def.h"
#include "train/base_model.h"

namespace ft::cli {
namespace {

struct Options {
  std::string model, public_key;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option(
           "model", model,
           "model file (.tflite, llama2.c .bin), Hugging Face folder or "
           "device image")
        ->required();
    app.add_option("--public-key", public_key,
                   "refuse a device image that this key's owner did not sign "
                   "(file of 'fieldtune keygen')");
    app.add_flag("--json", json, "one JSON object on stdout");
  }
};

Json describe(const Graph& graph, std::span<const ValueId> values) {
  Json list = Json::array();
  for (const ValueId v : values) {
    const TensorType& type = graph.value(v).type;
    const auto dims = type.shape.dims();
    Json entry = {{"name", graph.value(v).name},
                  {"dtype", name_of(type.dtype)},
                  {"shape", std::vector<int64_t>(dims.begin(), dims.end())}};
    if (!type.quant.empty()) {
      entry["scale"] = type.quant.scale[0];
      entry["zero_point"] = type.quant.zero_point[0];
    }
    list.push_back(std::move(entry));
  }
  return list;
}

Json count_ops(const Graph& graph) {
  std::map<std::string, int> counts;
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    ++counts[std::string(graph.node(n).op->name)];
  Json list = Json::array();
  for (const auto& [name, count] : counts)
    list.push_back({{"name", name}, {"count", count}});
  return list;
}

int64_t count_parameters(const Graph& graph) {
  std::vector<bool> seen(static_cast<size_t>(graph.num_values()), false);
  int64_t sum = 0;
  for (NodeId n = 0; n < graph.num_nodes(); ++n)
    for (const ValueId v : graph.node(n).inputs) {
      if (v == kNone || graph.value(v).kind != ValueKind::kConstant ||
          seen[static_cast<size_t>(v)])
        continue;
      seen[static_cast<size_t>(v)] = true;
      sum += graph.value(v).type.shape.num_elements();
    }
  return sum;
}

Json modules(const Graph& graph) {
  Json list = Json::array();
  for (const AdaptableModule& m : adaptable_modules(graph)) {
    const auto dims = m.weight.dims();
    list.push_back({{"name", m.name},
                    {"kind", m.kind},
                    {"weight", std::vector<int64_t>(dims.begin(), dims.end())},
                    {"max_rank", m.max_rank()}});
  }
  return list;
}

Status inspect_image(const Options& options, std::span<const std::byte> file) {
  FT_TRY(const DeviceImage image, decode_device_image(file, options.model));
  const bool check = !options.public_key.empty();
  if (check) {
    FT_TRY(const PublicKey key, load_public_key(options.public_key));
    FT_TRY_STATUS(check_signature(file, key, options.model));
  }
  const bool is_adapter = image.kind == DeviceImage::Kind::kAdapter;
  print_result({{"image", options.model},
                {"kind", is_adapter ? "adapter" : "state"},
                {is_adapter ? "adapter_version" : "sequence", image.version},
                {is_adapter ? "adapter_number" : "parent_crc32", image.parent},
                {"image_bytes", file.size()},
                {"payload_bytes", image.payload.size()},
                {"base_sha256_prefix", to_hex(image.base_hash)},
                {"plan_hash_prefix", to_hex(image.plan_hash)},
                {"payload_crc32", fmt::format("{:08x}", image.payload_crc32)},
                {"header_crc32", fmt::format("{:08x}", image.header_crc32)},
                {"signed", image.is_signed},
                {"signature_checked", check},
                {"image_sha256", sha256_hex(file)}},
               options.json);
  return ok_status();
}

Status run(const Options& options) {
  const auto file = MappedFile::open(options.model);
  if (file.ok() && is_device_image(file->bytes()))
    return inspect_image(options, file->bytes());
  if (!options.public_key.empty())
    return usage_error("--public-key: '" + options.model +
                       "' is not a device image");
  FT_TRY(const BaseModel model, open_base_model(options.model));
  const Graph& graph = model.graph;
  print_result({{"model", options.model},
                {"sha256", model.sha256},
                {"file_bytes", model.file_bytes},
                {"inputs", describe(graph, graph.inputs)},
                {"outputs", describe(graph, graph.outputs)},
                {"ops", count_ops(graph)},
                {"parameters", count_parameters(graph)},
                {"adaptable_modules", modules(graph)}},
               options.json);
  return ok_status();
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  add_command<Options>(app, action, "inspect",
                       "Show a model's inputs, outputs, ops and the layers "
                       "that can be adapted, or a device image's header",
                       "fieldtune inspect model.tflite --json\n  fieldtune "
                       "inspect me.img --public-key release.key.pub",
                       run);
}

}  // namespace ft::cli
