"""Small float .tflite models with random weights, for tests of methods.

The conv net has a layer of each kind, a residual sum and a pointwise layer:
stem -> pointwise + stem, relu -> depthwise -> last -> mean -> classifier ->
softmax. The MLP is an autoencoder without a softmax.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tflite_chain import Chain
from tflite_models import Tensor

RELU = schema.ActivationFunctionType.RELU
NONE = schema.ActivationFunctionType.NONE
SAME = schema.Padding.SAME
CLASSES = 3


def _conv_options(kind, stride, act):
    o = kind()
    o.padding, o.fusedActivationFunction = SAME, act
    o.strideH = o.strideW = stride
    o.dilationHFactor = o.dilationWFactor = 1
    if kind is schema.DepthwiseConv2DOptionsT:
        o.depthMultiplier = 1
    return o


class _Net(Chain):
    def __init__(self, name, x, seed):
        super().__init__(name, x)
        self.rng = np.random.default_rng(seed)

    def weights(self, name, shape, fan_in):
        values = self.rng.normal(0, fan_in**-0.5, shape).astype(np.float32)
        return Tensor(shape, data=values, name=name)

    def conv(self, name, w_shape, out, stride=1, act=NONE):
        depthwise = w_shape[0] == 1 and w_shape[1] > 1
        kind = (
            schema.DepthwiseConv2DOptionsT
            if depthwise
            else schema.Conv2DOptionsT
        )
        fan_in = int(np.prod(w_shape[1:3] if depthwise else w_shape[1:]))
        return self.append(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            [
                self.last,
                self.weights(name + "/w", w_shape, fan_in),
                self.weights(name + "/b", [out[-1]], 16),
            ],
            Tensor(out, name=name),
            _conv_options(kind, stride, act),
        )

    def dense(self, name, k, n, act=NONE):
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = act
        return self.append(
            "FULLY_CONNECTED",
            [
                self.last,
                self.weights(name + "/w", [n, k], k),
                self.weights(name + "/b", [n], 16),
            ],
            Tensor([1, n], name=name),
            options,
        )


def conv_net(seed=1):
    """The file's bytes; input [1, 8, 8, 3]."""
    net = _Net("conv_net", Tensor([1, 8, 8, 3], name="x"), seed)
    stem = net.conv("stem", [8, 3, 3, 3], [1, 4, 4, 8], stride=2, act=RELU)
    point = net.conv("pointwise", [8, 1, 1, 8], [1, 4, 4, 8])
    add = schema.AddOptionsT()
    add.fusedActivationFunction = RELU
    net.append("ADD", [point, stem], Tensor([1, 4, 4, 8], name="sum"), add)
    net.conv("depthwise", [1, 3, 3, 8], [1, 4, 4, 8], act=RELU)
    net.conv("last", [6, 1, 1, 8], [1, 4, 4, 6], act=RELU)
    pool = schema.Pool2DOptionsT()
    pool.padding = schema.Padding.VALID
    pool.filterHeight = pool.filterWidth = pool.strideH = pool.strideW = 4
    net.append(
        "AVERAGE_POOL_2D", [net.last], Tensor([1, 1, 1, 6], name="pool"), pool
    )
    shape = Tensor([2], "int32", data=np.int32([1, 6]), name="shape")
    reshape = schema.ReshapeOptionsT()
    reshape.newShape = [1, 6]
    net.append(
        "RESHAPE", [net.last, shape], Tensor([1, 6], name="flat"), reshape
    )
    net.dense("classifier", 6, CLASSES)
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    net.append(
        "SOFTMAX", [net.last], Tensor([1, CLASSES], name="answer"), softmax
    )
    return net.finish("random conv net for tests")


def classifier(features, classes, seed=3):
    """The file's bytes; a layer and its softmax, input [1, features]."""
    net = _Net("classifier", Tensor([1, features], name="x"), seed)
    net.dense("classifier", features, classes)
    softmax = schema.SoftmaxOptionsT()
    softmax.beta = 1.0
    net.append(
        "SOFTMAX", [net.last], Tensor([1, classes], name="answer"), softmax
    )
    return net.finish("random classifier for tests")


def mlp(seed=2):
    """The file's bytes; input and output [1, 12]."""
    net = _Net("mlp", Tensor([1, 12], name="x"), seed)
    net.dense("encoder", 12, 10, RELU)
    net.dense("code", 10, 5, RELU)
    net.dense("decoder", 5, 10, RELU)
    net.dense("output", 10, 12)
    return net.finish("random autoencoder for tests")
