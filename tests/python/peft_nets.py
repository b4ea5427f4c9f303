"""The float models as torch.nn modules that HF PEFT can adapt.

Every linear layer is a real nn.Linear or nn.Conv2d under fieldtune's module
name, so that PEFT's keys and fieldtune's are the same.
"""

import torch
from fieldtune_cli import module_names
from torch_tflite import Net, conv_geometry, padded


class PeftNet(torch.nn.Module):
    """Input as the file has it (NHWC); output the model's own."""

    def __init__(self, path):
        super().__init__()
        self.net = _ModuleNet(path, module_names(path))
        self.net.layers = self._modules
        for m in self.net.modules:
            self.add_module(m.name, _layer(m))

    def forward(self, x):
        return self.net.forward(x)[0]


class _ModuleNet(Net):
    """Runs linear layers through torch modules, which PEFT replaces."""

    def run_layer(self, m, x, params, scaling):
        if m.kind == "fully_connected":
            return self.layers[m.name](x.reshape(-1, m.weight.shape[1]))
        # TensorFlow's padding is not symmetric, so it stays outside.
        return self.layers[m.name](padded(m, x))


def _layer(m):
    rows, columns, *kernel = m.weight.shape
    if m.kind == "fully_connected":
        layer = torch.nn.Linear(columns, rows)
    else:
        groups = rows if m.kind == "depthwise_conv2d" else 1
        stride, dilation = conv_geometry(m)
        layer = torch.nn.Conv2d(
            columns * groups, rows, tuple(kernel), stride,
            dilation=dilation, groups=groups,
        )  # fmt: skip
    layer.weight.data = m.weight.clone()
    layer.bias.data = m.bias.clone()
    return layer
