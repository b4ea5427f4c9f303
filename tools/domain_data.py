"""The two domains of each example: where its base model is trained, and where
it is adapted and tested. Arrays as `fieldtune train --data x.npy --labels y.npy`
reads them; nothing random but by `SEED`.

    mnist1000  500 digits as they are; the other 500 rotated, thickened, noisy
    cwru       a bearing at motor load 0; the same bearing at load 2
    ett        a transformer's load in summer; the same one in winter
"""

import csv
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from fieldtune_cli import SHARED

SEED = 1
DATA = SHARED / "data"


@dataclass
class Domains:
    """Samples and labels: of the source, and of the target's two parts."""

    source: tuple
    train: tuple
    test: tuple


# --- Digits -------------------------------------------------------------------

DRAWS = 3  # renderings of each target digit
NOISE, TURN, JITTER = 0.1, 25.0, 10.0  # of full scale; degrees


def rendered(images, angles, grow=None, shift=None, noise=0.0, seed=SEED):
    """Images in [0, 1], [n, 28, 28]: turned by degrees, scaled by `grow`, moved
    by `shift` (part of the width), with noise."""
    n = len(images)
    random = torch.Generator().manual_seed(seed)
    turn = torch.deg2rad(torch.as_tensor(angles, dtype=torch.float32))
    size = torch.ones(n) if grow is None else grow
    move = torch.zeros(n, 2) if shift is None else shift
    cos, sin = torch.cos(turn) / size, torch.sin(turn) / size
    matrix = torch.stack([torch.stack([cos, -sin, move[:, 0]], 1),
                          torch.stack([sin, cos, move[:, 1]], 1)], 1)
    grid = F.affine_grid(matrix, (n, 1, 28, 28), align_corners=False)
    x = F.grid_sample(images[:, None], grid, align_corners=False)[:, 0]
    x = x + noise * torch.randn(x.shape, generator=random)
    return x.clamp(0, 1)


def thickened(images):
    """Strokes two pixels wider: the brightest of nine neighbours."""
    return F.max_pool2d(images[:, None], 3, 1, 1)[:, 0]


def digit_images():
    images = np.load(DATA / "mnist1000/images.npy").astype(np.float32) / 255
    labels = np.load(DATA / "mnist1000/labels.npy").astype(np.int64)
    order = np.random.default_rng(SEED).permutation(len(labels))
    return torch.from_numpy(images[order]), labels[order]


def varied_digits(images, epoch):
    """What the base model's training sees: upright, a little of everything."""
    random = torch.Generator().manual_seed(1000 * SEED + epoch)
    n = len(images)
    spread = lambda *shape: 2 * torch.rand(*shape, generator=random) - 1
    return rendered(images, 8 * spread(n), 1 + 0.12 * spread(n),
                    0.1 * spread(n, 2), 0.02, epoch)[..., None].numpy()


def target_digits(images, seed):
    """Held askew, written with a broad pen, photographed in the dark."""
    random = torch.Generator().manual_seed(seed)
    angles = TURN + JITTER * (2 * torch.rand(len(images), generator=random) - 1)
    x = rendered(thickened(images), angles, noise=NOISE, seed=seed)
    return x[..., None].numpy()


def mnist1000():
    images, labels = digit_images()
    parts = []
    for part, seed in (slice(500, 700), 10), (slice(700, 1000), 20):
        draws = [target_digits(images[part], seed + i) for i in range(DRAWS)]
        parts.append((np.concatenate(draws), np.tile(labels[part], DRAWS)))
    source = images[:500, :, :, None].numpy(), labels[:500]
    return Domains(source, *parts)


# --- Bearings -----------------------------------------------------------------

FAULTS = ["normal", "B007", "B021", "IR007", "IR021", "OR007_6", "OR021_6"]
FOOT_DAMPING, FOOT_NOISE = 0.4, 0.5
WINDOW = 512  # samples at 12 kHz, a little more than a revolution


def recording(fault, load):
    x = np.load(DATA / f"cwru/{fault}_load{load}.npy")
    if fault == "normal":
        # Recorded at 48 kHz: the mean of four keeps what lies below 6 kHz.
        x = x[: len(x) // 4 * 4].reshape(-1, 4).mean(1)
    return x


def windows(series, begin, end, stride):
    """[n, WINDOW] from the part of the series between two fractions of it."""
    first, last = int(begin * len(series)), int(end * len(series)) - WINDOW
    return np.stack([series[i : i + WINDOW]
                     for i in range(first, last + 1, stride)])


def scaled(x):
    """Each window without its mean and at its own spread, as the loudness of a
    sensor depends on how it is mounted; [n, WINDOW, 1, 1]."""
    x = x - x.mean(1, keepdims=True)
    x = x / (x.std(1, keepdims=True) + 1e-6)
    return x.astype(np.float32)[:, :, None, None]


def through_housing(x, seed):
    """As a sensor on the motor's foot would see it: high frequencies are damped
    on the way, and other machines are heard (`FOOT_NOISE` of the spread)."""
    out, last = np.empty_like(x), 0.0
    for i, value in enumerate(x):
        last = out[i] = FOOT_DAMPING * last + (1 - FOOT_DAMPING) * value
    noise = np.random.default_rng(seed).normal(0, 1, len(x))
    return (out + FOOT_NOISE * out.std() * noise).astype(np.float32)


def bearing_part(load, begin, end, count, far=False):
    """`count` windows a class, evenly spread over the part."""
    xs, ys = [], []
    for label, fault in enumerate(FAULTS):
        # There is no healthy recording under load: its later part stands in.
        series = recording(fault, 0 if fault == "normal" else load)
        if far:
            series = through_housing(series, SEED + label)
        stride = max(1, (int((end - begin) * len(series)) - WINDOW) // count)
        x = windows(series, begin, end, stride)[:count]
        xs.append(scaled(x))
        ys.append(np.full(len(x), label, np.int64))
    return np.concatenate(xs), np.concatenate(ys)


def cwru():
    return Domains(bearing_part(0, 0.0, 0.5, 300),
                   bearing_part(2, 0.5, 0.65, 20, far=True),
                   bearing_part(2, 0.7, 1.0, 60, far=True))


# --- Load of a transformer ----------------------------------------------------

HISTORY, HORIZON, TARGET = 48, 12, "HUFL"
SUMMER = ("2016-07-01", "2016-10-01"), ("2017-04-01", "2017-10-01")
WINTER_TRAIN = "2017-10-01", "2018-01-01"
WINTER_TEST = "2018-01-01", "2018-04-01"


def hours(begin, end):
    """Column names and rows of the hours between two dates."""
    with open(DATA / "ett/ETTh1.csv", newline="") as file:
        lines = list(csv.reader(file))
    rows = [line for line in lines[1:] if begin <= line[0] < end]
    return lines[0][1:], np.array([line[1:] for line in rows], np.float32)


def ett_statistics():
    """Mean and spread of each column in summer, which the model was made for."""
    values = np.concatenate([hours(*period)[1] for period in SUMMER])
    return values.mean(0), values.std(0)


def ett_windows(period, stride=1):
    """Histories [n, HISTORY, columns] and what follows, [n, HORIZON], in units
    of the summer's spread."""
    names, values = hours(*period)
    mean, sd = ett_statistics()
    values = ((values - mean) / sd).astype(np.float32)
    starts = range(0, len(values) - HISTORY - HORIZON + 1, stride)
    target = values[:, names.index(TARGET)]
    return (np.stack([values[i : i + HISTORY] for i in starts]),
            np.stack([target[i + HISTORY : i + HISTORY + HORIZON]
                      for i in starts]))
