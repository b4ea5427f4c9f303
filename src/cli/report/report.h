// The page that `--report` writes: one HTML file with pictures, no network.
//
// Takes plain structs, so that a picture can be tested and redrawn without a
// model; program_map.h fills the memory map from a compiled program. Every
// string is escaped here: callers pass names as they are. Not for: choosing
// what a command reports, or writing the file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace ft::cli {

// One headline number, as a tile: "97.5 %", "accuracy after", "was 8.3 %".
struct KeyFigure {
  std::string label;
  std::string value;
  std::string note = {};  // small print under the value, may be empty
};

enum class BufferKind : uint8_t { kInput, kForward, kKept, kGradient };

// A rectangle of the memory map: calls first_use..last_use (inclusive) by bytes
// offset..offset+bytes.
struct MapBuffer {
  std::string name;
  BufferKind kind = BufferKind::kForward;
  size_t offset = 0;
  size_t bytes = 0;
  int first_use = 0;
  int last_use = 0;
};

struct MemoryMap {
  std::vector<MapBuffer> buffers = {};
  std::vector<std::string> calls =
      {};                  // what runs at each call, for hover titles
  int backward_call = -1;  // where the backward pass starts; -1: none
  int fullest_call = 0;
  size_t arena_bytes = 0;
  size_t lower_bound_bytes = 0;
  size_t persistent_bytes = 0;
  size_t scratch_bytes = 0;
};

constexpr double kNoValue = std::numeric_limits<double>::quiet_NaN();

struct CurvePoint {
  int epoch = 0;  // counted from 1
  double train_loss = kNoValue;
  double validation_loss = kNoValue;
  double validation_accuracy = kNoValue;  // 0 to 1
};

// counts[label][answer]. The two lists may differ: a base model answers in its
// own classes. An answer is right if the names are equal.
struct ConfusionMatrix {
  std::string title;
  std::vector<std::string> labels = {};
  std::vector<std::string> answers = {};
  std::vector<std::vector<int>> counts = {};
};

// A plan on a Pareto front; NaN: not known.
struct FrontPoint {
  std::string plan;
  double ram_bytes = 0;
  double quality = 0;  // accuracy from 0 to 1, or an error
  bool is_accuracy = true, chosen = false;
  double step_ms = kNoValue, step_mj = kNoValue;
};

struct RankBar {
  std::string layer;
  int r = 0;  // 0: the method has no ranks
  bool adapted = false;
};

// A kernel call and what it costs on a target.
struct CallPoint {
  std::string name, cost_class;
  double macs = 0, bytes = 0, cycles = 0;
};

struct Roofline {
  std::vector<CallPoint> calls = {};
  double bytes_per_cycle = kNoValue;  // of the target's RAM
};

struct ReportTable {
  std::string title;
  std::vector<std::string> columns = {};
  std::vector<std::vector<std::string>> rows = {};
};

struct ReportData {
  std::string title;
  std::string subtitle = {};  // one sentence: model, data, method
  std::vector<KeyFigure> figures = {};
  std::optional<MemoryMap> memory = {};
  std::vector<CurvePoint> curve = {};
  std::vector<ConfusionMatrix> confusions = {};
  std::vector<FrontPoint> front = {};
  std::vector<RankBar> ranks = {};
  Roofline roofline = {};
  std::vector<ReportTable> tables = {};
  std::string command = {};  // what makes this page again; may be empty
};

// The whole page. Parts without data are left out.
std::string render_report(const ReportData& data);

}  // namespace ft::cli
