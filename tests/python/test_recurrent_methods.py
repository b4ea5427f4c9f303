"""Every method on recurrent nets (an LSTM, an unrolled GRU, a step of SVDF)
against PyTorch: answers, gradients and the merged file, run by LiteRT.

PEFT has no recurrent layers; an adapted layer is one of the changed weight and
bias, wherever those are read, the recurrent ones at every step.
"""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ai_edge_litert import schema_py_generated as schema
from fieldtune_cli import run, run_json
from recurrent_models import FloatChain
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_lora_torch import PREFIX, worst_error
from test_recurrent_oracle import run_litert
from test_recurrent_torch import (
    CLASSES,
    HEAD,
    HIDDEN,
    INPUT,
    INPUTS,
    RECURRENT,
    gru_case,
    gru_forward,
    lstm_case,
    random_head,
)
from tflite_models import Tensor

ANSWER_BAR, GRADIENT_BAR, LR = 1e-5, 1e-4, 100.0
RANK, ALPHA = 3, 6.0
torch.set_num_threads(1)


@dataclass
class Method:
    name: str
    options: list = field(default_factory=list)
    settings: dict = field(default_factory=dict)
    frozen: tuple = ()
    only: dict = field(default_factory=dict)  # kind -> layers it is defined on
    ranked: bool = True


ADALORA = {"target_r": RANK, "orth_reg_weight": 0, "total_step": 1}
# Where a recurrent weight cannot be adapted.
DENSE = {"lstm": [INPUT, HEAD], "gru": [HEAD]}
METHODS = {
    "lora": Method("lora"),
    "rslora": Method("lora", settings={"use_rslora": "true"}),
    "dora": Method("lora", settings={"use_dora": "true"}),
    "lora-biases": Method("lora", settings={"bias": "all"}),
    "lora-fa": Method("lora-fa", frozen=("lora_A",)),
    "adalora": Method("adalora", settings=ADALORA),
    "vera": Method("vera", frozen=("vera_A", "vera_B")),
    "ia3": Method("ia3", ranked=False),
    "bitfit": Method("bitfit", ranked=False),
    "block-lora": Method(
        "block-lora", settings={"block_size": 1}, frozen=("sparse_index",), only=DENSE
    ),
    "sparse": Method(
        "sparse",
        settings={"density": 0.3, "mask": "random"},
        frozen=("sparse_index",),
        only=DENSE,
        ranked=False,
    ),
    "bottleneck": Method(
        "bottleneck",
        settings={"variant": "houlsby", "reduction_factor": 2},
        only={"lstm": [INPUT], "gru": []},
        ranked=False,
    ),
    "head": Method("head", ranked=False),
    "full": Method("full", ranked=False),
}


def svdf_case(folder):
    """y = relu(sum over rank of features(x) * newest time weight + bias)."""
    rng, rank = np.random.default_rng(19), 2
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    w, time, bias = draw(2 * HIDDEN, INPUTS), draw(2 * HIDDEN, 4), draw(HIDDEN)
    head = random_head(rng)
    chain = FloatChain("svdf", Tensor([1, INPUTS], name="x"))
    options = schema.SVDFOptionsT()
    options.rank = rank
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    operands = [chain.last]
    for name, data in [("w", w), ("time", time), ("bias", bias)]:
        operands.append(Tensor(list(data.shape), data=data, name=name))
    operands.append(Tensor([1, time.size], is_variable=True))
    chain.append("SVDF", operands, Tensor([1, HIDDEN], name="svdf"), options)
    chain.dense(*head)
    chain.softmax(CLASSES)
    path = folder / "svdf.tflite"
    path.write_bytes(chain.finish("made by a test"))

    def cell(x, layers):
        y = layers[0](x) * torch.tensor(time[:, -1])
        return torch.relu(y.unflatten(1, (HIDDEN, rank)).sum(2) + torch.tensor(bias))

    return path, draw(4, INPUTS), [("svdf/features", w, None), (HEAD, *head)], cell


def lstm(folder):
    case = lstm_case(folder)

    def cell(x, layers):
        return lstm_steps(layers[0](x), layers[1])[:, -1]

    return case.path, case.x, case.net.layers, cell


def lstm_steps(gates, recurrent):
    h = c = gates.new_zeros(gates.shape[0], HIDDEN)
    out = []
    for t in range(gates.shape[1]):
        i, f, g, o = (gates[:, t] + recurrent(h)).split(HIDDEN, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        out.append(h)
    return torch.stack(out, 1)


def gru(folder):
    case = gru_case(folder)

    def cell(x, layers):
        (w, b), (r, r_bias) = layers[0].parts(), layers[1].parts()
        return gru_forward(x, w, r, b, r_bias)[:, -1]

    return case.path, case.x, case.net.layers, cell


KINDS = {"lstm": lstm, "gru": gru, "svdf": svdf_case}
SHARED = {"lstm": [RECURRENT], "gru": ["input", "recurrent"], "svdf": []}


class Layer:
    """A layer with what the adapter's tensors `p` make of it."""

    def __init__(self, name, weight, bias, shared, case, p):
        self.name, self.shared, self.case = name, shared, case
        self.weight, self.bias = weight, bias
        self.p = lambda what: p.get(f"{PREFIX}{name}.{what}")
        self.of_all = p

    def parts(self):
        w, b, p = self.weight, self.bias, self.p
        w = w if p("weight") is None else p("weight")
        b = b if p("bias") is None else p("bias")
        if (delta := self.product()) is not None:
            w = w + delta
        if (length := p("lora_magnitude_vector")) is not None:
            w = w * (length / w.norm(dim=1).detach())[:, None]
        if (factors := p("ia3_l")) is not None:
            w = w * factors
            # The bias of a shared weight belongs to its readers.
            b = b if b is None or self.shared else b * factors[:, 0]
        if (values := p("sparse_values")) is not None:
            places = p("sparse_index").long()
            w = w + torch.zeros(w.numel(), dtype=w.dtype).index_add(
                0, places, values
            ).reshape(w.shape)
        return w, b

    def product(self):
        p, rank = self.p, min(RANK, *self.weight.shape)
        settings = self.case.method.settings
        if (d := p("vera_lambda_d")) is not None:
            a = self.of_all["base_model.vera_A"][:, : self.weight.shape[1]]
            b = self.of_all["base_model.vera_B"][: self.weight.shape[0]]
            return (p("vera_lambda_b")[:, None] * b) @ (d[:, None] * a)
        if (e := p("lora_E")) is not None:
            return ALPHA / (RANK + 1e-5) * p("lora_B") @ (p("lora_A") * e)
        if (a := p("lora_A.weight")) is None:
            return None
        if (index := p("sparse_index")) is not None:
            wide = torch.zeros(a.shape[0], self.weight.shape[1], dtype=a.dtype)
            a = wide.index_add(1, index.long(), a)
        scaling = ALPHA / (rank**0.5 if "use_rslora" in settings else rank)
        return scaling * p("lora_B.weight") @ a

    def __call__(self, x):
        y = F.linear(x, *self.parts())
        if (down := self.p("adapter_down.0.weight")) is None:
            return y
        h = torch.relu(F.linear(y, down, self.p("adapter_down.0.bias")))
        return y + F.linear(h, self.p("adapter_up.weight"), self.p("adapter_up.bias"))


class Case:
    def __init__(self, folder, kind, method):
        self.folder, self.kind, self.method = folder, kind, method
        self.path, self.x, self.layers, self.cell = KINDS[kind](folder)
        np.save(folder / "x.npy", self.x)
        self.labels = np.array([0, 1, 1, 0])
        np.save(folder / "y.npy", self.labels.astype(np.int32))
        self.options = ["--method", method.name]
        for key, value in method.settings.items():
            self.options.append("--" + key.replace("_", "-"))
            self.options += [] if value == "true" else [value]
        if method.ranked:
            self.options += ["--rank", RANK]
        if method.ranked and method.name != "vera":
            self.options += ["--alpha", ALPHA]
        if only := method.only.get(kind):
            self.options += ["--target-modules", ",".join(only)]

    def train(self, out, *options):
        run_json(
            *["train", self.path, "--data", self.folder / "x.npy", "--labels"],
            *[self.folder / "y.npy", "--loss", "cross-entropy", "--batch", 4],
            *["--precision", "f32", "--epochs", 1, "--schedule", "constant"],
            *[*self.options, *options, "--out", out],
        )
        return load_file(out)

    def start(self):
        """An adapter whose values are all random, as a file and as doubles."""
        path = self.folder / "before.safetensors"
        fresh = self.train(path, "--lr", 1e-30)
        gen = torch.Generator().manual_seed(5)
        for key, value in fresh.items():
            if "sparse_index" not in key:
                value += 0.2 * torch.randn(value.shape, generator=gen)
        with safe_open(path, "pt") as file:
            metadata = file.metadata()
        save_file(fresh, path, metadata)
        return path, {
            k: v.double().requires_grad_(not any(f in k for f in self.method.frozen))
            for k, v in fresh.items()
        }

    def logits(self, params):
        layers = []
        for name, weight, bias in self.layers:
            double = lambda v: None if v is None else torch.tensor(v).double()
            shared = name in SHARED[self.kind]
            layers.append(
                Layer(name, double(weight), double(bias), shared, self, params)
            )
        return layers[-1](self.cell(torch.tensor(self.x).double(), layers))

    def answers(self, params):
        return torch.softmax(self.logits(params), 1).detach().numpy()


def relative(got, want):
    return np.abs(got - want).max() / np.abs(want).max()


def defined(kind, name):
    return METHODS[name].only.get(kind) != []


@pytest.fixture(
    params=[(k, m) for k in KINDS for m in METHODS if defined(k, m)],
    ids=lambda p: "-".join(p),
)
def case(request, tmp_path):
    kind, name = request.param
    return Case(tmp_path, kind, METHODS[name])


def test_answers_gradients_and_merged_answers_equal_torch(case):
    path, params = case.start()
    want = case.answers(params)
    out = case.folder / "out.npy"
    run_json("run", case.path, "--adapter", path, "--input",
             case.folder / "x.npy", "--output", out)  # fmt: skip
    assert relative(case.answers({}), want) > 1e-3
    got = np.load(out).reshape(want.shape)
    assert relative(got, want) <= ANSWER_BAR

    trained = {k: v for k, v in params.items() if v.requires_grad}
    loss = F.cross_entropy(case.logits(params), torch.tensor(case.labels))
    grads = dict(zip(trained, torch.autograd.grad(loss, list(trained.values()))))
    after = case.train(case.folder / "after.safetensors", "--init-adapter", path,
                       "--optimizer", "sgd", "--momentum", 0, "--lr", LR)  # fmt: skip
    assert after.keys() == params.keys()
    moved = {k: (v.detach() - after[k].double()) / LR for k, v in params.items()}
    error, where = worst_error({k: moved[k] for k in grads}, grads)
    assert error <= GRADIENT_BAR, f"{where}: {error}"
    assert all(not moved[k].any() for k in params.keys() - grads.keys())

    merged = case.folder / "merged.tflite"
    merge = ["merge", case.path, "--adapter", path, "--out", merged]
    if case.method.name == "bottleneck":  # no weight of the base can hold it
        done = run(*merge)
        assert done.returncode == 2 and "cannot be merged" in done.stderr
        return
    run_json(*merge)
    if case.kind == "svdf":  # LiteRT keeps its state from run to run
        got = np.concatenate([run_litert(merged.read_bytes(), r[None]) for r in case.x])
    else:
        got = run_litert(merged.read_bytes(), case.x)
    assert relative(got.reshape(want.shape), want) <= ANSWER_BAR


@pytest.mark.parametrize(
    "kind, options, words",
    [
        ("lstm", ["--method", "block-lora", "--block-size", 1, "--target-modules",
                  RECURRENT], ["block-lora is not defined on", RECURRENT]),
        ("gru", ["--method", "block-lora", "--block-size", 1, "--target-modules",
                 "recurrent"], ["block-lora is not defined on", "'recurrent'"]),
        ("lstm", ["--method", "sparse", "--target-modules", RECURRENT],
         ["sparse is not defined on", RECURRENT]),
        ("gru", ["--method", "sparse", "--target-modules", "input"],
         ["sparse is not defined on", "'input'"]),
        ("gru", ["--method", "bottleneck", "--target-modules", "recurrent"],
         ["bottleneck is not defined on", "'recurrent'"]),
        ("gru", ["--method", "bottleneck"], ["bottleneck"]),
        ("lstm", ["--method", "lora", "--use-qalora", "--target-modules",
                  RECURRENT], ["use_qalora is not defined on", RECURRENT]),
        *[(kind, ["--method", "norm"], ["no normalization layer"])
          for kind in KINDS],
        *[(kind, ["--method", m], ["tokens"])
          for kind in KINDS for m in ("prompt", "prefix")],
    ],
)  # fmt: skip
def test_says_where_a_method_is_not_defined(tmp_path, kind, options, words):
    path = KINDS[kind](tmp_path)[0]
    done = run("plan", path, "--precision", "f32", *options)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert done.stderr.count("\n") == 1
    for word in words:
        assert word in done.stderr, done.stderr
