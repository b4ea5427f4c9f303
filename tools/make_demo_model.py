#!/usr/bin/env python3
"""Makes examples/demo/keyword_base.tflite, the base model of `fieldtune demo`.

    .venv/bin/python tools/make_demo_model.py [--out FILE] [--epochs N]

Synthesizes speech with espeak-ng, trains a small DS-CNN in PyTorch, quantizes
it to int8 and checks the file with LiteRT on voices that training never heard.
One core, a few minutes. The same machine and package versions give the same
file; elsewhere the last bits of PyTorch's sums may differ.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "python"))

import make_demo_model_speech as speech  # noqa: E402
from make_demo_model_tflite import Layer, Model  # noqa: E402
from tflite_models import run_reference  # noqa: E402

CHANNELS, BLOCKS = 48, 4
FRAMES, COEFFICIENTS = 49, 10
HEIGHT, WIDTH = 25, 5  # after the first, strided layer


class DsCnn(nn.Module):
    """The shape of MLPerf Tiny's keyword model, narrower."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(1, CHANNELS, (10, 4), 2,
                                              bias=False)])
        for _ in range(BLOCKS):
            self.convs.append(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1,
                                        groups=CHANNELS, bias=False))
            self.convs.append(nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False))
        self.norms = nn.ModuleList(nn.BatchNorm2d(CHANNELS)
                                   for _ in self.convs)
        self.classifier = nn.Linear(CHANNELS, len(speech.CLASSES))

    def forward(self, x):
        # TensorFlow's SAME padding puts the odd row last.
        x = F.pad(x[:, None], (1, 1, 4, 5))
        for conv, norm in zip(self.convs, self.norms):
            x = F.relu(norm(conv(x)))
        x = F.dropout(x.mean((2, 3)), 0.2, self.training)
        return self.classifier(x)


def train(model, data, epochs):
    labels = torch.from_numpy(data.labels)
    optimizer = torch.optim.AdamW(model.parameters(), 4e-3, weight_decay=1e-3)
    batch = 64
    steps = epochs * (len(labels) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for epoch in range(epochs):
        started, total = time.time(), 0.0
        x = torch.from_numpy(data.draw(1000 + epoch, 3, 40))
        order = torch.randperm(len(labels))
        model.train()
        for i in range(len(labels) // batch):
            part = order[i * batch:(i + 1) * batch]
            loss = F.cross_entropy(model(x[part]), labels[part],
                                   label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}/{epochs}: loss {total / (i + 1):.3f}, "
              f"{time.time() - started:.1f} s", flush=True)


@torch.no_grad()
def fold(model):
    """Layers with batch normalization folded into weight and bias."""
    layers = []
    for i, (conv, norm) in enumerate(zip(model.convs, model.norms)):
        factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = (conv.weight * factor[:, None, None, None]).numpy()
        bias = (norm.bias - norm.running_mean * factor).numpy()
        block = (i + 1) // 2
        if conv.groups > 1:
            name, op, axes = "depthwise", "DEPTHWISE_CONV_2D", (1, 2, 3, 0)
        else:
            name, op, axes = "pointwise", "CONV_2D", (0, 2, 3, 1)
        layers.append(Layer(f"{name}{block}" if i else "conv", op,
                            weight.transpose(axes), bias,
                            stride=1 if i else 2))
    last = model.classifier
    layers.append(Layer("classifier", "FULLY_CONNECTED", last.weight.numpy(),
                        last.bias.numpy(), relu=False))
    return layers


@torch.no_grad()
def calibrate(model, x):
    """(low, high) of the input, of each layer's output and of the logits.

    The few largest values are cut: they cost more resolution than they bring.
    """
    def range_of(values):
        flat = values.flatten().numpy()
        return np.quantile(flat, 2e-5), np.quantile(flat, 1 - 2e-5)

    ranges = [range_of(x)]
    y = F.pad(x[:, None], (1, 1, 4, 5))
    for conv, norm in zip(model.convs, model.norms):
        y = F.relu(norm(conv(y)))
        ranges.append(range_of(y))
    ranges.append(range_of(model.classifier(y.mean((2, 3)))))
    return ranges


def build(layers, ranges):
    model = Model("keyword_base", "mfcc", [1, FRAMES, COEFFICIENTS, 1],
                  *ranges[0])
    for layer, (low, high) in zip(layers[:-1], ranges[1:]):
        model.linear(layer, [1, HEIGHT, WIDTH, CHANNELS], low, high)
    model.global_average()
    model.linear(layers[-1], [1, len(speech.CLASSES)], *ranges[-1])
    model.softmax()
    return model.finish("Keywords of synthetic speech: "
                        + ", ".join(speech.CLASSES))


def litert_answers(content, x):
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    target = interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    q = np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8)
    answers = []
    for sample in q:
        interpreter.set_tensor(source["index"], sample[None, ..., None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(target["index"])[0])
    reference = run_reference(content, [q[:1, ..., None]])[0][0]
    assert np.abs(reference.astype(int) - answers[0]).max() <= 2
    return np.array(answers).argmax(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path,
                        default=ROOT / "examples/demo/keyword_base.tflite")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--takes", type=int, default=180,
                        help="takes of each keyword in training")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    started = time.time()
    data = speech.Speech(args.seed, speech.TRAIN_VARIANTS, args.takes)
    test = speech.Speech(args.seed + 1, speech.HELD_OUT_VARIANTS, 40)
    print(f"{len(data.words)} + {len(test.words)} utterances, "
          f"{time.time() - started:.0f} s", flush=True)
    model = DsCnn()
    train(model, data, args.epochs)
    model.eval()
    calibration = torch.from_numpy(data.draw(7, 3, 40))
    content = build(fold(model), calibrate(model, calibration))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(content)

    for title, low, high in [("little noise (20 to 40 dB)", 20, 40),
                             ("noise (5 to 15 dB)", 5, 15)]:
        x = test.draw(9, low, high)
        with torch.no_grad():
            real = model(torch.from_numpy(x)).argmax(1).numpy()
        answers = litert_answers(content, x)
        print(f"held-out voices, {title}: "
              f"float {np.mean(real == test.labels):.3f}, "
              f"int8 in LiteRT {np.mean(answers == test.labels):.3f} "
              f"of {len(answers)}")
    print(f"{args.out}: {len(content)} bytes, {time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
