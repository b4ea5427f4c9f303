#include "ops/all_ops.h"

#include <algorithm>

#include "ops/bfp_ops.h"
#include "ops/conv_common.h"
#include "ops/outer_updates.h"
#include "ops/rank_allocation.h"
#include "ops/side_ops.h"
#include "ops/top_gradient.h"

namespace ft::ops {
namespace {

constexpr const OpDef* kAllOps[] = {
    // Linear layers and their gradients.
    &kConv2d,
    &kConv2dInputGrad,
    &kConv2dWeightGrad,
    &kDepthwiseConv2d,
    &kDepthwiseConv2dInputGrad,
    &kDepthwiseConv2dWeightGrad,
    &kTransposeConv2d,
    &kFullyConnected,
    &kGainGrad,
    &kWeightNorm,
    &kBlockConv2d,
    &kBlockConv2dWeightGrad,
    &kBlockConv2dInputGrad,
    &kSparseConv2d,
    &kSparseConv2dValuesGrad,
    &kSparseConv2dInputGrad,
    &kMatmul,
    // Sequences.
    &kLstm,
    &kLstmGrad,
    // Pooling.
    &kAvgPool2d,
    &kAvgPool2dGrad,
    &kMaxPool2d,
    &kMaxPool2dGrad,
    // Element-wise.
    &kBinary,
    &kUnary,
    &kUnaryGrad,
    &kActivationGrad,
    &kResidualAdd,
    // Rows of the last axis.
    &kSoftmax,
    &kSoftmaxGrad,
    &kLogSoftmax,
    &kLogSoftmaxGrad,
    &kLayerNorm,
    &kLayerNormGrad,
    // Sequences of transformers.
    &kRope,
    &kAttention,
    &kAttentionGrad,
    // Reductions over axes, and their inverse.
    &kReduce,
    &kReduceMaxGrad,
    &kBroadcastTo,
    // Movement.
    &kReshape,
    &kTranspose,
    &kPad,
    &kSlice,
    &kStridedSlice,
    &kStridedSliceGrad,
    &kConcat,
    &kSplit,
    &kGather,
    &kGatherGrad,
    &kResize,
    &kResizeGrad,
    &kQuantize,
    &kDequantize,
    // Rounding to what a file can store.
    &kMinmaxQuantizer,
    &kFakeQuantize,
    &kFakeQuantizeGrad,
    &kFakeQuantizeStepGrad,
    &kRoundFloat,
    // Losses.
    &kSoftmaxCrossEntropy,
    &kSoftmaxCrossEntropyGrad,
    &kMseLoss,
    &kMseLossGrad,
    // Between a gradient and its update.
    &kAccumulateGrad,
    &kTopGradient,
    &kSumSquares,
    &kClipGradient,
    // Optimizers.
    &kSgdUpdate,
    &kAdamwUpdate,
    &kAdamw8bitUpdate,
    &kOuterSgdUpdate,
    &kOuterAdamwUpdate,
    // Ranks.
    &kAdaloraScore,
    &kAdaloraAllocate,
    &kAdaloraPrune,
    // Adapters beside int8 inference.
    &kSideConv2d,
    &kWideDepthwiseConv2d,
    // Training in integers.
    &kBfpSideConv2d,
    &kBfpSideDepthwiseConv2d,
    &kBfpGainGrad,
    &kBfpConv2d,
    &kBfpConv2dInputGrad,
    &kBfpConv2dWeightGrad,
    &kBfpDepthwiseConv2dInputGrad,
    &kBfpDepthwiseConv2dWeightGrad,
    &kBfpMatmul,
    &kBfpDequantize,
    &kBfpAdd,
    &kBfpMul,
    &kBfpRelu,
    &kBfpConcat,
    &kBfpFakeQuantize,
    &kBfpGatherGrad,
    &kBfpInverseNorm,
    &kBfpSparseConv2d,
    &kBfpSparseConv2dValuesGrad,
    &kBfpSparseConv2dInputGrad,
    &kBfpActivationGrad,
    &kBfpReduce,
    &kBfpBroadcastTo,
    &kBfpAvgPool2dGrad,
    &kBfpMaxPool2dGrad,
    &kBfpSoftmaxCrossEntropy,
    &kBfpSoftmaxCrossEntropyGrad,
    &kBfpSoftmax,
    &kBfpMseLoss,
    &kBfpMseLossGrad,
    &kBfpQuantize,
    &kBfpAccumulateGrad,
    &kBfpAdamwUpdate,
    &kBfpSgdUpdate,
    &kBfpOuterAdamwUpdate,
    &kBfpOuterSgdUpdate,
};

}  // namespace

std::span<const OpDef* const> all_ops() { return kAllOps; }

const OpDef* find_op(std::string_view name) {
  const auto at = std::ranges::find_if(
      kAllOps, [name](const OpDef* op) { return op->name == name; });
  return at == std::end(kAllOps) ? nullptr : *at;
}

}  // namespace ft::ops
