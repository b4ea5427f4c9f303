// Pictures of what a plan costs and of plans that a search found, each an <svg>
// element; standalone() makes a file of one.
#pragma once

#include <string>

#include "cli/report/report.h"

namespace ft::cli {

// Accuracy (or error) over RAM, numbered; slower steps are larger circles. The
// plans are named below. Empty without points.
std::string draw_front(const std::vector<FrontPoint>& front);

// A bar for each layer: its rank, "whole" where a method has none, or "frozen".
std::string draw_ranks(const std::vector<RankBar>& ranks);

// Multiply-accumulates of a cycle over those of a byte moved: what bandwidth
// and core bound. Larger circles take more of the time; below, each class of
// ops with its share of it.
std::string draw_roofline(const Roofline& roofline);

// A picture as a file of its own.
std::string picture_file(const std::string& svg);

}  // namespace ft::cli
