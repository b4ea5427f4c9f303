"""A training step of fieldtune against PyTorch autograd and torch.optim.

One plain SGD step of known learning rate shows the gradient:
(before - after) / lr. It must equal autograd's in double precision, for every
method, on every float model. AdamW and momentum are followed for five steps.
Figures go to build/results/gradients.json.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from fieldtune_cli import FSDD, MODELS, ROOT, module_names, run_json, save_rows
from safetensors.torch import load_file, save_file
from tf_frontend import mlperf_kws, read_wav
from torch_tflite import PREFIX, Net, lora_shapes, max_rank, run_litert

RANK, ALPHA = 4, 8.0
# The largest rate that fieldtune takes: the step then dwarfs the rounding of
# the parameter that it is added to.
GRADIENT_LR = 1000.0
SGD = ["--optimizer", "sgd", "--momentum"]
BAR = 1e-4
torch.set_num_threads(1)
FILES = {
    "kws": "kws_ref_model_float32.tflite",
    "resnet": "pretrainedResnet.tflite",
    "ad01": "ad01_fp32.tflite",
    "vww": "vww_96_float.tflite",
}


@dataclass
class Case:
    """A model with candidate inputs; `labels` of the chosen four are None where
    the target is the input. Training data needs every class twice, hence only
    two of them."""

    name: str
    path: Path
    net: Net
    x: np.ndarray
    labels: np.ndarray
    chosen: dict = field(default_factory=dict)  # by method

    @property
    def sgd_lr(self):
        """So small that five steps of descent do not explode."""
        return 1e-3 if self.labels is not None else 1e-5

    @property
    def eps(self):
        """Of AdamW. With its usual 1e-8, rounding noise in place of a gradient
        of zero moves a parameter as far as any gradient does; this stays above
        the noise (the autoencoder's loss and gradients are large)."""
        return 1e-4 if self.labels is not None else 1e-2

    def choose(self, method, params, count):
        """Inputs for which no ReLU is near its kink: there float32 and float64
        rightly differ, by a whole path of the gradient."""
        if method not in self.chosen:
            values = {k: v.double() for k, v in params.items()}
            with torch.no_grad():
                x = torch.tensor(self.x).double()
                self.net.forward(x, values, scalings(self.net))
            best = self.net.margins.argsort(descending=True)[:4]
            self.chosen[method] = self.x[best.numpy()]
        return self.chosen[method][:count]

    def labels_of(self, count):
        return None if self.labels is None else self.labels[:count]


def rank_of(m):
    """Two classes allow no rank of 4 in the last layer."""
    return min(RANK, max_rank(m))


def scalings(net):
    return {m.name: ALPHA / rank_of(m) for m in net.modules}


def kws_features(count):
    """Real ones where there are recordings."""
    wavs = sorted(FSDD.glob("theo/*.wav"))[:: 500 // count][:count]
    if not wavs:
        rng = np.random.default_rng(5)
        return rng.normal(0, 10, [count, 49, 10, 1]).astype(np.float32)
    stretch = lambda a: np.interp(np.arange(2 * len(a)) / 2, range(len(a)), a)
    features = [mlperf_kws(stretch(read_wav(w))) for w in wavs]
    return np.stack(features).reshape(count, 49, 10, 1).astype(np.float32)


def make_inputs(name, shape, count=16):
    rng = np.random.default_rng(7)
    if name == "kws":
        return kws_features(count)
    low, high = {"resnet": (0, 255), "ad01": (-40, 10), "vww": (0, 1)}[name]
    x = rng.uniform(low, high, [count, *shape])
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def cases(shared):
    made = {}

    def get(name):
        if name in made:
            return made[name]
        path = MODELS / FILES[name]
        net = Net(path, module_names(path))
        x = make_inputs(name, net.input_shape[1:])
        labels = None if name == "ad01" else np.array([0, 1, 1, 0])
        made[name] = Case(name, path, net, x, labels)
        return made[name]

    return get


@pytest.fixture(scope="module")
def figures():
    """Written only when all tests gave one: a part would hide the rest."""
    rows = []
    yield rows
    if len(rows) == len(FILES) * 3 * 2 * 2 + 2 * 2 * 2:
        save_rows(ROOT / "build" / "results" / "gradients.json", rows)


@pytest.mark.parametrize("name", ["resnet", "ad01", "vww"])
def test_oracle_equals_litert(cases, name):
    """Without an adapter the PyTorch function is the model."""
    case = cases(name)
    want = run_litert(case.path, case.x)
    got = case.net.forward(torch.tensor(case.x))[0].numpy()
    error = np.abs(got - want).max() / np.abs(want).max()
    assert error <= 1e-5, error


@pytest.mark.parametrize(
    "word, answers", [("yes", {9: 0.999}), ("no", {1: 0.951, 3: 0.042})]
)
def test_oracle_gives_the_known_answers_of_the_keyword_file(
    cases, shared, word, answers
):
    """LiteRT quantizes that file's activations on the fly, so it is no oracle;
    these are stated for float activations (../shared/models/README.md)."""
    wav = shared / "data" / "speech_samples" / f"{word}_1000ms.wav"
    features = mlperf_kws(read_wav(wav)).reshape(1, 49, 10, 1)
    got = cases("kws").net.forward(torch.tensor(features))[0][0]
    for index, answer in answers.items():
        assert abs(got[index].item() - answer) < 6e-4


def initial_params(case, method):
    """Values in float32 by key; LoRA factors are nonzero, so that A and B both
    have gradients."""
    gen = torch.Generator().manual_seed(3)
    uniform = lambda shape, bound: bound * (
        2 * torch.rand(shape, generator=gen) - 1
    )
    params = {}
    for m in case.net.modules if method != "head" else case.net.modules[-1:]:
        if method == "lora":
            a, b = lora_shapes(m, rank_of(m))
            fan_in = int(np.prod(a[1:]))
            params[m.name + ".lora_A.weight"] = uniform(a, fan_in**-0.5)
            params[m.name + ".lora_B.weight"] = uniform(b, 0.05)
        else:
            params[m.name + ".weight"] = m.weight.clone()
            params[m.name + ".bias"] = m.bias.clone()
    return params


def write_adapter(path, case, method, params, own=None):
    ranks = [[m.name, rank_of(m)] for m in case.net.modules]
    sha = hashlib.sha256(case.path.read_bytes()).hexdigest()
    metadata = {
        "format_version": "1",
        "base_sha256": sha,
        "method": method,
        "precision": "f32",
        "r": str(RANK),
        "lora_alpha": str(ALPHA),
        "target_modules": "[]",
        "rank_pattern": json.dumps(ranks),
        "alpha_pattern": "[]",
        "num_classes": "0",
        "seed": "0",
        **(own or {}),
    }
    tensors = {PREFIX + k: v.contiguous() for k, v in params.items()}
    save_file(tensors, str(path), metadata=metadata)


def train(tmp_path, case, method, params, x, labels, batch, *options):
    """The parameters after one epoch of fieldtune on x. A single sample is
    given twice, the second time to test on: one alone is refused as data."""
    before, after = tmp_path / "before.safetensors", tmp_path / "a.safetensors"
    write_adapter(before, case, method, params)
    args = ["train", case.path, "--data", tmp_path / "x.npy"]
    if len(x) == 1:
        x = np.repeat(x, 2, axis=0)
        labels = None if labels is None else labels.repeat(2)
        args += ["--split", "1/1"]
    np.save(tmp_path / "x.npy", x)
    if labels is not None:
        np.save(tmp_path / "y.npy", labels.astype(np.int32))
        args += ["--labels", tmp_path / "y.npy"]
    else:
        args += ["--loss", "mse"]
    args += ["--method", method, "--precision", "f32", "--batch", batch]
    if method == "lora":
        args += ["--rank", RANK, "--alpha", ALPHA]
        ranks = [f"{m.name}={rank_of(m)}" for m in case.net.modules]
        args += ["--rank-pattern", ",".join(ranks)]
    args += ["--init-adapter", before, "--epochs", 1]
    if "--schedule" not in options:
        args += ["--schedule", "constant"]
    args += [*options, "--out", after]
    run_json(*args)
    got = {k.removeprefix(PREFIX): v for k, v in load_file(after).items()}
    assert got.keys() == params.keys()
    return got


def torch_loss(case, params, x, labels):
    answer = case.net.forward(x, params, scalings(case.net))[1]
    if labels is None:
        return torch.nn.functional.mse_loss(answer, x)
    return torch.nn.functional.cross_entropy(answer, torch.tensor(labels))


def doubled(params):
    return {k: v.double().requires_grad_() for k, v in params.items()}


def torch_gradients(case, params, x, labels):
    params = doubled(params)
    torch_loss(case, params, torch.tensor(x).double(), labels).backward()
    return {k: p.grad for k, p in params.items()}


def worst_error(got, want):
    """Largest difference of any tensor over that tensor's largest element."""
    worst, where = 0.0, ""
    for key, w in want.items():
        scale = w.abs().max().item()
        error = (got[key] - w).abs().max().item()
        relative = error / scale if scale > 0 else (0.0 if error == 0 else 1e9)
        if relative >= worst:
            worst, where = relative, key
    return worst, where


def figure(name, method, kernels, batch, tensors, error, where):
    row = {
        "model": name,
        "method": method,
        "kernels": kernels,
        "batch": batch,
        "tensors": len(tensors),
        "max_relative_error": float(f"{error:.3e}"),
        "worst_tensor": where,
        "bar": BAR,
    }
    print(json.dumps(row))
    return row


@pytest.mark.parametrize("kernels", ["default", "exact"])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("method", ["lora", "head", "full"])
@pytest.mark.parametrize("name", FILES)
def test_gradients_equal_autograd(
    tmp_path, cases, figures, name, method, batch, kernels
):
    case = cases(name)
    params = initial_params(case, method)
    x, labels = case.choose(method, params, batch), case.labels_of(batch)
    options = [*SGD, 0, "--lr", GRADIENT_LR]
    if kernels == "exact":
        options.append("--exact")
    after = train(tmp_path, case, method, params, x, labels, batch, *options)
    got = {
        k: (params[k].double() - after[k].double()) / GRADIENT_LR
        for k in params
    }
    want = torch_gradients(case, params, x, labels)
    error, where = worst_error(got, want)
    figures.append(figure(name, method, kernels, batch, want, error, where))
    assert error <= BAR, f"{where}: {error}"


DECAY = 0.01
OPTIMIZERS = {
    "adamw": (
        lambda case: ["--optimizer", "adamw", "--lr", 2e-4, "--eps", case.eps],
        lambda p, case: torch.optim.AdamW(
            p, 2e-4, eps=case.eps, weight_decay=DECAY
        ),
    ),
    "sgd-momentum": (
        lambda case: [*SGD, 0.9, "--lr", case.sgd_lr],
        lambda p, case: torch.optim.SGD(
            p, case.sgd_lr, momentum=0.9, weight_decay=DECAY
        ),
    ),
}


def beyond_rounding(got, want, before, steps):
    """Differences of the moves, without what float32 parameters cannot hold:
    each step rounds twice (decay, then update)."""
    errors, moves = {}, {}
    for k, start in before.items():
        moves[k] = want[k].detach() - start.double()
        slack = 2 * steps * 2.0**-24 * start.double().abs()
        difference = got[k].double() - want[k].detach()
        excess = (difference.abs() - slack).clamp(min=0)
        errors[k] = moves[k] + excess
    return worst_error(errors, moves)


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["kws", "ad01"])
def test_five_steps_equal_torch_optim(
    tmp_path, cases, figures, name, optimizer, method
):
    """The same sample five times, so that the order of samples is no matter."""
    steps = 5
    case = cases(name)
    params = initial_params(case, method)
    x = np.repeat(case.choose(method, params, 1), steps, axis=0)
    labels = None if case.labels is None else np.zeros(steps, np.int64)
    options, make = OPTIMIZERS[optimizer]
    after = train(tmp_path, case, method, params, x, labels, 1,
                  *options(case), "--weight-decay", DECAY)  # fmt: skip
    now = doubled(params)
    torch_optimizer = make(list(now.values()), case)
    sample = torch.tensor(x[:1]).double()
    for _ in range(steps):
        torch_optimizer.zero_grad()
        label = None if labels is None else labels[:1]
        torch_loss(case, now, sample, label).backward()
        torch_optimizer.step()
    error, where = beyond_rounding(after, now, params, steps)
    method = f"{method}, 5 steps of {optimizer}"
    figures.append(figure(name, method, "default", 1, now, error, where))
    assert error <= BAR, f"{where}: {error}"
