"""The peer of the training benchmark: the keyword model as eager PyTorch
modules with LoRA beside every linear layer, as PEFT builds it (a base
nn.Conv2d, a k x k nn.Conv2d for A, a 1 x 1 one for B), AdamW, one thread.

Run as a program in its own process, so that peak memory is PyTorch's own:

    python bench/torch_peer.py MODEL --batch 1 --steps 300
"""

import argparse
import json
import statistics
import time

import torch
from session import peak_rss_bytes
from torch import nn
from torch_tflite import Net, same_padding


class LoraConv(nn.Module):
    """Base and A share stride and padding; an uneven SAME padding is a layer
    of its own."""

    def __init__(self, m, size, r, scaling):
        super().__init__()
        o = m.op.options
        stride, kernel = (o.strideH, o.strideW), m.weight.shape[2:]
        left, right, top, bottom = (
            same_padding(size, kernel, stride) if o.padding == 0 else [0] * 4
        )
        even = left == right and top == bottom
        padding = (top, left) if even else 0
        uneven = nn.ZeroPad2d((left, right, top, bottom))
        self.pad = nn.Identity() if even else uneven
        out_c, in_c = m.weight.shape[:2]
        self.base = nn.Conv2d(in_c, out_c, kernel, stride, padding)
        freeze(self.base, m)
        self.lora_a = nn.Conv2d(in_c, r, kernel, stride, padding, bias=False)
        self.lora_b = nn.Conv2d(r, out_c, 1, bias=False)
        nn.init.zeros_(self.lora_b.weight)
        self.scaling = scaling

    def forward(self, x):
        x = self.pad(x)
        y = self.base(x) + self.scaling * self.lora_b(self.lora_a(x))
        return torch.relu(y)


class LoraDepthwise(nn.Module):
    """W + scaling B A: the product is a small extra weight."""

    def __init__(self, m, size, r, scaling):
        super().__init__()
        kernel, channels = m.weight.shape[2:], m.weight.shape[0]
        left, _, top, _ = same_padding(size, kernel, (1, 1))
        self.base = nn.Conv2d(
            channels, channels, kernel, 1, (top, left), groups=channels
        )
        freeze(self.base, m)
        self.lora_a = nn.Parameter(torch.randn(r, kernel.numel()) / 3)
        self.lora_b = nn.Parameter(torch.zeros(channels, r))
        self.scaling = scaling

    def forward(self, x):
        base = self.base
        delta = (self.lora_b @ self.lora_a).view_as(base.weight)
        weight = base.weight + self.scaling * delta
        y = nn.functional.conv2d(
            x, weight, base.bias, 1, base.padding, 1, base.groups
        )
        return torch.relu(y)


class LoraLinear(nn.Module):
    def __init__(self, m, r, scaling):
        super().__init__()
        out_f, in_f = m.weight.shape
        self.base = nn.Linear(in_f, out_f)
        freeze(self.base, m)
        self.lora_a = nn.Linear(in_f, r, bias=False)
        self.lora_b = nn.Linear(r, out_f, bias=False)
        nn.init.zeros_(self.lora_b.weight)
        self.scaling = scaling

    def forward(self, x):
        return self.base(x) + self.scaling * self.lora_b(self.lora_a(x))


def freeze(layer, m):
    with torch.no_grad():
        layer.weight.copy_(m.weight)
        layer.bias.copy_(m.bias)
    layer.requires_grad_(False)


def build(net, r, scaling):
    """The keyword model: convolutions, average over the image, dense."""
    layers, size = [], net.input_shape[1:3]
    for m in net.modules:
        if m.kind == "fully_connected":
            layers += [nn.AvgPool2d(tuple(size)), nn.Flatten()]
            layers.append(LoraLinear(m, r, scaling))
            continue
        kind = LoraConv if m.kind == "conv2d" else LoraDepthwise
        layers.append(kind(m, size, r, scaling))
        o = m.op.options
        size = [-(-size[0] // o.strideH), -(-size[1] // o.strideW)]
    return nn.Sequential(*layers)


def check(net, model):
    """With B = 0 the peer computes what the file computes."""
    x = torch.randn(2, *net.input_shape[1:])
    with torch.no_grad():
        want = net.forward(x)[1]
        got = model(x.permute(0, 3, 1, 2))
    assert torch.allclose(got, want, atol=1e-3), (got - want).abs().max()


def measure(net, args):
    model = build(net, args.rank, 2.0)
    check(net, model)
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(params, lr=1e-3, weight_decay=0.0)
    loss_of = nn.CrossEntropyLoss()
    x = torch.randn(args.batch, *net.input_shape[1:]).permute(0, 3, 1, 2)
    x = x.contiguous()
    labels = torch.randint(0, 12, (args.batch,))
    times = []
    for i in range(-args.steps // 5, args.steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss_of(model(x), labels).backward()
        optimizer.step()
        if i >= 0:
            times.append(1e3 * (time.perf_counter() - start))
    return times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rank", type=int, default=4)
    parser.add_argument("--steps", type=int, default=300)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    times = measure(Net(args.model), args)
    result = {
        "step_ms": statistics.median(times),
        "peak_rss_bytes": peak_rss_bytes(),
        "torch": torch.__version__,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
