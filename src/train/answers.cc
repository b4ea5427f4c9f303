#include "train/answers.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "ir/bfp.h"
#include "passes/integerize.h"

namespace ft {
namespace {

template <class T>
std::span<const T> persistent_as(Session& session, const std::string& name) {
  const auto bytes = session.persistent(name);
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

// In runs, as quantize_all() of samples.cc.
constexpr size_t kRun = 64;

void dequantize_run(const int8_t* q, float scale, int32_t zero_point,
                    float* real) {
  int8_t from[kRun];
  float to[kRun];
  std::memcpy(from, q, sizeof(from));
  for (size_t i = 0; i < kRun; ++i)
    to[i] = scale * static_cast<float>(from[i] - zero_point);
  std::memcpy(real, to, sizeof(to));
}

void dequantize_all(std::span<const int8_t> q, float scale, int32_t zero_point,
                    float* real) {
  for (; q.size() >= kRun; q = q.subspan(kRun), real += kRun)
    dequantize_run(q.data(), scale, zero_point, real);
  for (const int8_t v : q) *real++ = scale * static_cast<float>(v - zero_point);
}

bool is_integer(const Value& param) { return param.type.dtype == DType::kS16; }

}  // namespace

void read_real(const TensorType& type, std::span<const std::byte> bytes,
               std::span<float> real) {
  if (type.dtype == DType::kF32) {
    FT_CHECK(bytes.size() >= real.size_bytes());
    std::memcpy(real.data(), bytes.data(), real.size_bytes());
    return;
  }
  FT_CHECK(type.dtype == DType::kS8);
  const float scale = type.quant.scale[0];
  dequantize_all({reinterpret_cast<const int8_t*>(bytes.data()), real.size()},
                 scale, type.quant.zero_point[0], real.data());
}

void read_real(Session& session, size_t output, std::span<float> real) {
  const TensorType& type = session.program().outputs[output].type;
  if (type.dtype != DType::kS16)
    return read_real(type, session.output(output), real);
  const float scale = type.quant.scale[0];
  const auto mantissas = session.output_as<int16_t>(output);
  const int exponent = session.output_as<int32_t>(output + 1)[0];
  for (size_t i = 0; i < real.size(); ++i)
    real[i] = std::ldexp(static_cast<float>(mantissas[i]), exponent) * scale;
}

std::vector<float> read_answer(Session& session) {
  const Shape& shape = session.program().outputs[kAnswerOutput].type.shape;
  std::vector<float> real(static_cast<size_t>(shape.num_elements()));
  read_real(session, kAnswerOutput, real);
  return real;
}

double read_loss(Session& session) {
  const TensorType& type = session.program().outputs[0].type;
  if (type.dtype == DType::kF32)
    return static_cast<double>(session.output_as<float>(0)[0]);
  const auto loss = session.output_as<int32_t>(0);
  return std::ldexp(static_cast<double>(loss[0]), loss[1]) *
         static_cast<double>(type.quant.scale[0]);
}

std::vector<float> adapter_values(Session& session,
                                  const AdapterTensor& tensor) {
  if (tensor.param == kNone) return tensor.fixed;
  const Value& param = session.program().graph.value(tensor.param);
  if (!is_integer(param)) {
    const auto real = persistent_as<float>(session, param.name);
    return {real.begin(), real.end()};
  }
  return from_bfp(persistent_as<int16_t>(session, param.name),
                  persistent_as<int32_t>(session, exponent_name(param.name))[0],
                  param.type.quant.scale);
}

void set_adapter_values(Graph& graph, const AdapterTensor& tensor,
                        std::span<const float> values) {
  if (tensor.param == kNone) return;
  Value& param = graph.value(tensor.param);
  if (is_integer(param))
    set_integer_param(graph, tensor.param, values);
  else
    param.data = graph.own(std::as_bytes(values));
}

void set_adapter_values(const Program& program, std::span<std::byte> region,
                        const AdapterTensor& tensor,
                        std::span<const float> values) {
  if (tensor.param == kNone) return;
  const Value& param = program.graph.value(tensor.param);
  const auto write = [&](const std::string& name,
                         std::span<const std::byte> bytes) {
    const auto at = std::ranges::find(program.persistent, name, &Binding::name);
    FT_CHECK(at != program.persistent.end() &&
             at->ref.offset + bytes.size() <= region.size());
    std::ranges::copy(bytes, region.subspan(at->ref.offset).begin());
  };
  if (!is_integer(param)) return write(param.name, std::as_bytes(values));
  const BfpValues bfp = to_bfp(values, param.type.quant.scale);
  write(param.name, std::as_bytes(std::span(bfp.mantissas)));
  write(exponent_name(param.name), std::as_bytes(std::span(&bfp.exponent, 1)));
}

void set_adapter_values(Session& session, const AdapterTensor& tensor,
                        std::span<const float> values) {
  set_adapter_values(session.program(), session.all_persistent(), tensor,
                     values);
}

}  // namespace ft
