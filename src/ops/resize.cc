// Images of another size. `kind`: bilinear (default) or nearest; `out_h`,
// `out_w`; `align_corners` or `half_pixel_centers`, as TensorFlow Lite means
// them.
#include "kernels/resize/resize.h"

#include <algorithm>
#include <cmath>

#include "ops/all_ops.h"
#include "ops/example_types.h"
#include "ops/gradient.h"
#include "ops/movement.h"

namespace ft::ops {
namespace {

bool is_nearest(const Attrs& attrs) {
  return attrs.get_word("kind", "bilinear") == "nearest";
}

Status check_attrs(const NodeView& node) {
  const std::string kind = node.attrs->get_word("kind", "bilinear");
  if (kind != "bilinear" && kind != "nearest")
    return node.error(fmt::format("unknown kind '{}'", kind));
  if (node.attrs->get_int("align_corners") != 0 &&
      node.attrs->get_int("half_pixel_centers") != 0)
    return node.error("align_corners and half_pixel_centers exclude another");
  return ok_status();
}

// Input 0 with height and width from two attributes.
Result<Shape> resized(const NodeView& node, const char* h, const char* w) {
  const Shape& x = node.shape(0);
  if (x.rank() != 4)
    return node.error(
        fmt::format("needs an image [n, h, w, c], got {}", x.to_string()));
  const Shape y{x[0], node.attrs->get_int(h), node.attrs->get_int(w), x[3]};
  FT_TRY_STATUS(check_filled(node, y));
  // Scales in 10-bit fixed point must fit an int32.
  constexpr int64_t kMaxSide = 1 << 20;
  if (std::max({x[1], x[2], y[1], y[2]}) > kMaxSide)
    return node.error(fmt::format("{} to {} has a side above {} pixels",
                                  x.to_string(), y.to_string(), kMaxSide));
  return y;
}

Result<std::vector<TensorType>> infer(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY_STATUS(check_attrs(node));
  FT_TRY(const Shape y, resized(node, "out_h", "out_w"));
  return std::vector<TensorType>{retyped(node, y)};
}

void gradient(GradientBuilder& g) {
  if (!g.needs_grad(0)) return;
  Attrs attrs = g.attrs();
  attrs.set("in_h", g.shape(g.input(0))[1]);
  attrs.set("in_w", g.shape(g.input(0))[2]);
  g.set_input_grad(0, g.emit(kResizeGrad, {g.output_grad()}, attrs));
}

// (in << 10) / out, rounded; with aligned corners of the gaps between pixels.
int32_t scale_10(int64_t in, int64_t out, bool align) {
  if (align) {
    --in;
    --out;
  }
  return static_cast<int32_t>((1024 * in + out / 2) / out);
}

ft_resize_params params_of(const Attrs& attrs, const Shape& x, const Shape& y) {
  const auto i32 = [](int64_t v) { return static_cast<int32_t>(v); };
  const bool align = attrs.get_int("align_corners") != 0;
  const bool align_h = align && y[1] > 1, align_w = align && y[2] > 1;
  return {.n = i32(x[0]),
          .h = i32(x[1]),
          .w = i32(x[2]),
          .c = i32(x[3]),
          .oh = i32(y[1]),
          .ow = i32(y[2]),
          .half_pixel = attrs.get_int("half_pixel_centers") != 0,
          .nearest = is_nearest(attrs),
          .align_h = align_h,
          .align_w = align_w,
          .scale_h_10 = scale_10(x[1], y[1], align_h),
          .scale_w_10 = scale_10(x[2], y[2], align_w)};
}

// Source of each of `out` pixels along a line of `in`, in float32 as the
// reference.
std::vector<int64_t> nearest_table(int64_t in, int64_t out, bool align,
                                   bool half_pixel) {
  const float scale =
      align ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
            : static_cast<float>(in) / static_cast<float>(out);
  std::vector<int64_t> table;
  for (int64_t i = 0; i < out; ++i) {
    const float at = (static_cast<float>(i) + (half_pixel ? 0.5f : 0)) * scale;
    const float pixel = align ? std::round(at) : std::floor(at);
    table.push_back(
        std::clamp<int64_t>(static_cast<int64_t>(pixel), 0, in - 1));
  }
  return table;
}

struct NearestTables {
  std::vector<int64_t> rows, cols;
};

NearestTables nearest_tables(const ft_resize_params& p) {
  return {nearest_table(p.h, p.oh, p.align_h != 0, p.half_pixel != 0),
          nearest_table(p.w, p.ow, p.align_w != 0, p.half_pixel != 0)};
}

Status lower(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const Shape &x = node.shape(0), &y = node.out(0).shape;
  const ft_resize_params p = params_of(*node.attrs, x, y);
  if (!is_nearest(*node.attrs)) {
    lowered.set_params(p);
    return ok_status();
  }
  const NearestTables at = nearest_tables(p);
  std::vector<std::vector<int64_t>> tables = {{}, at.rows, at.cols, {}};
  const std::vector<int64_t> strides = strides_of(x);
  for (int64_t i = 0; i < x[0]; ++i) tables[0].push_back(i);
  for (int64_t i = 0; i < x[3]; ++i) tables[3].push_back(i);
  for (size_t d = 0; d < 4; ++d)
    for (int64_t& offset : tables[d]) offset *= strides[d];
  set_table_read(node.in(0).dtype, tables, lowered);
  return ok_status();
}

Result<std::vector<TensorType>> infer_grad(const NodeView& node) {
  FT_TRY_STATUS(check_movable(node));
  FT_TRY_STATUS(check_real(node, 0));
  FT_TRY_STATUS(check_attrs(node));
  FT_TRY(const Shape dx, resized(node, "in_h", "in_w"));
  FT_TRY(const Shape dy, resized(node, "out_h", "out_w"));
  if (dy != node.shape(0))
    return node.error(fmt::format("dy is {}, but out_h and out_w say {}",
                                  node.shape(0).to_string(), dy.to_string()));
  return std::vector<TensorType>{
      {.dtype = node.in(0).dtype, .shape = dx, .quant = {}}};
}

Status lower_grad(const LowerContext& context, Lowered& lowered) {
  const NodeView& node = context.view;
  const ft_resize_params p =
      params_of(*node.attrs, node.out(0).shape, node.shape(0));
  lowered.set_params(p);
  if (!is_nearest(*node.attrs)) return ok_status();
  const NearestTables at = nearest_tables(p);
  std::vector<int32_t> table(at.rows.begin(), at.rows.end());
  table.insert(table.end(), at.cols.begin(), at.cols.end());
  lowered.add_aux<int32_t>(table);
  return ok_status();
}

bool accepts_nearest(const LowerContext& context, const Lowered&) {
  return is_nearest(context.node.attrs);
}
bool accepts_bilinear(const LowerContext& context, const Lowered&) {
  return !is_nearest(context.node.attrs);
}

Attrs example_attrs(int64_t h, int64_t w, const char* kind,
                    const char* option) {
  Attrs attrs = {{"out_h", h}, {"out_w", w}, {"kind", kind}};
  if (*option != '\0') attrs.set(option, 1);
  return attrs;
}

std::vector<OpExample> examples() {
  std::vector<OpExample> all;
  for (const char* kind : {"bilinear", "nearest"})
    for (const char* option : {"", "align_corners", "half_pixel_centers"})
      for (const auto& [h, w] : {std::pair{7, 4}, {2, 9}, {1, 1}})
        for (const TensorType& x :
             {f32({2, 3, 5, 3}), s8({2, 3, 5, 3}, 0.1f, 3)})
          all.push_back(
              {.inputs = {x}, .attrs = example_attrs(h, w, kind, option)});
  return all;
}

std::vector<OpExample> examples_grad() {
  std::vector<OpExample> all;
  for (const char* kind : {"bilinear", "nearest"}) {
    Attrs attrs = example_attrs(4, 7, kind, "half_pixel_centers");
    attrs.set("in_h", 5);
    attrs.set("in_w", 3);
    all.push_back({.inputs = {f32({2, 4, 7, 3})}, .attrs = attrs});
  }
  return all;
}

constexpr std::array<KernelDef, 3> kBilinearRows = {{
    {"ft_resize_f32_c99", Isa::kC99, "f32->f32", &ft_resize_f32_c99,
     accepts_bilinear},
    {"ft_resize_f64_c99", Isa::kC99, "f64->f64", &ft_resize_f64_c99,
     accepts_bilinear},
    {"ft_resize_s8_c99", Isa::kC99, "s8->s8", &ft_resize_s8_c99,
     accepts_bilinear},
}};
constexpr auto kNearestRows = byte_rows(
    "ft_table_read_bytes_c99", &ft_table_read_bytes_c99, accepts_nearest);
constexpr auto kRows = joined(kBilinearRows, kNearestRows);

constexpr KernelDef kGradRows[] = {
    {"ft_resize_grad_f32_c99", Isa::kC99, "f32->f32", &ft_resize_grad_f32_c99},
    {"ft_resize_grad_f64_c99", Isa::kC99, "f64->f64", &ft_resize_grad_f64_c99},
};

int64_t macs(const NodeView& node) {
  return 4 * std::max(node.shape(0).num_elements(),
                      node.out(0).shape.num_elements());
}

}  // namespace

constinit const OpDef kResize = {.name = "resize",
                                 .cost_class = CostClass::kMovement,
                                 .infer = infer,
                                 .gradient = gradient,
                                 .lower = lower,
                                 .kernels = kRows,
                                 .macs = macs,
                                 .examples = examples};

constinit const OpDef kResizeGrad = {.name = "resize_grad",
                                     .cost_class = CostClass::kMovement,
                                     .infer = infer_grad,
                                     .lower = lower_grad,
                                     .kernels = kGradRows,
                                     .macs = macs,
                                     .examples = examples_grad};

}  // namespace ft::ops
