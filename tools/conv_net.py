"""Small convolutional networks in PyTorch that become .tflite files.

    net = ConvNet((49, 10, 1), [Conv(48, (10, 4), (2, 2)), ...], outputs=10)
    train(net, lambda epoch: x, labels, epochs=40)
    content = to_tflite(net, "name", "int8", calibration=x)

Convolutions pad as TensorFlow's SAME and are followed by batch normalization
(folded into them in the file) and ReLU; then the mean over positions, or all
positions, and dense layers. Input as in the file: [n, height, width, channels].
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from tflite_writer import Layer, Model
from torch import nn
from torch_tflite import same_padding


@dataclass
class Conv:
    channels: int
    kernel: tuple
    stride: tuple = (1, 1)
    dilation: tuple = (1, 1)
    depthwise: bool = False
    name: str = ""

    def modules(self, inputs, size):
        """What to pad before the convolution, and it; it pads by itself where
        both sides get the same."""
        pads = same_padding(size, self.kernel, self.stride, self.dilation)
        own = pads[2::-2] if pads[::2] == pads[1::2] else (0, 0)
        return [] if any(own) else pads, nn.Conv2d(
            inputs, self.channels, self.kernel, self.stride, own,
            self.dilation, inputs if self.depthwise else 1, bias=False)


class ConvNet(nn.Module):
    """`shape`: of one sample; without `convs` its values go straight to the
    dense layers. `hidden`: sizes of dense layers with ReLU before the last."""

    def __init__(self, shape, convs, outputs, average=True, hidden=(),
                 dropout=0.0):
        super().__init__()
        self.shape, self.average, self.dropout = shape, average, dropout
        self.names = [c.name or f"conv{i}" for i, c in enumerate(convs)]
        *size, channels = shape
        self.convs, self.pads = nn.ModuleList(), []
        for conv in convs:
            pads, module = conv.modules(channels, size)
            self.pads.append(pads)
            self.convs.append(module)
            channels = conv.channels
            size = [-(-n // s) for n, s in zip(size, conv.stride)]
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(c.out_channels) for c in self.convs)
        width = channels if average and convs else channels * int(np.prod(size))
        self.dense = nn.ModuleList()
        for n in (*hidden, outputs):
            self.dense.append(nn.Linear(width, n))
            width = n

    def values(self, x):
        """What each layer of the file gives, in order."""
        x = x.reshape(-1, *self.shape)
        if len(self.convs):
            x = x.permute(0, 3, 1, 2).clone(
                memory_format=torch.contiguous_format)
        for pads, conv, norm in zip(self.pads, self.convs, self.norms):
            x = F.relu(norm(conv(F.pad(x, pads) if any(pads) else x)))
            yield x
        if len(self.convs):
            x = x.mean((2, 3)) if self.average else x.permute(0, 2, 3, 1)
        x = F.dropout(x.flatten(1), self.dropout, self.training)
        for i, dense in enumerate(self.dense):
            x = dense(x)
            if i + 1 < len(self.dense):
                x = F.relu(x)
            yield x

    def forward(self, x):
        *_, last = self.values(x)
        return last


def smoothed_cross_entropy(answers, labels):
    return F.cross_entropy(answers, labels, label_smoothing=0.05)


def train(model, draw, targets, epochs, lr=4e-3, loss_of=smoothed_cross_entropy,
          weight_decay=1e-3):
    """`draw(epoch)` gives the samples as an array, `targets` what to answer to
    them; prints a line for each epoch."""
    targets = torch.from_numpy(targets)
    optimizer = torch.optim.AdamW(model.parameters(), lr,
                                  weight_decay=weight_decay)
    batch = 64
    steps = epochs * (len(targets) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, steps)
    for epoch in range(epochs):
        started, total = time.time(), 0.0
        x = torch.from_numpy(draw(epoch))
        order = torch.randperm(len(targets))
        model.train()
        for i in range(len(targets) // batch):
            part = order[i * batch:(i + 1) * batch]
            loss = loss_of(model(x[part]), targets[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{epochs}: loss {total / (i + 1):.3f}, "
              f"{time.time() - started:.1f} s", flush=True)
    model.eval()


@torch.no_grad()
def fold(model):
    """Layers with batch normalization folded into weight and bias."""
    layers = []
    for name, conv, norm in zip(model.names, model.convs, model.norms):
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = (conv.weight * factor[:, None, None, None]).numpy()
        bias = (norm.bias - norm.running_mean * factor).numpy()
        depthwise = conv.groups > 1
        layers.append(Layer(
            name, "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            weight.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1)),
            bias, conv.stride, conv.dilation))
    for i, dense in enumerate(model.dense):
        last = i + 1 == len(model.dense)
        layers.append(Layer("classifier" if last else f"dense{i}",
                            "FULLY_CONNECTED", dense.weight.numpy(),
                            dense.bias.numpy(), relu=not last))
    return layers


@torch.no_grad()
def calibrate(model, x):
    """(low, high) of the input and of each layer's output. The few largest
    values are cut: they cost more resolution than they bring."""
    def range_of(values):
        flat = values.flatten().numpy()
        return np.quantile(flat, 2e-5), np.quantile(flat, 1 - 2e-5)

    x = torch.from_numpy(x)
    return [range_of(x), *map(range_of, model.values(x))]


def to_tflite(model, name, dtype, calibration, input_name="x", softmax=True,
              description="made by a script"):
    """The file's bytes; dtype "int8" or "float32"."""
    ranges = calibrate(model, calibration)
    file = Model(name, input_name, [1, *model.shape], *ranges[0], dtype)
    for i, (layer, (low, high)) in enumerate(zip(fold(model), ranges[1:])):
        if i == len(model.convs) and i > 0:
            file.global_average() if model.average else file.flatten()
        file.linear(layer, low, high)
    if softmax:
        file.softmax()
    return file.finish(description)
