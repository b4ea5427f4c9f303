"""Small int8 and float networks of varied shapes with random weights, whose
calls tools/calibrate_targets.py measures. Not models of anything: every layer
kind meets several channel counts, sizes, strides and filters.
"""

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from tflite_models import Tensor
from tflite_writer import Layer, Model

IMAGES = {  # name: input, layers (kind, channels, filter, stride)
    "photo": ([1, 28, 28, 3], [
        ("conv", 12, 3, 2), ("depthwise", 0, 3, 1), ("conv", 20, 1, 1),
        ("depthwise", 0, 3, 2), ("conv", 40, 1, 1), ("twice", 0, 0, 0),
        ("conv", 32, 3, 1), ("conv", 64, 1, 2), ("depthwise", 0, 3, 1),
        ("conv", 96, 1, 1), ("max", 0, 2, 2), ("conv", 24, 3, 1)]),
    "sound": ([1, 40, 8, 1], [
        ("conv", 32, (8, 4), 2), ("depthwise", 0, 3, 1), ("conv", 32, 1, 1),
        ("twice", 0, 0, 0), ("depthwise", 0, 5, 1), ("conv", 72, 1, 1),
        ("depthwise", 0, 3, 2), ("conv", 128, 1, 1), ("average", 0, 2, 2),
        ("conv", 48, 1, 1)]),
    "planes": ([1, 20, 20, 8], [
        ("conv", 16, 3, 1), ("conv", 16, 3, 1), ("twice", 0, 0, 0),
        ("conv", 28, 3, 2), ("conv", 48, 3, 1), ("depthwise", 0, 3, 1),
        ("conv", 8, 1, 1)]),
    "tiles": ([1, 36, 30, 4], [  # mostly inside
        ("conv", 8, 3, 1), ("depthwise", 0, 3, 1), ("conv", 16, 1, 1),
        ("depthwise", 0, 3, 2), ("conv", 20, 3, 1), ("conv", 36, 3, 2),
        ("conv", 160, 1, 1), ("conv", 64, 1, 1)]),
    "ends": ([1, 7, 5, 96], [  # mostly edges
        ("depthwise", 0, 3, 1), ("conv", 144, 1, 1), ("depthwise", 0, 3, 2),
        ("conv", 200, 1, 1), ("depthwise", 0, 3, 1), ("conv", 40, 3, 1)]),
}
VECTORS = {"wide": [320, 96, 24, 8, 48, 160], "deep": [64, 32, 32, 12]}


class Net(Model):
    """Layers by kind; `rng` draws the weights."""

    def __init__(self, name, shape, seed=1):
        super().__init__(name, "x", shape, -3.0, 3.0)
        self.rng = np.random.default_rng(seed)
        self.count = 0
        self.before = None  # the value before the last convolution's input

    def weights(self, shape, fan_in):
        return self.rng.normal(0, fan_in**-0.5, shape)

    def layer(self, op, shape, fan_in, stride=1):
        self.count += 1
        out = shape[3] if op == "DEPTHWISE_CONV_2D" else shape[0]
        self.linear(Layer(f"{op.lower()}{self.count}", op,
                          self.weights(shape, fan_in), self.weights([out], 16),
                          (stride, stride)), 0.0, 4.0)

    def conv(self, channels, size, stride):
        height, width = size if isinstance(size, tuple) else (size, size)
        inner = self.shape[3]
        self.layer("CONV_2D", [channels, height, width, inner],
                   height * width * inner, stride)

    def depthwise(self, _channels, size, stride):
        self.layer("DEPTHWISE_CONV_2D", [1, size, size, self.shape[3]],
                   size * size, stride)

    def twice(self, *_):
        """The newest value and itself: shapes always agree."""
        options = schema.AddOptionsT()
        self.count += 1
        output = self._activation(f"add{self.count}", self.shape, 0.0, 6.0)
        self.append("ADD", [self.last, self.last], output, options, 2)

    def pool(self, op, size):
        options = schema.Pool2DOptionsT()
        options.padding = schema.Padding.VALID
        options.filterHeight = options.filterWidth = size
        options.strideH = options.strideW = size
        n, height, width, channels = self.shape
        self.count += 1
        self._append(op, [], self._same_range(
            f"pool{self.count}",
            [n, height // size, width // size, channels]), options, 2)

    def max(self, _channels, size, _stride):
        self.pool("MAX_POOL_2D", size)

    def average(self, _channels, size, _stride):
        self.pool("AVERAGE_POOL_2D", size)


def image_net(name):
    shape, layers = IMAGES[name]
    net = Net(name, shape)
    for kind, channels, size, stride in layers:
        getattr(net, kind)(channels, size, stride)
    net.global_average()
    net.layer("FULLY_CONNECTED", [10, net.shape[1]], net.shape[1])
    net.softmax()
    return net.finish("random network for calibration")


def vector_net(name):
    sizes = VECTORS[name]
    net = Net(name, [1, sizes[0]])
    for k, n in zip(sizes, sizes[1:]):
        net.layer("FULLY_CONNECTED", [n, k], k)
    if name == "deep":
        net.softmax()
    return net.finish("random network for calibration")


def write_nets(folder):
    """{name: path} of all networks."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for names, make in (IMAGES, image_net), (VECTORS, vector_net):
        for name in names:
            paths[name] = folder / f"{name}.tflite"
            paths[name].write_bytes(make(name))
    return paths
