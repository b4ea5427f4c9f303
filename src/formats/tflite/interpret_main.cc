// tflite_interpret MODEL INPUT.bin OUTPUT.bin [--dequantize] [--batch N]
//
// Runs the imported model on raw input tensors (all inputs of a sample one
// after another, any number of samples) and writes the raw outputs, so that a
// script can compare them with LiteRT's. --ops prints the graph instead.
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "base/file.h"
#include "formats/tflite/import.h"
#include "formats/tflite/interpret.h"
#include "ops/op_def.h"

namespace ft {
namespace {

void print_ops(const Graph& graph) {
  for (NodeId n = 0; n < graph.num_nodes(); ++n) {
    const Node& node = graph.node(n);
    std::string inputs;
    for (const ValueId id : node.inputs)
      inputs += id == kNone ? " -" : " " + graph.value(id).type.to_string();
    fmt::print("{} {}:{} -> {} {}\n", node.op->name, node.name, inputs,
               graph.value(node.outputs[0]).type.to_string(),
               node.attrs.to_string());
  }
}

Status run(const std::string& model_path, const std::string& in_path,
           const std::string& out_path, const ImportOptions& options) {
  FT_TRY(const TfliteModel model, import_tflite(model_path, options));
  if (in_path == "--ops") {
    print_ops(model.graph);
    return ok_status();
  }
  FT_TRY(const MappedFile file, MappedFile::open(in_path));
  std::span<const std::byte> left = file.bytes();
  std::vector<std::byte> all;
  while (!left.empty()) {
    std::vector<std::vector<std::byte>> inputs;
    for (const ValueId id : model.graph.inputs) {
      const size_t bytes = model.graph.value(id).type.num_bytes();
      if (left.size() < bytes) return usage_error("the input file is cut off");
      inputs.emplace_back(left.begin(),
                          left.begin() + static_cast<ptrdiff_t>(bytes));
      left = left.subspan(bytes);
    }
    FT_TRY(const auto outputs, interpret(model.graph, inputs));
    for (const auto& o : outputs) all.insert(all.end(), o.begin(), o.end());
  }
  return write_file_atomically(out_path, all);
}

}  // namespace
}  // namespace ft

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr,
               "usage: tflite_interpret MODEL (--ops | INPUT.bin OUTPUT.bin) "
               "[--dequantize] [--batch N]\n");
    return 2;
  }
  ft::ImportOptions options;
  for (int i = 3; i < argc; ++i) {
    if (std::strcmp(argv[i], "--dequantize") == 0) options.dequantize = true;
    if (std::strcmp(argv[i], "--batch") == 0 && i + 1 < argc)
      options.batch = std::atoi(argv[i + 1]);
  }
  const ft::Status status =
      ft::run(argv[1], argv[2], argc > 3 ? argv[3] : "", options);
  if (!status.ok()) fmt::print(stderr, "{}\n", status.message());
  return ft::exit_code(status.code());
}
