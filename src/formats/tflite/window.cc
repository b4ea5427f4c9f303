#include "formats/tflite/window.h"

#include <fmt/format.h>

#include <algorithm>

namespace ft {

Status check_window(const OpImport& op, const Window& window) {
  if (window.padding != tfl::Padding::SAME &&
      window.padding != tfl::Padding::VALID)
    return op.error(
        fmt::format("unknown padding {}", static_cast<int>(window.padding)));
  constexpr int64_t kMax = 1 << 16;
  for (const int64_t v : {window.stride_h, window.stride_w, window.dilation_h,
                          window.dilation_w, window.k_h, window.k_w})
    if (v < 1 || v > kMax)
      return op.error(fmt::format(
          "a stride, dilation or filter size is {}, not from 1 to {}", v,
          kMax));
  return ok_status();
}

Pads same_pads(int64_t in, int64_t out, int64_t k, int64_t stride,
               int64_t dilation) {
  const int64_t total =
      std::max<int64_t>(0, (out - 1) * stride + (k - 1) * dilation + 1 - in);
  return {.before = total / 2, .after = total - total / 2};
}

void set_window(Attrs& attrs, const Window& window, int64_t h, int64_t w,
                bool with_dilation) {
  Pads rows, columns;
  if (window.padding == tfl::Padding::SAME) {
    rows = same_pads(h, (h + window.stride_h - 1) / window.stride_h, window.k_h,
                     window.stride_h, window.dilation_h);
    columns = same_pads(w, (w + window.stride_w - 1) / window.stride_w,
                        window.k_w, window.stride_w, window.dilation_w);
  }
  attrs.set("stride_h", window.stride_h);
  attrs.set("stride_w", window.stride_w);
  if (with_dilation) {
    attrs.set("dilation_h", window.dilation_h);
    attrs.set("dilation_w", window.dilation_w);
  }
  attrs.set("pad_top", rows.before);
  attrs.set("pad_bottom", rows.after);
  attrs.set("pad_left", columns.before);
  attrs.set("pad_right", columns.after);
}

}  // namespace ft
