// What a session gives and takes in real numbers, whatever arithmetic its
// program computes in.
//
// A real-valued output is float32; or int8, by its quantizer; or block floating
// point: int16 mantissas and the exponent in the next output. A loss is
// float32[1] or int32[2], mantissa and exponent.
#pragma once

#include <span>
#include <vector>

#include "exec/session.h"
#include "methods/method.h"

namespace ft {

// Which output of a program holds the prediction or the logits.
constexpr size_t kAnswerOutput = 1;

// `real` has as many elements as the output.
void read_real(Session& session, size_t output, std::span<float> real);
// The same of a part of an output, float32 or int8.
void read_real(const TensorType& type, std::span<const std::byte> bytes,
               std::span<float> real);
std::vector<float> read_answer(Session& session);
double read_loss(Session& session);

// The values of an adapter tensor in the parameter's own layout.
std::vector<float> adapter_values(Session& session,
                                  const AdapterTensor& tensor);
// Makes `values` the initial ones of a compiled program's graph.
void set_adapter_values(Graph& graph, const AdapterTensor& tensor,
                        std::span<const float> values);
// The same in a persistent region of the program, which no session uses yet.
void set_adapter_values(const Program& program, std::span<std::byte> region,
                        const AdapterTensor& tensor,
                        std::span<const float> values);
// Gives a session these values: to make sure that what is evaluated is exactly
// what a file holds.
void set_adapter_values(Session& session, const AdapterTensor& tensor,
                        std::span<const float> values);

}  // namespace ft
