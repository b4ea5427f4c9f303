// Strides, dilations and explicit padding from TensorFlow's SAME and VALID.
#pragma once

#include <string_view>

#include "formats/tflite/importer.h"

namespace ft {

struct Window {
  tfl::Padding padding = tfl::Padding::VALID;
  int64_t stride_h = 1, stride_w = 1;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t k_h = 1, k_w = 1;
};

// Fails on strides, dilations, filter sizes or paddings out of range.
Status check_window(const OpImport& op, const Window& window);

// Padding in front (of the smaller half) and in all, for an output of
// ceil(in / stride).
struct Pads {
  int64_t before = 0, after = 0;
};
Pads same_pads(int64_t in, int64_t out, int64_t k, int64_t stride,
               int64_t dilation);

// Sets stride_*, pad_* and, where `with_dilation`, dilation_*, for an image of
// h x w.
void set_window(Attrs& attrs, const Window& window, int64_t h, int64_t w,
                bool with_dilation);

}  // namespace ft
