// The pictures of a report, each an <svg> element styled by style.h.
#pragma once

#include <span>
#include <string>

#include "cli/report/report.h"

namespace ft::cli {

// Every buffer of the arena over the kernel calls of one step, and below it the
// bytes alive at each call.
std::string draw_memory_map(const MemoryMap& map);
// The same as a file of its own, with the colours' meaning below.
std::string memory_map_file(const MemoryMap& map);
// What the colours mean; HTML, so that it wraps on a phone.
std::string memory_map_legend();

// Loss over epochs, training and validation; the kept epoch is ringed.
std::string draw_loss_curve(std::span<const CurvePoint> curve);
// Validation accuracy over epochs; empty if there is none.
std::string draw_accuracy_curve(std::span<const CurvePoint> curve);

std::string draw_confusion(const ConfusionMatrix& matrix);
// Share of right answers; 0 without samples.
double accuracy_of(const ConfusionMatrix& matrix);

}  // namespace ft::cli
