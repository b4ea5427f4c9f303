// Import of TensorFlow Lite models (.tflite) into a Graph.
//
// Promises: any bytes give a model or one sentence, never a crash or a hang;
// what import allocates stays below 4x the file size plus 64 KB; constants are
// views into the file unless they had to be converted. What comes out computes
// what LiteRT's reference kernels compute on the same file. Not for writing
// files back (see export.h).
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ir/graph.h"

namespace ft {

struct ImportOptions {
  // Turns an int8 graph into a float one: weights dequantized, activations
  // float32 in real units (for training everything in float).
  bool dequantize = false;
  // Quantizes float activations to int8 and back where they meet int8 weights
  // (dynamic range quantization), as LiteRT does while running. Without it such
  // weights become float32 and the activations stay as they are, which is what
  // training wants. Of recurrent layers and matmul the latter always.
  bool dynamic_range = false;
  // 0: as in the file; N: axis 0 of every input becomes N.
  int batch = 0;
};

struct TfliteModel {
  Graph graph;
  std::string sha256;  // of the file
  size_t file_bytes = 0;
  std::string description;  // the file's own, e.g. "MLIR Converted."
  // The file's index of a graph's value or node; kNone where the importer made
  // it up. An operator that became several nodes is named by each of them.
  int tensor_of(ValueId id) const { return at(value_tensor, id); }
  int operator_of(NodeId id) const { return at(node_operator, id); }
  ValueId value_of(int tensor) const;

  std::vector<int> value_tensor;   // by ValueId
  std::vector<int> node_operator;  // by NodeId
  // Constants made of several tensors of the file, one behind the other along
  // axis 0: the gates of an LSTM.
  std::map<ValueId, std::vector<int>> joined_tensors;

 private:
  static int at(const std::vector<int>& map, int i) {
    return static_cast<size_t>(i) < map.size() ? map[static_cast<size_t>(i)]
                                               : kNone;
  }
};

// Maps the file; the graph keeps the mapping alive.
Result<TfliteModel> import_tflite(const std::string& path,
                                  const ImportOptions& options = {});
// The bytes must outlive the graph.
Result<TfliteModel> import_tflite(std::span<const std::byte> bytes,
                                  const ImportOptions& options = {});

// Names of the TensorFlow Lite operators that import understands.
std::vector<std::string_view> supported_tflite_operators();

}  // namespace ft
