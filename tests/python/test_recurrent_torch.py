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
from recurrent_models import (
    LstmWeights,
    classifier_model,
    gru_model,
    hybrid,
    lstm_forward,
)
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
from tflite_models import run_fieldtune

TIME, INPUTS, HIDDEN, CLASSES = 6, 5, 8, 3
INPUT, RECURRENT, HEAD = "lstm/input_gates", "lstm/recurrent_gates", "classifier"


def rows(matrix, count):
    """Each gate with a scale of its own, as the hybrid file has it."""
    return np.concatenate([hybrid(g)[2] for g in np.split(matrix, count)])


@dataclass
class RecurrentNet:
    """The model in PyTorch; what test_lora_torch asks of a Net. `layers`: name,
    weight and bias (or None) of the input half, the recurrent half and the
    head; `cell(x, w, r, w_bias, r_bias)` gives h at all steps."""

    layers: list
    cell: object

    def __post_init__(self):
        self.modules = [
            SimpleNamespace(
                name=name,
                weight=torch.tensor(w),
                bias=None if b is None else torch.tensor(b),
            )
            for name, w, b in self.layers
        ]

    def forward(self, x, params, scaling):
        """Probabilities and logits; x: [n, time, inputs]."""
        weights, biases = [], []
        for m in self.modules:
            w = params.get(m.name + ".weight", m.weight.to(x.dtype))
            lora_a = params.get(m.name + ".lora_A.weight")
            if lora_a is not None:
                lora_b = params[m.name + ".lora_B.weight"]
                w = w + scaling[m.name] * lora_b @ lora_a
            weights.append(w)
            b = None if m.bias is None else m.bias.to(x.dtype)
            biases.append(params.get(m.name + ".bias", b))
        h = self.cell(x, *weights[:2], *biases[:2])[:, -1]
        logits = F.linear(h, weights[2], biases[2])
        return torch.softmax(logits, 1), logits


def random_head(rng):
    weight = rng.normal(size=[CLASSES, HIDDEN]).astype(np.float32)
    return weight, rng.normal(size=[CLASSES]).astype(np.float32)


def finish_case(path, model, layers, cell, rng):
    path.write_bytes(model)
    x = rng.normal(size=[4, TIME, INPUTS]).astype(np.float32)
    return SimpleNamespace(
        path=path,
        net=RecurrentNet(layers, cell),
        x=x,
        labels=np.array([0, 1, 1, 0]),
    )


def lstm_case(folder, gates=4, as_hybrid=False):
    rng = np.random.default_rng(11)
    lstm = LstmWeights.random(rng, INPUTS, HIDDEN, gates)
    head = random_head(rng)
    model = classifier_model(lstm, *head, TIME, as_hybrid)
    real = lambda m: rows(m, gates) if as_hybrid else m
    layers = [(INPUT, real(lstm.w), lstm.b), (RECURRENT, real(lstm.r), None)]
    cell = lambda x, w, r, b, _: lstm_forward(x, w, r, b)
    layers.append((HEAD, *head))
    return finish_case(folder / "lstm.tflite", model, layers, cell, rng)


def gru_forward(x, w, r, w_bias, r_bias):
    """As torch.nn.GRU."""
    h = x.new_zeros(x.shape[0], r.shape[1])
    out = []
    for t in range(x.shape[1]):
        xr, xz, xn = F.linear(x[:, t], w, w_bias).chunk(3, 1)
        hr, hz, hn = F.linear(h, r, r_bias).chunk(3, 1)
        z, n = torch.sigmoid(xz + hz), torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
        h = n + z * (h - n)
        out.append(h)
    return torch.stack(out, 1)


def gru_layer():
    torch.manual_seed(13)
    return torch.nn.GRU(INPUTS, HIDDEN, batch_first=True)


def gru_case(folder):
    """Unrolled: every weight is read at every step."""
    rng, layer = np.random.default_rng(17), gru_layer()
    head = random_head(rng)
    value = lambda p: p.detach().numpy()
    layers = [
        ("input", value(layer.weight_ih_l0), value(layer.bias_ih_l0)),
        ("recurrent", value(layer.weight_hh_l0), value(layer.bias_hh_l0)),
        (HEAD, *head),
    ]
    model = gru_model(layer, *head, TIME)
    return finish_case(folder / "gru.tflite", model, layers, gru_forward, rng)


CASES = {
    "lstm": lstm_case,
    "coupled lstm": lambda folder: lstm_case(folder, gates=3),
    "gru": gru_case,
}


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


@pytest.mark.parametrize("name", CASES)
def test_modules_are_the_layers(tmp_path, name):
    case = CASES[name](tmp_path)
    assert module_names(case.path) == [m.name for m in case.net.modules]


def test_unrolled_gru_equals_litert_and_the_layer_of_torch(tmp_path):
    case = gru_case(tmp_path)
    x = torch.tensor(case.x)
    got = run_fieldtune(case.path.read_bytes(), case.x, tmp_path)
    want = run_litert(case.path.read_bytes(), case.x)
    np.testing.assert_allclose(got.reshape(want.shape), want, 1e-5, 1e-5)
    with torch.no_grad():
        torch.testing.assert_close(torch.tensor(want), case.net.forward(x, {}, 0)[0])
        h = gru_layer()(x)[0]
        torch.testing.assert_close(h, case.net.cell(x, *gru_layer().parameters()))


@pytest.mark.parametrize("kernels", ["default", "exact"])
@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_gradients_equal_autograd(tmp_path, method, name, batch, kernels):
    case = CASES[name](tmp_path)
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
    print(f"{name}, {method}, batch {batch}, {kernels}: {error:.2e}")
    assert error <= BAR, f"{where}: {error}"


@pytest.mark.parametrize("only", [None, INPUT, RECURRENT])
@pytest.mark.parametrize("as_hybrid", [False, True])
def test_merged_lstm_answers_as_the_adapter(tmp_path, as_hybrid, only):
    """Also where one half of the gates is adapted: LiteRT takes an LSTM whose
    weights are all float32, or all int8."""
    check_merged(tmp_path, lstm_case(tmp_path, as_hybrid=as_hybrid), only)


def test_merged_gru_answers_as_the_adapter(tmp_path):
    check_merged(tmp_path, gru_case(tmp_path), None)


def check_merged(tmp_path, case, only):
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
