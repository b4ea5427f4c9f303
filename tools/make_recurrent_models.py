#!/usr/bin/env python3
"""Makes digits_lstm.tflite: spoken digits by an LSTM that never heard a speaker.

    .venv/bin/python tools/make_recurrent_models.py [--out FILE] [--target NAME]

Trains on three speakers of the Free Spoken Digit Dataset (../shared/data/fsdd)
in PyTorch and writes a float .tflite; the fourth speaker is what fieldtune is
to adapt to. Input: the 49 x 10 features of the front end mlperf-kws. One core,
about a minute. The same machine and package versions give the same file.
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

from fieldtune_cli import FSDD  # noqa: E402
from make_demo_model_speech import CLIP, features, noise  # noqa: E402
from recurrent_models import LstmWeights, classifier_model  # noqa: E402
from tf_frontend import read_wav  # noqa: E402
from tflite_models import make_reference, run_interpreter  # noqa: E402

FRAMES, COEFFICIENTS, CLASSES = 49, 10, 10


class DigitLstm(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.lstm = nn.LSTM(COEFFICIENTS, hidden, batch_first=True)
        self.classifier = nn.Linear(hidden, CLASSES)
        # A forget gate that starts open: the words end long before the clip.
        with torch.no_grad():
            self.lstm.bias_ih_l0[hidden : 2 * hidden] = 2.0

    def forward(self, x):
        last = self.lstm(x)[0][:, -1]
        return self.classifier(F.dropout(last, 0.2, self.training))


def read_speakers(speakers):
    """16 kHz clips and their digits."""
    clips, labels = [], []
    for speaker in speakers:
        for path in sorted((FSDD / speaker).glob("*.wav")):
            samples = read_wav(path)
            at = np.arange(2 * len(samples)) / 2
            clips.append(np.interp(at, range(len(samples)), samples))
            labels.append(int(path.name.split("_")[0]))
    return clips, np.array(labels)


def varied(random, samples):
    """Another speed, start, and a little noise."""
    rate = random.uniform(0.85, 1.15)
    at = np.arange(0, len(samples) - 1, rate)
    samples = np.interp(at, range(len(samples)), samples)
    samples = np.pad(samples, (int(random.integers(0, 2000)), 0))
    return samples + 10 ** random.uniform(-4, -2) * noise(random, len(samples))


def features_of(clips):
    whole = np.zeros([len(clips), CLIP], np.float32)
    for row, samples in zip(whole, clips):
        row[: min(CLIP, len(samples))] = samples[:CLIP]
    return np.concatenate(
        [features(whole[i : i + 256]) for i in range(0, len(whole), 256)]
    )


def train(model, x, labels, epochs):
    """x: [draws, n, frames, coefficients], one draw an epoch in turn."""
    labels = torch.from_numpy(labels)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2, weight_decay=1e-3)
    batch = 64
    steps = len(labels) // batch
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1e-2, epochs * steps
    )
    for epoch in range(epochs):
        order = torch.randperm(len(labels))
        model.train()
        for part in order[: steps * batch].split(batch):
            loss = F.cross_entropy(
                model(x[epoch % len(x), part]), labels[part]
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    model.eval()
    return loss.item()


@torch.no_grad()
def fold(model, mean, std):
    """The model on raw features: (x - mean) / std moves into the weights."""
    lstm = LstmWeights.of(model.lstm)
    lstm.w = lstm.w / std
    lstm.b = lstm.b - lstm.w @ mean
    value = lambda p: p.detach().numpy()
    head = model.classifier
    return classifier_model(lstm, value(head.weight), value(head.bias), FRAMES)


def litert_accuracy(content, x, labels):
    right = 0
    for sample, label in zip(x, labels):
        interpreter = make_reference(content)  # its states start at zero
        right += run_interpreter(interpreter, [sample[None]])[0].argmax() == label
    return right / len(labels)


def make(target, hidden, epochs, draws, seed):
    """The file's bytes and a line of figures."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    random = np.random.default_rng(seed)
    speakers = sorted(p.name for p in FSDD.iterdir() if p.is_dir())
    clips, labels = read_speakers([s for s in speakers if s != target])
    x = [features_of(clips)]
    x += [features_of([varied(random, c) for c in clips]) for _ in range(draws)]
    x = np.stack(x)
    mean, std = x.mean((0, 1, 2)), x.std((0, 1, 2))
    model = DigitLstm(hidden)
    loss = train(model, torch.tensor((x - mean) / std), labels, epochs)
    content = fold(model, mean, std)
    there, digits = read_speakers([target])
    there = features_of(there)[::5]
    return content, (
        f"loss {loss:.3f}; accuracy in LiteRT: source "
        f"{litert_accuracy(content, x[0][::10], labels[::10]):.3f}, "
        f"{target} {litert_accuracy(content, there, digits[::5]):.3f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path,
                        default=ROOT / "build/models/digits_lstm.tflite")
    parser.add_argument("--target", default="theo",
                        help="the speaker to leave out")
    parser.add_argument("--hidden", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--draws", type=int, default=4,
                        help="varied copies of every recording")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not (FSDD / args.target).is_dir():
        parser.error(f"no recordings of '{args.target}' in {FSDD}")
    started = time.time()
    content, figures = make(args.target, args.hidden, args.epochs, args.draws,
                            args.seed)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(content)
    print(f"{args.out}: {len(content)} bytes; {figures}; "
          f"{time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
