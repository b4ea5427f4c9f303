"""A training step on a recurrent model against PyTorch autograd; the adapter
merged into the .tflite file, run by LiteRT, against the adapter beside it.

PEFT has no LSTM; LoRA of a weight is W + scaling B A wherever that is read, the
recurrent weights at every step.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fieldtune_cli import module_names, run_json
from recurrent_models import LstmWeights, classifier_model, hybrid, lstm_forward
from test_lora_torch import (
    BAR,
    GRADIENT_LR,
    SGD,
    doubled,
    rank_of,
    scalings,
    train,
    worst_error,
)
from test_recurrent_oracle import run_litert

TIME, INPUTS, HIDDEN, CLASSES = 6, 5, 8, 3
INPUT, RECURRENT, HEAD = MODULES = [
    "lstm/input_gates",
    "lstm/recurrent_gates",
    "classifier",
]


def rows(matrix, count):
    """Each gate with a scale of its own, as the hybrid file has it."""
    return np.concatenate([hybrid(g)[2] for g in np.split(matrix, count)])


@dataclass
class RecurrentNet:
    """The model in PyTorch; what test_lora_torch asks of a Net."""

    lstm: LstmWeights
    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self):
        module = lambda name, w, b: SimpleNamespace(
            name=name,
            weight=torch.tensor(w),
            bias=None if b is None else torch.tensor(b),
        )
        self.modules = [
            module(INPUT, self.lstm.w, self.lstm.b),
            module(RECURRENT, self.lstm.r, None),
            module(HEAD, self.weight, self.bias),
        ]

    def forward(self, x, params, scaling):
        """Probabilities and logits; x: [n, time, inputs]."""
        w, b = {}, {}
        for m in self.modules:
            w[m.name] = params.get(m.name + ".weight", m.weight.to(x.dtype))
            lora_a = params.get(m.name + ".lora_A.weight")
            if lora_a is not None:
                lora_b = params[m.name + ".lora_B.weight"]
                w[m.name] = w[m.name] + scaling[m.name] * lora_b @ lora_a
            if m.bias is not None:
                b[m.name] = params.get(m.name + ".bias", m.bias.to(x.dtype))
        h = lstm_forward(x, w[INPUT], w[RECURRENT], b[INPUT])[:, -1]
        logits = F.linear(h, w[HEAD], b[HEAD])
        return torch.softmax(logits, 1), logits


def make_case(folder, gates=4, as_hybrid=False):
    rng = np.random.default_rng(11)
    lstm = LstmWeights.random(rng, INPUTS, HIDDEN, gates)
    weight = rng.normal(size=[CLASSES, HIDDEN]).astype(np.float32)
    bias = rng.normal(size=[CLASSES]).astype(np.float32)
    path = folder / "recurrent.tflite"
    path.write_bytes(classifier_model(lstm, weight, bias, TIME, as_hybrid))
    if as_hybrid:
        lstm = LstmWeights(rows(lstm.w, gates), rows(lstm.r, gates), lstm.b)
    x = rng.normal(size=[4, TIME, INPUTS]).astype(np.float32)
    labels = np.array([0, 1, 1, 0])
    return SimpleNamespace(
        path=path, net=RecurrentNet(lstm, weight, bias), x=x, labels=labels
    )


def initial_params(case, method, modules=None):
    """By key; both factors of LoRA are nonzero, so that both have gradients."""
    gen = torch.Generator().manual_seed(3)
    uniform = lambda *shape: 0.5 * (2 * torch.rand(shape, generator=gen) - 1)
    params = {}
    for m in case.net.modules:
        if modules is not None and m.name not in modules:
            continue
        if method == "lora":
            n, k = m.weight.shape
            params[m.name + ".lora_A.weight"] = uniform(rank_of(m), k)
            params[m.name + ".lora_B.weight"] = uniform(n, rank_of(m))
        else:
            params[m.name + ".weight"] = m.weight.clone()
            if m.bias is not None:
                params[m.name + ".bias"] = m.bias.clone()
    return params


def torch_gradients(case, params, x, labels):
    params = doubled(params)
    logits = case.net.forward(
        torch.tensor(x).double(), params, scalings(case.net)
    )[1]
    F.cross_entropy(logits, torch.tensor(labels)).backward()
    return {k: p.grad for k, p in params.items()}


def test_modules_are_named_by_their_layer(tmp_path):
    assert module_names(make_case(tmp_path).path) == MODULES


@pytest.mark.parametrize("kernels", ["default", "exact"])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("gates", [4, 3])
@pytest.mark.parametrize("method", ["lora", "full"])
def test_gradients_equal_autograd(tmp_path, method, gates, batch, kernels):
    case = make_case(tmp_path, gates)
    params = initial_params(case, method)
    x, labels = case.x[:batch], case.labels[:batch]
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
    print(f"{method} {gates} gates, batch {batch}, {kernels}: {error:.2e}")
    assert error <= BAR, f"{where}: {error}"


@pytest.mark.parametrize("only", [None, INPUT, RECURRENT])
@pytest.mark.parametrize("as_hybrid", [False, True])
def test_merged_file_answers_as_the_adapter(tmp_path, as_hybrid, only):
    """Also where one half of the gates is adapted: LiteRT takes an LSTM whose
    weights are all float32, or all int8."""
    case = make_case(tmp_path, as_hybrid=as_hybrid)
    params = initial_params(case, "lora", None if only is None else [only])
    targets = [] if only is None else ["--target-modules", only]
    after = train(tmp_path, case, "lora", params, case.x, case.labels, 2,
                  "--lr", 0.05, *targets)  # fmt: skip
    merged = tmp_path / "merged.tflite"
    run_json("merge", case.path, "--adapter", tmp_path / "a.safetensors",
             "--out", merged)  # fmt: skip
    after = {k: v.detach() for k, v in after.items()}
    want = case.net.forward(torch.tensor(case.x), after, scalings(case.net))[0]
    got = run_litert(merged.read_bytes(), case.x)
    np.testing.assert_allclose(got, want.numpy(), 1e-5, 1e-5)
