#include "formats/tflite/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>

namespace ft {
namespace {

constexpr size_t kMaxName = 64;

// Leaves that TensorFlow's layers give the tensors of one operator.
struct Leaves {
  tfl::BuiltinOperator code;
  std::array<std::string_view, 4> words;
};
constexpr Leaves kLeaves[] = {
    {tfl::BuiltinOperator::CONV_2D,
     {"Conv2D", "Conv1D", "conv1d", "convolution"}},
    {tfl::BuiltinOperator::DEPTHWISE_CONV_2D, {"depthwise"}},
    {tfl::BuiltinOperator::TRANSPOSE_CONV, {"conv2d_transpose"}},
    {tfl::BuiltinOperator::FULLY_CONNECTED, {"MatMul", "Tensordot"}},
    {tfl::BuiltinOperator::BATCH_MATMUL, {"MatMul", "BatchMatMulV2", "einsum"}},
    {tfl::BuiltinOperator::ADD, {"add", "AddV2", "Add"}},
    {tfl::BuiltinOperator::SUB, {"sub", "Sub"}},
    {tfl::BuiltinOperator::MUL, {"mul", "Mul"}},
    {tfl::BuiltinOperator::RESHAPE, {"Reshape", "ExpandDims", "Squeeze"}},
};

bool has_weights(tfl::BuiltinOperator code) {
  return code == tfl::BuiltinOperator::CONV_2D ||
         code == tfl::BuiltinOperator::DEPTHWISE_CONV_2D ||
         code == tfl::BuiltinOperator::TRANSPOSE_CONV ||
         code == tfl::BuiltinOperator::FULLY_CONNECTED;
}

std::string_view leaf_of(std::string_view segment) {
  const size_t slash = segment.rfind('/');
  return slash == std::string_view::npos ? segment : segment.substr(slash + 1);
}

bool is_leaf(tfl::BuiltinOperator code, std::string_view segment) {
  const std::string_view leaf = leaf_of(segment);
  for (const Leaves& row : kLeaves)
    if (row.code == code)
      return std::ranges::any_of(row.words, [&](std::string_view word) {
        return !word.empty() && leaf == word;
      });
  return false;
}

// A converter joins the names of what it fused with ';'. The operator's own
// part is the one that ends in a leaf of its kind.
std::string_view own_segment(std::string_view name, tfl::BuiltinOperator code) {
  std::string_view rest = name.substr(0, 4096);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(';'), rest.size());
    if (is_leaf(code, rest.substr(0, end))) return rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return out;
}

// Names that say nothing of the layer.
bool is_anonymous(std::string_view name) {
  return name.empty() || name.starts_with("Identity") ||
         name.starts_with("StatefulPartitionedCall") ||
         name.starts_with("PartitionedCall") || name.starts_with("output_");
}

std::string_view first_segment(std::string_view name) {
  return name.substr(0, std::min(name.find(';'), name.size()));
}

}  // namespace

NodeNames::NodeNames(const ModelFile& file) : file_(file) {
  std::map<std::string_view, int, std::less<>> count;
  int scoped = 0;
  for (int i = 0; i < file.num_tensors() && i < 4096; ++i) {
    const std::string_view name = file.tensor_name(i);
    const size_t slash = name.find('/');
    if (slash > kMaxName) continue;  // npos too
    if (name.find('/', slash + 1) == std::string_view::npos) continue;
    ++scoped;
    if (count.size() < 64 || count.contains(name.substr(0, slash + 1)))
      ++count[name.substr(0, slash + 1)];
  }
  for (const auto& [scope, n] : count)
    if (2 * n > scoped) scope_ = printable(scope, kMaxName);
}

std::string NodeNames::shorten(std::string_view segment) const {
  if (!scope_.empty() && segment.starts_with(scope_))
    segment.remove_prefix(scope_.size());
  const size_t slash = segment.rfind('/');
  if (slash != std::string_view::npos && slash > 0)
    segment = segment.substr(0, slash);
  std::string name = printable(segment, kMaxName);
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 &&
        std::string_view("_./-").find(c) == std::string_view::npos)
      c = '_';
  return name;
}

std::string NodeNames::stem(int index) const {
  const tfl::BuiltinOperator code = file_.code(index);
  const std::span<const int32_t> inputs = file_.inputs_of(index);
  const std::span<const int32_t> outputs = file_.outputs_of(index);
  if (has_weights(code) && inputs.size() > 1 && inputs[1] >= 0) {
    const std::string_view weights = file_.tensor_name(inputs[1]);
    const std::string_view own = own_segment(weights, code);
    if (!own.empty()) return shorten(own);
  }
  const std::string_view name =
      outputs.empty() ? "" : file_.tensor_name(outputs[0]);
  const std::string_view own = own_segment(name, code);
  if (!own.empty()) return shorten(own);
  if (is_anonymous(name)) return lower_case(tfl::EnumNameBuiltinOperator(code));
  return shorten(first_segment(name));
}

std::string NodeNames::unique(std::string name) {
  if (name.empty()) name = "node";
  std::string candidate = name;
  // A file of equal names must not cost a search that grows with its square.
  for (int i = 1; !taken_.insert(candidate).second; ++i)
    candidate = i < 100 ? fmt::format("{}-{}", name, i + 1)
                        : fmt::format("{}-n{}", name, taken_.size());
  return candidate;
}

std::string NodeNames::make(int index) { return unique(stem(index)); }

}  // namespace ft
