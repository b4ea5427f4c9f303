"""Small float models as PyTorch modules and as .tflite files, layer names alike.

    net = make_net("conv")          # torch.nn.Module, answers logits
    path.write_bytes(to_tflite(net))

A net is a list of layers; ReLU follows all but the last. Convolutions take and
give NCHW in PyTorch, NHWC in the file; one stride and 'same' padding. The mean
over the image stands between convolutions and dense layers.
"""

import numpy as np
import torch
from ai_edge_litert import schema_py_generated as schema
from tflite_chain import Chain
from tflite_models import Tensor

SHAPES = {"conv": (2, 5, 4), "mlp": (12,)}  # of a sample, channels first
CLASSES = 3


class Sequence(torch.nn.Module):
    """Layers by name, so that PEFT finds them as the file names them."""

    def __init__(self, layers, shape):
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.names, self.shape = list(layers), shape

    def forward(self, x):
        for i, name in enumerate(self.names):
            layer = getattr(self, name)
            if x.dim() == 4 and "fc" in name:
                x = x.mean((2, 3))
            x = layer(x)
            if i + 1 < len(self.names):
                x = torch.relu(x)
        return x


def make_net(kind, seed=0):
    torch.manual_seed(seed)
    conv, dense = torch.nn.Conv2d, torch.nn.Linear
    if kind == "mlp":
        layers = {
            "fc1": dense(12, 16),
            "fc2": dense(16, 10),
            "fc3": dense(10, CLASSES),
        }
    else:
        layers = {
            "conv": conv(2, 6, 3, padding="same"),
            "dw": conv(6, 6, 3, padding="same", groups=6),
            "pw": conv(6, 8, 1),
            "fc": dense(8, CLASSES),
        }
    return Sequence(layers, SHAPES[kind])


def to_tflite(net):
    n = lambda t: t.detach().numpy()
    shape = net.shape
    nhwc = [1, *shape[1:], shape[0]] if len(shape) == 3 else [1, *shape]
    chain = Chain("net", Tensor(nhwc, name="x"))
    for i, name in enumerate(net.names):
        layer = getattr(net, name)
        act = int(i + 1 < len(net.names))  # RELU
        bias = Tensor([layer.weight.shape[0]], data=n(layer.bias))
        if isinstance(layer, torch.nn.Linear):
            if len(nhwc) == 4:
                nhwc = [1, nhwc[3]]
                axes = Tensor([2], "int32", data=np.int32([1, 2]))
                chain.append("MEAN", [chain.last, axes], Tensor(nhwc))
            options = schema.FullyConnectedOptionsT()
            op, w = "FULLY_CONNECTED", n(layer.weight)
        elif layer.groups > 1:
            options = schema.DepthwiseConv2DOptionsT()
            options.depthMultiplier = 1
            op, w = "DEPTHWISE_CONV_2D", n(layer.weight).transpose(1, 2, 3, 0)
        else:
            options = schema.Conv2DOptionsT()
            op, w = "CONV_2D", n(layer.weight).transpose(0, 2, 3, 1)
        if len(nhwc) == 4:
            options.strideH = options.strideW = 1
            options.padding = schema.Padding.SAME
        options.fusedActivationFunction = act
        nhwc = [*nhwc[:-1], layer.weight.shape[0]]
        weight = Tensor(w.shape, data=w)
        chain.append(
            op, [chain.last, weight, bias], Tensor(nhwc, name=name), options
        )
    return chain.finish("net")
