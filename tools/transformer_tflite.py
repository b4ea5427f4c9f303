"""A small transformer encoder for time series, in PyTorch and as a float
.tflite file made of plain operators (no fused attention).

    net = Transformer(48, 7, outputs=12)
    content = to_tflite(net, "name")

x [n, time, columns] -> embedding + position -> blocks of single-head attention
and a GELU MLP, LayerNorm before each -> all hours -> outputs.
"""

import numpy as np
import torch
import torch.nn.functional as F
from ai_edge_litert import schema_py_generated as schema
from recurrent_models import FloatChain
from tflite_models import Tensor
from torch import nn


class Block(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width)
                                          for _ in range(4))
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        y = self.norm1(x)
        q, k, v = self.q(y), self.k(y), self.v(y)
        scores = q @ k.transpose(1, 2) * x.shape[-1] ** -0.5
        x = x + self.o(torch.softmax(scores, -1) @ v)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    def __init__(self, time, columns, outputs, width=32, blocks=2,
                 dropout=0.0):
        super().__init__()
        self.shape, self.dropout = (time, columns), dropout
        self.embed = nn.Linear(columns, width)
        self.position = nn.Parameter(0.1 * torch.randn(1, time, width))
        self.blocks = nn.ModuleList(Block(width, 2 * width)
                                    for _ in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width * time, outputs)

    def forward(self, x):
        x = self.embed(x) + self.position
        for block in self.blocks:
            x = block(x)
        x = F.dropout(self.norm(x).flatten(1), self.dropout, self.training)
        return self.head(x)


class _Writer(FloatChain):
    """Values are indices of tensors [1, time, width]."""

    def constant(self, values, name):
        values = np.asarray(values, np.float32)
        return self.add(Tensor(list(values.shape), data=values, name=name))

    def linear(self, x, layer, name, shape):
        options = schema.FullyConnectedOptionsT()
        options.keepNumDims = len(shape) == 3
        value = lambda p: p.detach().numpy()
        return self.append(
            "FULLY_CONNECTED",
            [x, self.constant(value(layer.weight), f"{name}/weight"),
             self.constant(value(layer.bias), f"{name}/bias")],
            Tensor(shape, name=name), options)

    def binary(self, op, a, b, shape):
        kinds = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT,
                 "MUL": schema.MulOptionsT}
        return self.append(op, [a, b], Tensor(shape), kinds[op]())

    def mean(self, x, shape):
        options = schema.ReducerOptionsT()
        options.keepDims = True
        return self.append("MEAN", [x, self.ints([2])], Tensor(shape), options)

    def norm(self, x, layer, name, shape):
        rows = [*shape[:2], 1]
        centred = self.binary("SUB", x, self.mean(x, rows), shape)
        spread = self.mean(self.binary("MUL", centred, centred, shape), rows)
        spread = self.binary(
            "ADD", spread, self.constant([layer.eps], f"{name}/eps"), rows)
        inverse = self.append("RSQRT", [spread], Tensor(rows))
        y = self.binary("MUL", centred, inverse, shape)
        gain = layer.weight.detach().numpy()
        y = self.binary("MUL", y, self.constant(gain, f"{name}/gain"), shape)
        bias = layer.bias.detach().numpy()
        return self.binary("ADD", y, self.constant(bias, f"{name}/bias"), shape)

    def matmul(self, a, b, shape, transpose_b=False):
        options = schema.BatchMatMulOptionsT()
        options.adjY = transpose_b
        return self.append("BATCH_MATMUL", [a, b], Tensor(shape), options)

    def attention(self, x, block, name, shape):
        time, width = shape[1:]
        q, k, v = (self.linear(x, getattr(block, part), f"{name}_{part}", shape)
                   for part in "qkv")
        scores = self.matmul(q, k, [1, time, time], transpose_b=True)
        scale = self.constant([width**-0.5], f"{name}_scale")
        scores = self.binary("MUL", scores, scale, [1, time, time])
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        shares = self.append("SOFTMAX", [scores], Tensor([1, time, time]),
                             options)
        mixed = self.matmul(shares, v, shape)
        return self.linear(mixed, block.o, f"{name}_o", shape)

    def block(self, x, block, name, shape):
        wide = [*shape[:2], block.up.out_features]
        y = self.norm(x, block.norm1, f"{name}_norm1", shape)
        x = self.binary("ADD", x, self.attention(y, block, name, shape), shape)
        y = self.norm(x, block.norm2, f"{name}_norm2", shape)
        y = self.linear(y, block.up, f"{name}_up", wide)
        y = self.append("GELU", [y], Tensor(wide), schema.GeluOptionsT())
        y = self.linear(y, block.down, f"{name}_down", shape)
        return self.binary("ADD", x, y, shape)


def to_tflite(net, name):
    """The bytes of the float file."""
    time, columns = net.shape
    width = net.embed.out_features
    shape = [1, time, width]
    file = _Writer(name, Tensor([1, time, columns], name="x"))
    x = file.linear(file.last, net.embed, "embed", shape)
    position = file.constant(net.position.detach().numpy(), "position")
    x = file.binary("ADD", x, position, shape)
    for i, block in enumerate(net.blocks):
        x = file.block(x, block, f"block{i}", shape)
    file.norm(x, net.norm, "norm", shape)
    file.reshape([1, time * width])
    file.linear(file.last, net.head, "head", [1, net.head.out_features])
    return file.finish("made by a script")
