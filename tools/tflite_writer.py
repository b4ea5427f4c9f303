"""A trained network as a .tflite file: float32, or int8 by TensorFlow Lite's
rules.

Of an int8 file the weights are symmetric, one scale a channel (one in all for
the fully connected layer); biases int32 at the scale of the products;
activations asymmetric from calibrated ranges, with ReLU fused into the layer
before. Of a float32 file the ranges are not used.
"""

from dataclasses import dataclass

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tflite_chain import Chain
from tflite_models import Tensor


@dataclass
class Layer:
    """Weights as TensorFlow Lite lays them out: [out, kh, kw, in],
    [1, kh, kw, channels], [out, in]. Convolutions have 'same' padding."""

    name: str
    op: str
    weight: np.ndarray
    bias: np.ndarray
    stride: tuple = (1, 1)
    dilation: tuple = (1, 1)
    relu: bool = True


def quantize_range(low, high):
    """Scale and zero point; the range is widened to contain 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / 255)
    return scale, int(np.clip(np.round(-128 - low / scale), -128, 127))


def quantize_weight(weight, axis):
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.abs(weight).max(axis=others, keepdims=True) / 127
    scale = np.maximum(scale, 1e-9).astype(np.float32)
    q = np.clip(np.round(weight / scale), -127, 127).astype(np.int8)
    return q, scale.reshape(-1)


_WEIGHT_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": None}
_OPTIONS = {
    "CONV_2D": schema.Conv2DOptionsT,
    "DEPTHWISE_CONV_2D": schema.DepthwiseConv2DOptionsT,
    "FULLY_CONNECTED": schema.FullyConnectedOptionsT,
}


def int8_tensors(layer, input_scale):
    axis = _WEIGHT_AXIS[layer.op]
    if axis is None:
        q, scale = quantize_weight(layer.weight.reshape(1, -1), 0)
        q = q.reshape(layer.weight.shape)
    else:
        q, scale = quantize_weight(layer.weight, axis)
    bias_scale = input_scale * scale
    bias = np.round(layer.bias / bias_scale.astype(np.float64))
    return (
        Tensor(list(q.shape), "int8", scale, data=q,
               name=f"{layer.name}_weight", quantized_dimension=axis or 0),
        Tensor([len(bias)], "int32", bias_scale, data=bias,
               name=f"{layer.name}_bias"))


def float_tensors(layer):
    return [Tensor(list(data.shape), data=data, name=f"{layer.name}_{what}")
            for what, data in [("weight", layer.weight), ("bias", layer.bias)]]


def layer_options(layer):
    options = _OPTIONS[layer.op]()
    if layer.relu:
        options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    if layer.op != "FULLY_CONNECTED":
        options.padding = schema.Padding.SAME
        options.strideH, options.strideW = layer.stride
        options.dilationHFactor, options.dilationWFactor = layer.dilation
    if layer.op == "DEPTHWISE_CONV_2D":
        options.depthMultiplier = 1
    return options


class Model(Chain):
    """Appends layers to a chain and writes it. `low` and `high`, here and in
    linear(), are the range of the values."""

    def __init__(self, name, input_name, shape, low, high, dtype="int8"):
        self.dtype = dtype
        super().__init__(name, self._activation(input_name, shape, low, high))

    def _activation(self, name, shape, low, high):
        self.shape = list(shape)
        if self.dtype == "float32":
            return Tensor(self.shape, name=name)
        self.scale, self.zero_point = quantize_range(low, high)
        return self._same_range(name, shape)

    def _same_range(self, name, shape):
        self.shape = list(shape)
        if self.dtype == "float32":
            return Tensor(self.shape, name=name)
        return Tensor(self.shape, "int8", self.scale, self.zero_point,
                      name=name)

    def _append(self, op, constants, output, options, version):
        if self.dtype == "float32":
            version = 1
        self.append(op, [self.last, *constants], output, options, version)

    def linear(self, layer, low, high):
        version = 4 if layer.op == "FULLY_CONNECTED" else 3
        if self.dtype == "float32":
            constants = float_tensors(layer)
        else:
            constants = int8_tensors(layer, self.scale)
        shape = [1, len(layer.bias)]
        if layer.op != "FULLY_CONNECTED":
            height, width = (-(-n // s) for n, s in
                             zip(self.shape[1:3], layer.stride))
            shape = [1, height, width, len(layer.bias)]
        output = self._activation(layer.name, shape, low, high)
        self._append(layer.op, constants, output, layer_options(layer), version)

    def global_average(self):
        """Keeps the range, as the int8 specification demands."""
        n, height, width, channels = self.shape
        options = schema.Pool2DOptionsT()
        options.padding = schema.Padding.VALID
        options.filterHeight, options.filterWidth = height, width
        options.strideH, options.strideW = height, width
        self._append("AVERAGE_POOL_2D", [],
                     self._same_range("pool", [n, 1, 1, channels]), options, 2)
        self.flatten()

    def flatten(self):
        shape = np.array([1, np.prod(self.shape)], np.int32)
        options = schema.ReshapeOptionsT()
        options.newShape = shape
        constant = Tensor([2], "int32", data=shape, name="shape")
        self._append("RESHAPE", [constant],
                     self._same_range("flat", shape.tolist()), options, 1)

    def softmax(self):
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        output = Tensor(self.shape, name="probabilities")
        if self.dtype == "int8":
            output = Tensor(self.shape, "int8", 1 / 256, -128,
                            name="probabilities")
        self._append("SOFTMAX", [], output, options, 2)
