// The biases of a graph's layers as what is trained: BitFit's alone, or beside
// a low-rank update.
//
// Tensors are whole biases, `<module>.bias` [out]. A float layer trains the
// bias itself. An int8 layer keeps its int32 bias, and the graph holds the
// float difference, which the layer rounds to the unit of its accumulator: a
// difference of 0 is the deployed layer, bit for bit. Layers without a bias
// have nothing to train, nor have recurrent weights (kSharedWeight), whose
// biases belong to other layers.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "methods/method.h"
#include "methods/norm.h"

namespace ft {

// PEFT's `bias` of a LoRA: which biases are trained beside the update.
extern const SettingDef kBias;

// Linear layers and LayerNorms.
struct BiasLayers {
  std::vector<AdaptableModule> linear;
  std::vector<NormLayer> norms;
  bool empty() const { return linear.empty() && norms.empty(); }
};

// The bias of a linear layer; kNone where it has none of its own.
ValueId bias_of(const Graph& graph, const AdaptableModule& m);
// Those with a bias.
BiasLayers layers_with_bias(const Graph& graph);

// Makes the biases of `layers`, which have one, trainable. Fails on int8 layers
// that an adapter scales.
Status train_biases(Graph& graph, const BiasLayers& layers,
                    AdaptedGraph& adapted);
// Those that setting kBias chooses, where `adapted` has an update already of
// the layers that count as adapted. Fails where none of them has a bias.
Status train_biases_beside(Graph& graph, const MethodSettings& settings,
                           AdaptedGraph& adapted);

// Adds the biases of an adapter to what is merged, but not a head's, which has
// a weight beside it. Fails if one does not fit its layer.
Status merge_biases(const Graph& base, const TensorMap& tensors,
                    std::vector<MergedModule>& merged);

}  // namespace ft
