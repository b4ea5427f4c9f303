// The list of ops. Adding an op: its file, its kernels, one line here and one
// in all_ops.cc.
#pragma once

#include <span>
#include <string_view>

#include "ops/op_def.h"

namespace ft::ops {

// Linear layers and their gradients.
extern const OpDef kConv2d, kConv2dInputGrad, kConv2dWeightGrad;
extern const OpDef kDepthwiseConv2d, kDepthwiseConv2dInputGrad,
    kDepthwiseConv2dWeightGrad;
extern const OpDef kTransposeConv2d;
extern const OpDef kFullyConnected;
extern const OpDef kBlockConv2d, kBlockConv2dWeightGrad, kBlockConv2dInputGrad;
extern const OpDef kSparseConv2d, kSparseConv2dValuesGrad,
    kSparseConv2dInputGrad;
// Of their gains, and of their weights with an update.
extern const OpDef kGainGrad, kWeightNorm;
extern const OpDef kMatmul;  // C = alpha * op(A) op(B), batched
// Sequences.
extern const OpDef kLstm, kLstmGrad;
// Pooling.
extern const OpDef kAvgPool2d, kAvgPool2dGrad, kMaxPool2d, kMaxPool2dGrad;
// Element-wise with broadcasting, and of one tensor.
extern const OpDef kBinary, kUnary, kUnaryGrad, kActivationGrad;
// x + u of an inserted layer, x int8 or float.
extern const OpDef kResidualAdd;
// Rounding of float values to what a file can store.
extern const OpDef kMinmaxQuantizer, kFakeQuantize, kFakeQuantizeGrad,
    kFakeQuantizeStepGrad, kRoundFloat;
// Rows of the last axis.
extern const OpDef kSoftmax, kSoftmaxGrad, kLogSoftmax, kLogSoftmaxGrad;
extern const OpDef kLayerNorm, kLayerNormGrad;
// Sequences of transformers.
extern const OpDef kRope, kAttention, kAttentionGrad;
// Reductions over axes, and their inverse.
extern const OpDef kReduce, kReduceMaxGrad, kBroadcastTo;
// Movement.
extern const OpDef kReshape, kTranspose, kPad, kSlice, kStridedSlice,
    kStridedSliceGrad, kConcat, kSplit, kGather, kGatherGrad, kResize,
    kResizeGrad;
extern const OpDef kQuantize, kDequantize;
// Losses.
extern const OpDef kSoftmaxCrossEntropy, kSoftmaxCrossEntropyGrad;
extern const OpDef kMseLoss, kMseLossGrad;
// Between a gradient and its update: sums over runs, norms, clipping.
extern const OpDef kAccumulateGrad, kSumSquares, kClipGradient;
// Optimizers; they write their first input and their states.
extern const OpDef kSgdUpdate, kAdamwUpdate, kAdamw8bitUpdate;
// Training in integers: block floating point (kernels/bfp/bfp.h).
extern const OpDef kBfpSideConv2d, kBfpSideDepthwiseConv2d, kBfpGainGrad;
extern const OpDef kBfpConv2d, kBfpConv2dInputGrad, kBfpConv2dWeightGrad,
    kBfpDepthwiseConv2dInputGrad, kBfpDepthwiseConv2dWeightGrad, kBfpMatmul;
extern const OpDef kBfpDequantize, kBfpAdd, kBfpActivationGrad, kBfpReduce,
    kBfpBroadcastTo, kBfpAvgPool2dGrad, kBfpMaxPool2dGrad, kBfpMul, kBfpRelu;
extern const OpDef kBfpSoftmaxCrossEntropy, kBfpSoftmaxCrossEntropyGrad,
    kBfpSoftmax, kBfpMseLoss, kBfpMseLossGrad, kBfpQuantize;
extern const OpDef kBfpAdamwUpdate, kBfpSgdUpdate;

std::span<const OpDef* const> all_ops();
const OpDef* find_op(std::string_view name);  // nullptr: no such op

}  // namespace ft::ops
