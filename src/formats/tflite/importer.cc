#include "formats/tflite/importer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>
#include <limits>

#include "base/half.h"

namespace ft {
namespace {

constexpr size_t kMaxValueName = 200;

bool is_aligned(std::span<const std::byte> bytes) {
  return reinterpret_cast<uintptr_t>(bytes.data()) % 16 == 0;
}

size_t bytes_of(const QuantParams& quant) {
  return quant.scale.capacity() * sizeof(float) +
         quant.zero_point.capacity() * sizeof(int32_t);
}

size_t bytes_of(const Attrs& attrs) {
  size_t bytes = attrs.all().capacity() * sizeof(attrs.all()[0]);
  for (const auto& [name, value] : attrs.all())
    if (const auto* ints = std::get_if<std::vector<int64_t>>(&value))
      bytes += ints->capacity() * sizeof(int64_t);
  return bytes;
}

// Element i of stored data of any number type that we read.
double stored_number(DType dtype, const std::byte* data, size_t i) {
  const auto load = [&]<class T>(T) {
    T v;
    std::memcpy(&v, data + i * sizeof(T), sizeof(T));
    return v;
  };
  switch (dtype) {
    case DType::kS8: return load(int8_t{});
    case DType::kU8: return load(uint8_t{});
    case DType::kS32: return load(int32_t{});
    case DType::kF16: return ft_half_to_float(load(uint16_t{}));
    default: return load(float{});
  }
}

}  // namespace

Status Allowance::take(size_t bytes) {
  if (bytes > left_)
    return invalid_input(
        fmt::format("importing would take more than 4 times the file's {} "
                    "bytes",
                    file_bytes_));
  left_ -= bytes;
  return ok_status();
}

Importer::Importer(const ModelFile& file, const ImportOptions& options)
    : file_(file),
      options_(options),
      allowance_(file.file_bytes()),
      names_(file) {}

Result<TfliteModel> Importer::run() {
  const auto tensors = static_cast<size_t>(file_.num_tensors());
  FT_TRY_STATUS(allowance_.take(tensors * sizeof(Bound)));
  bound_.resize(tensors);
  if (file_.model().description() != nullptr)
    model_.description =
        printable(file_.model().description()->string_view(), kMaxValueName);
  // Some operators become several nodes.
  FT_TRY_STATUS(
      make_room(static_cast<size_t>(file_.num_operators()) + 32, tensors + 48));
  FT_TRY_STATUS(add_inputs());
  for (int i = 0; i < file_.num_operators(); ++i)
    FT_TRY_STATUS(import_operator(i));
  FT_TRY_STATUS(add_outputs());
  return std::move(model_);
}

Status Importer::add_inputs() {
  bool is_first = true;
  for (const int32_t tensor : file_.inputs()) {
    FT_TRY(TensorType type, file_.type_of(tensor));
    if (file_.is_constant(tensor) || bound(tensor) != kNone)
      return invalid_input(
          fmt::format("model input {} is a constant or listed twice",
                      file_.describe(tensor)));
    const auto* signature = file_.tensor(tensor).shape_signature();
    for (uint32_t d = 1; signature != nullptr && d < signature->size(); ++d)
      if (signature->Get(d) < 0)
        return invalid_input(
            fmt::format("model input {} has a size in axis {} that changes at "
                        "run time; only axis 0, the batch, may",
                        file_.describe(tensor), d));
    if (options_.dequantize &&
        (type.dtype == DType::kS8 || type.dtype == DType::kU8))
      type = {.dtype = DType::kF32, .shape = type.shape, .quant = {}};
    if (options_.batch > 0) {
      if (type.shape.rank() == 0)
        return invalid_input(fmt::format("model input {} has no batch axis",
                                         file_.describe(tensor)));
      if (!is_first && type.shape[0] != old_batch_)
        return invalid_input(
            fmt::format("model input {} has batch {}, another has {}",
                        file_.describe(tensor), type.shape[0], old_batch_));
      old_batch_ = type.shape[0];
      new_batch_ = options_.batch;
      FT_TRY(type.shape, expected_shape(tensor, 0));
    }
    is_first = false;
    const ValueId id = graph().add_input(
        printable(file_.tensor_name(tensor), kMaxValueName), type);
    bind(tensor, id, 0);
  }
  return account(kNone);
}

Status Importer::add_outputs() {
  for (const int32_t tensor : file_.outputs()) {
    const ValueId id = bound(tensor);
    if (id == kNone || graph().value(id).kind != ValueKind::kActivation)
      return invalid_input(
          fmt::format("model output {} is not computed by any operator",
                      file_.describe(tensor)));
    graph().outputs.push_back(id);
  }
  return ok_status();
}

Status Importer::import_operator(int index) {
  const tfl::BuiltinOperator code = file_.code(index);
  const ImportFn import = find_importer(code);
  if (import == nullptr) {
    std::string name = tfl::EnumNameBuiltinOperator(code);
    if (name.empty()) name = fmt::format("code {}", static_cast<int>(code));
    if (code == tfl::BuiltinOperator::CUSTOM)
      name =
          fmt::format("CUSTOM '{}'", printable(file_.custom_code(index), 80));
    return invalid_input(fmt::format(
        "operator {} is {}, which is not supported; supported are "
        "{}",
        index, name, fmt::join(supported_tflite_operators(), ", ")));
  }
  // Generous for every importer: a few nodes for each result.
  const size_t results = file_.outputs_of(index).size();
  FT_TRY_STATUS(make_room(2 * results + 12,
                          3 * results + file_.inputs_of(index).size() + 16));
  OpImport op(*this, index);
  FT_TRY_STATUS(
      import(op).in(fmt::format("operator {} ({})", index, op.kind())));
  return account(index).in(fmt::format("operator {} ({})", index, op.kind()));
}

// Room for so many more, paid for before it is allocated. What was paid for a
// smaller vector is not given back: it lives until the larger one is filled.
Status Importer::make_room(size_t nodes, size_t values) {
  const auto grown = [](size_t capacity, int used, size_t more) {
    const size_t needed = static_cast<size_t>(used) + more;
    return needed <= capacity ? capacity
                              : std::max(needed, capacity + capacity / 4);
  };
  Graph& g = graph();
  nodes = grown(g.node_capacity(), g.num_nodes(), nodes);
  values = grown(g.value_capacity(), g.num_values(), values);
  size_t bytes = 0;
  if (nodes > g.node_capacity()) bytes += nodes * sizeof(Node);
  if (values > g.value_capacity()) bytes += values * sizeof(Value);
  FT_TRY_STATUS(allowance_.take(bytes));
  g.reserve(nodes, values);
  return ok_status();
}

void Importer::bind(int tensor, ValueId value, int batch_axis) {
  bound_[static_cast<size_t>(tensor)] = {
      .value = value, .batch_axis = batch_axis, .is_dimensions = false};
  set_tensor(value, tensor);
}

void Importer::bind_as_dimensions(int tensor) {
  bound_[static_cast<size_t>(tensor)].is_dimensions = true;
}

void Importer::set_tensor(ValueId value, int tensor) {
  std::vector<int>& map = model_.value_tensor;
  if (map.size() <= static_cast<size_t>(value))
    map.resize(static_cast<size_t>(value) + 1, kNone);
  int& entry = map[static_cast<size_t>(value)];
  if (entry == kNone) entry = tensor;
}

Result<Shape> Importer::expected_shape(int tensor, int batch_axis) const {
  FT_TRY(const TensorType type, file_.type_of(tensor));
  Shape shape = type.shape;
  if (batch_axis == kNone || old_batch_ == new_batch_) return shape;
  if (shape.rank() <= batch_axis || shape[batch_axis] % old_batch_ != 0)
    return invalid_input(fmt::format(
        "{} of shape {} does not carry the batch of {} in axis {}, "
        "so the batch cannot be changed",
        file_.describe(tensor), shape.to_string(), old_batch_, batch_axis));
  const int64_t rest = shape.num_elements() / shape[batch_axis];
  const int64_t rows = shape[batch_axis] / old_batch_ * new_batch_;
  if (rows > std::numeric_limits<int32_t>::max() / rest)
    return invalid_input(
        fmt::format("{} would have more than 2^31 - 1 elements at batch {}",
                    file_.describe(tensor), new_batch_));
  shape.set(batch_axis, rows);
  return shape;
}

Status Importer::account(int operator_index) {
  Graph& g = graph();
  size_t bytes = 0;
  // The vectors of indices double when they grow, so that an entry can cost
  // three times its size; nodes and values themselves: make_room().
  for (size_t n = model_.node_operator.size();
       n < static_cast<size_t>(g.num_nodes()); ++n) {
    const Node& node = g.node(static_cast<NodeId>(n));
    model_.node_operator.push_back(operator_index);
    bytes += 3 * sizeof(int) + node.name.capacity() +
             (node.inputs.capacity() + node.outputs.capacity()) * sizeof(int) +
             bytes_of(node.attrs);
    for (const ValueId id : node.outputs)
      bytes += 3 * sizeof(int) + g.value(id).name.capacity() +
               bytes_of(g.value(id).type.quant);
  }
  return allowance_.take(bytes);
}

Result<ValueId> Importer::value_of(int tensor, As as) {
  if (is_dimensions(tensor))
    return invalid_input(fmt::format("{} holds dimensions and is used as data",
                                     file_.describe(tensor)));
  if (bound(tensor) != kNone) return bound(tensor);
  if (!file_.is_constant(tensor))
    return invalid_input(fmt::format("{} is read before anything computes it",
                                     file_.describe(tensor)));
  if (options_.dequantize) as = As::kFloat;
  if (const auto found = constants_.find({tensor, as});
      found != constants_.end())
    return found->second;
  FT_TRY(const ValueId id, constant(tensor, as));
  set_tensor(id, tensor);
  constants_[{tensor, as}] = id;
  return id;
}

Result<ValueId> Importer::constant(int tensor, As as) {
  FT_TRY(TensorType type, file_.type_of(tensor));
  constexpr size_t kMapNode = 64;
  FT_TRY_STATUS(
      allowance_.take(kMapNode + kMaxValueName + bytes_of(type.quant)));
  const bool is_integer_data = type.dtype == DType::kS32 && type.quant.empty();
  if (as == As::kFloat && type.dtype != DType::kF32 && !is_integer_data)
    return constant_as_float(tensor, type);
  std::span<const std::byte> data = file_.data(tensor);
  if (file_.is_int4(tensor)) {
    FT_TRY(data, unpack_int4(tensor, type.shape.num_elements()));
  } else if (!is_aligned(data)) {
    FT_TRY_STATUS(allowance_.take(data.size()));
    data = graph().own(data);
  }
  return graph().add_constant(
      printable(file_.tensor_name(tensor), kMaxValueName), std::move(type),
      data);
}

// real = scale * (q - zero_point), in the order of operations that LiteRT uses.
Status Importer::read_reals(int tensor, const TensorType& type,
                            std::span<float> values) {
  const bool is_float = type.dtype == DType::kF32 || type.dtype == DType::kF16;
  if (type.quant.empty() && !is_float)
    return invalid_input(fmt::format("{} of type {} cannot become float32",
                                     file_.describe(tensor),
                                     name_of(type.dtype)));
  std::span<const std::byte> data = file_.data(tensor);
  if (file_.is_int4(tensor)) {
    FT_TRY(data, unpack_int4(tensor, type.shape.num_elements()));
  }
  size_t inner = 1;
  for (int d = type.quant.quantized_dimension + 1; d < type.shape.rank(); ++d)
    inner *= static_cast<size_t>(type.shape[d]);
  const size_t channels = std::max<size_t>(type.quant.scale.size(), 1);
  for (size_t i = 0; i < values.size(); ++i) {
    const double q = stored_number(type.dtype, data.data(), i);
    if (is_float) {
      values[i] = static_cast<float>(q);
      continue;
    }
    const size_t c = channels == 1 ? 0 : i / inner % channels;
    values[i] = static_cast<float>(type.quant.scale[c] *
                                   (q - type.quant.zero_point[c]));
  }
  return ok_status();
}

ValueId Importer::add_reals(const std::string& name, const Shape& shape,
                            std::shared_ptr<const std::vector<float>> values) {
  const auto bytes = std::as_bytes(std::span(*values));
  graph().keep_alive(std::move(values));
  return graph().add_constant(
      name, {.dtype = DType::kF32, .shape = shape, .quant = {}}, bytes);
}

Result<ValueId> Importer::constant_as_float(int tensor,
                                            const TensorType& type) {
  const auto n = static_cast<size_t>(type.shape.num_elements());
  FT_TRY_STATUS(allowance_.take(n * sizeof(float)));
  auto values = std::make_shared<std::vector<float>>(n);
  FT_TRY_STATUS(read_reals(tensor, type, *values));
  return add_reals(printable(file_.tensor_name(tensor), kMaxValueName),
                   type.shape, std::move(values));
}

Result<ValueId> Importer::joined(const std::vector<int>& tensors,
                                 const std::string& name) {
  std::vector<TensorType> types;
  Shape shape;
  for (const int tensor : tensors) {
    FT_TRY(TensorType type, file_.type_of(tensor));
    if (types.empty()) shape = type.shape;
    if (type.shape.rank() == 0 || type.shape != shape)
      return invalid_input(fmt::format(
          "{} is {}, needs the shape of {}, {}", file_.describe(tensor),
          type.to_string(), file_.describe(tensors[0]), shape.to_string()));
    types.push_back(std::move(type));
  }
  const auto each = static_cast<size_t>(shape.num_elements());
  shape.set(0, shape[0] * static_cast<int64_t>(tensors.size()));
  FT_TRY_STATUS(allowance_.take(each * tensors.size() * sizeof(float) +
                                2 * name.size() + 256));
  auto values = std::make_shared<std::vector<float>>(each * tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i)
    FT_TRY_STATUS(read_reals(tensors[i], types[i],
                             std::span(*values).subspan(i * each, each)));
  const ValueId id = add_reals(name, shape, std::move(values));
  model_.joined_tensors[id] = tensors;
  return id;
}

// Two signed values a byte, the first in the low half.
Result<std::span<const std::byte>> Importer::unpack_int4(int tensor,
                                                         int64_t n) {
  FT_TRY_STATUS(allowance_.take(static_cast<size_t>(n)));
  auto values =
      std::make_shared<std::vector<std::byte>>(static_cast<size_t>(n));
  const std::span<const std::byte> packed = file_.data(tensor);
  for (size_t i = 0; i < values->size(); ++i) {
    const auto byte = std::to_integer<int>(packed[i / 2]);
    const int half = (i % 2 == 0 ? byte : byte >> 4) & 15;
    (*values)[i] = static_cast<std::byte>(half < 8 ? half : half - 16);
  }
  const std::span<const std::byte> view = *values;
  graph().keep_alive(std::move(values));
  return view;
}

}  // namespace ft
