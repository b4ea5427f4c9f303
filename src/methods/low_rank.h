// What the members of the LoRA family share: factors A [r, columns] and
// B [rows, r] of a layer's weight [rows, columns], their layout in files, and
// the ways to put their product beside or into a layer.
//
// Layers: "fully_connected" and "conv2d" keep the factors apart: h = A x is a
// node of its own and the layer adds scaling B h where it accumulates.
// "depthwise_conv2d" has too few weights for that to pay: it gets the product
// as a small extra weight. A recurrent weight is read at every step
// (kSharedWeight), so W + scaling B A is made once in front of its readers.
#pragma once

#include <string>
#include <vector>

#include "methods/method.h"
#include "methods/rewrite.h"

namespace ft {

// [h, w, in] of one output channel's weights; a dense layer is 1x1.
struct KernelExtent {
  int64_t h = 1, w = 1, in = 1;
  int64_t size() const { return h * w * in; }
};
KernelExtent kernel_extent(const AdaptableModule& m);
// Weights without height and width, in the graph and in the file.
bool is_matrix(const AdaptableModule& m);

// Refuses grouped convolutions by name.
Status check_not_grouped(const Graph& graph, const AdaptableModule& m,
                         std::string_view method);
// The same, and ranks that the module cannot have.
Status check_low_rank_module(const Graph& graph, const AdaptableModule& m,
                             int r, std::string_view method);

// Refuses a weight that several layers share and that is not float.
Status check_shared_is_float(const Graph& graph, const AdaptableModule& m,
                             std::string_view method);

// Adds the trainable vector "<module>.<what>" of `shape`, `in_file` in files.
ValueId add_vector(Graph& graph, const AdaptableModule& m, const char* what,
                   const Shape& shape, const Shape& in_file,
                   const std::vector<float>& values, AdaptedGraph& adapted);

// The weight that several layers share times `factors`, [rows, 1] or
// [1, columns], which all readers of it get in its place.
Status scale_shared_weight(Graph& graph, const AdaptableModule& m,
                           ValueId factors);

struct Factors {
  ValueId a = kNone, b = kNone;
};
// Adds A [r, kh, kw, in] or [r, columns] and B [rows, r] with PEFT's names and
// initial values: A uniform in +-1/sqrt(columns), B zero. `group` input
// channels share a column of A.
Factors add_factors(Graph& graph, const AdaptableModule& m, int r, int group,
                    uint64_t seed, AdaptedGraph& adapted);

// h = A x with the strides and padding of the layer. `recompute`: computing h
// again for the backward pass is cheap in bytes, since x is kept for the
// gradient of A. `bias` [rows of A] is added where given.
Result<ValueId> append_side(Graph& graph, const AdaptableModule& m, ValueId a,
                            bool recompute, ValueId bias = kNone);
// Puts scaling B A beside or into the layer, inside of rewrite_modules().
Status adapt_low_rank(Graph& graph, const AdaptableModule& m, const Factors& f,
                      double scaling, bool recompute);

// The same for scaling B diag(d) A, d [r]; d is applied to h where there is
// one, so that its gradient needs h only.
Status adapt_with_diagonal(Graph& graph, const AdaptableModule& m,
                           const Factors& f, ValueId d, double scaling);

// The output that weight `i` of the module's own layout belongs to.
int64_t output_of_weight(const AdaptableModule& m, int64_t i);
// The base weight of a module in real numbers, as the file of the base has it.
std::vector<float> base_weight(const Graph& base, const AdaptableModule& m);
// weight += scaling B A, with `a` and `b` as files hold them, weight in the
// module's own layout. Fails if they do not have rank r.
Status add_product(const AdaptableModule& m, double scaling, int64_t r,
                   const std::vector<float>& a, const std::vector<float>& b,
                   std::vector<float>& weight);

// Scaling lora_alpha / r, or with use_rslora lora_alpha / sqrt(r)
// (Kalajdzievski, "A Rank Stabilization Scaling Factor for Fine-Tuning with
// LoRA", 2023).
extern const SettingDef kUseRslora;
// Times the adapter's weight.
double lora_scaling(const MethodSettings& settings, const AdaptableModule& m,
                    int r);

}  // namespace ft
