// fieldtune inspect: what a model file holds and which layers can be adapted.
#include <map>

#include "cli/commands/commands.h"
#include "cli/output.h"
#include "methods/method.h"
#include "ops/op_def.h"
#include "train/base_model.h"

namespace ft::cli {
namespace {

struct Options {
  std::string model;
  bool json = false;

  void add_to(CLI::App& app) {
    app.add_option("model", model,
                   "model file (.tflite, llama2.c .bin) or Hugging Face folder")
        ->required();
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

Status run(const Options& options) {
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
                       "that can be adapted",
                       "fieldtune inspect model.tflite --json", run);
}

}  // namespace ft::cli
