"""Optimizers, accumulation and clipping against PyTorch and bitsandbytes.

The 8-bit kernel is C99 behind a C ABI, so it is compiled here into a shared
library and called as it is. Whole steps go through the command line.
"""

import ctypes
import subprocess
import sys

import numpy as np
import pytest
import torch
from fieldtune_cli import MODELS, ROOT, run, run_json
from test_lora_torch import (
    FILES,
    GRADIENT_LR,
    Case,
    Net,
    beyond_rounding,
    doubled,
    initial_params,
    make_inputs,
    module_names,
    torch_loss,
    train,
)

sys.path.insert(0, str(ROOT / "bench"))
import real_job  # noqa: E402

KWS = MODELS / "kws_ref_model.tflite"


def dynamic_map(signed):
    """The published definition, in double."""
    values = [0.0, 1.0]
    for i in range(7):
        n = 2**i if signed else 2 ** (i + 1)
        edges = 0.1 + 0.9 * np.arange(n + 1) / n
        middles = 10.0 ** (i - 6) * (edges[1:] + edges[:-1]) / 2
        values += list(middles) + (list(-middles) if signed else [])
    return np.sort(values)


def nearest(table, x):
    between = (table[1:] + table[:-1]) / 2
    return np.searchsorted(between, x, side="left")


class Oracle:
    """AdamW with block-wise 8-bit moments, in double."""

    block = 256

    def __init__(self, param):
        self.param, self.t = param.astype(np.float64), 0
        self.maps = dynamic_map(True), dynamic_map(False)
        self.moments = [np.zeros(len(param)), np.zeros(len(param))]
        self.codes = [np.zeros(len(param), int), np.zeros(len(param), int)]

    def step(self, g, lr, betas, eps, decay):
        self.t += 1
        m, v = self.moments
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        m_hat = m / (1 - betas[0] ** self.t)
        v_hat = v / (1 - betas[1] ** self.t)
        self.param *= 1 - lr * decay
        self.param -= lr * m_hat / (np.sqrt(v_hat) + eps)
        for k, x in enumerate((m, v)):
            for at in range(0, len(x), self.block):
                part = x[at : at + self.block]
                absmax = max(np.abs(part).max(), 1e-38)
                codes = nearest(self.maps[k], part / absmax)
                if k == 1:  # see adamw8bit_update.h
                    codes = np.where(part > 0, np.maximum(codes, 1), codes)
                self.codes[k][at : at + self.block] = codes
                part[:] = absmax * self.maps[k][codes]
            self.moments[k] = x


class Params(ctypes.Structure):
    _fields_ = [("count", ctypes.c_int32)] + [
        (name, ctypes.c_float)
        for name in ("one_minus_beta1", "beta2", "one_minus_beta2", "eps",
                     "weight_decay")  # fmt: skip
    ]


class Args(ctypes.Structure):
    _fields_ = [("in_", ctypes.POINTER(ctypes.c_void_p))] + [
        (name, ctypes.c_void_p) for name in ("aux", "out", "scratch")
    ]


class Kernel:
    """The C99 row over numpy buffers."""

    def __init__(self, library, param):
        self.run = library.ft_adamw8bit_update_f32u8_c99
        n, blocks = len(param), -(-len(param) // 256)
        zeros = np.zeros
        self.param, self.t = param.astype(np.float32), 0
        self.codes = [zeros(n, np.uint8), zeros(n, np.uint8)]
        self.absmax = [zeros(blocks, np.float32), zeros(blocks, np.float32)]

    def step(self, g, lr, betas, eps, decay):
        self.t += 1
        corrections = [1 / (1 - beta**self.t) for beta in betas]
        hyper = np.array([lr, *corrections, 0], np.float32)
        buffers = [self.param, g, *self.codes, *self.absmax, hyper]
        pointers = (ctypes.c_void_p * 7)(*(b.ctypes.data for b in buffers))
        params = Params(
            len(g), 1 - betas[0], betas[1], 1 - betas[1], eps, decay
        )
        self.run(ctypes.byref(params), ctypes.byref(Args(pointers)))


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    out = tmp_path_factory.mktemp("kernel") / "adamw8bit.so"
    folder = ROOT / "src" / "kernels"
    sources = [*(folder / "adamw8bit_update").glob("*.c"),
               folder / "math" / "ft_math.c"]  # fmt: skip
    subprocess.run(
        ["gcc", "-std=c99", "-O2", "-ffp-contract=off", "-shared", "-fPIC",
         "-I", ROOT / "src", *sources, "-o", out],
        check=True,
    )  # fmt: skip
    return ctypes.CDLL(str(out))


SETTINGS = {"lr": 0.02, "betas": (0.9, 0.99), "eps": 1e-8, "decay": 0.01}


def gradients(n, steps):
    """Blocks of very different size, and elements that hardly matter."""
    rng = np.random.default_rng(4)
    scale = 10.0 ** rng.uniform(-6, 1, n) * np.where(np.arange(n) < 256, 1, 99)
    return (rng.normal(0, 1, [steps, n]) * scale).astype(np.float32)


def share_of_other_codes(ours, theirs, coarse=0):
    """At most the neighbour's code, or values within `coarse` of absmax."""
    other = 0
    for signed, a, b in zip((True, False), ours, theirs, strict=True):
        table, a, b = dynamic_map(signed), a.astype(int), b.astype(int)
        small = np.abs(table[a] - table[b]) <= coarse
        assert np.abs(a - b)[~small].max(initial=0) <= 1
        other += ((a != b) & ~small).mean() / 2
    return other


def test_8bit_kernel_equals_the_published_description(library):
    """Codes differ only where float32 rounding decides between neighbours;
    the oracle goes on from the kernel's codes so that this does not add up."""
    n = 1000
    start = np.random.default_rng(1).normal(0, 1, n)
    kernel, oracle = Kernel(library, start), Oracle(start)
    for g in gradients(n, 40):
        kernel.step(g, **SETTINGS)
        oracle.step(g.astype(np.float64), **SETTINGS)
        # Where v rounds to 0 beside larger neighbours, a move is m / eps: only
        # relative errors mean something.
        assert np.allclose(kernel.param, oracle.param, rtol=2e-5, atol=1e-5)
        assert share_of_other_codes(kernel.codes, oracle.codes) < 2e-3
        oracle.param = kernel.param.astype(np.float64)
        for k in range(2):
            absmax = np.repeat(kernel.absmax[k].astype(np.float64), 256)[:n]
            oracle.moments[k] = absmax * oracle.maps[k][kernel.codes[k]]


def test_8bit_kernel_equals_bitsandbytes(library):
    from bitsandbytes import functional, optim

    for signed in (True, False):
        theirs = functional.create_dynamic_map(signed=signed).numpy()
        assert np.allclose(theirs, dynamic_map(signed), rtol=2e-7, atol=1e-12)
    n = 4096
    start = np.random.default_rng(1).normal(0, 1, n).astype(np.float32)
    kernel = Kernel(library, start)
    param = torch.nn.Parameter(torch.tensor(start))
    s = SETTINGS
    theirs = optim.AdamW8bit(
        [param], s["lr"], s["betas"], s["eps"], s["decay"], min_8bit_size=1
    )
    for g in gradients(n, 20):
        kernel.step(g, **s)
        param.grad = torch.tensor(g)
        theirs.step()
        state = theirs.state[param]
        codes = [state["state1"].numpy(), state["state2"].numpy()]
        # Its CPU build looks codes up in a table of 2^16 equal steps.
        assert share_of_other_codes(kernel.codes, codes, 2.0**-15) < 0.03
        # Go on from equal bits: a code that fell on the other side of its
        # border would otherwise be counted in every later step.
        for k in (1, 2):
            state[f"state{k}"].copy_(torch.tensor(kernel.codes[k - 1]))
            state[f"absmax{k}"].copy_(torch.tensor(kernel.absmax[k - 1]))
        assert np.allclose(param.detach(), kernel.param, rtol=2e-5, atol=1e-5)
        param.data.copy_(torch.tensor(kernel.param))


@pytest.fixture(scope="module")
def kws(shared):
    path = MODELS / FILES["kws"]
    net = Net(path, module_names(path))
    x = make_inputs("kws", net.input_shape[1:])
    return Case("kws", path, net, x, np.array([0, 1, 1, 0]))


SGD = ["--optimizer", "sgd", "--momentum"]


def follow(tmp_path, case, samples, batch, updates, options, step):
    """Errors of fieldtune against `step(params)`, PyTorch's own update after a
    backward pass of the whole batch, over `updates` updates of equal data."""
    params = initial_params(case, "lora")
    x = case.choose("lora", params, samples)
    labels = case.labels_of(samples)
    after = train(tmp_path, case, "lora", params, np.tile(x, (updates, 1, 1, 1)),
                  np.tile(labels, updates), batch, *options)  # fmt: skip
    now = doubled(params)
    make_step = step(list(now.values()))
    for _ in range(updates):
        for p in now.values():
            p.grad = None
        torch_loss(case, now, torch.tensor(x).double(), labels).backward()
        make_step()
    return beyond_rounding(after, now, params, updates)


def test_nesterov_and_linear_schedule_equal_torch(tmp_path, kws):
    def step(params):
        sgd = torch.optim.SGD(params, 1e-3, momentum=0.9, nesterov=True)
        linear = torch.optim.lr_scheduler.LambdaLR(sgd, lambda t: 1 - t / 4)
        return lambda: (sgd.step(), linear.step())

    options = [*SGD, 0.9, "--nesterov", "--lr", 1e-3, "--schedule", "linear"]
    error, where = follow(tmp_path, kws, 1, 1, 4, options, step)
    assert error <= 1e-4, where


@pytest.mark.parametrize("accumulate", [1, 4])
def test_clipping_equals_torch(tmp_path, kws, accumulate):
    def by_norm(params):
        sgd = torch.optim.SGD(params, GRADIENT_LR)

        def step():
            torch.nn.utils.clip_grad_norm_(params, 0.01)
            sgd.step()

        return step

    def by_value(params):
        sgd = torch.optim.SGD(params, GRADIENT_LR)

        def step():
            torch.nn.utils.clip_grad_value_(params, 1e-3)
            sgd.step()

        return step

    batch = ["--accumulate", accumulate]
    # Clipped values are small beside the gradients that they are cut from, and
    # so are the errors of those that stay below.
    for option, value, step, bar in (
        ("--max-grad-norm", 0.01, by_norm, 1e-4),
        ("--clip-value", 1e-3, by_value, 1e-3),
    ):
        options = [*SGD, 0, "--lr", GRADIENT_LR, option, value, *batch]
        error, where = follow(tmp_path, kws, 4, 4 // accumulate, 1, options,
                              step)  # fmt: skip
        assert error <= bar, (option, where)


@pytest.fixture
def small(tmp_path, shared):
    rng = np.random.default_rng(2)
    x = rng.normal(0, 10, [12, 49, 10, 1]).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(12, dtype=np.int32) % 3)
    return ["train", KWS, "--data", tmp_path / "x.npy", "--labels",
            tmp_path / "y.npy", "--new-head", "--seed", 5]  # fmt: skip


KNOBS = {
    "adamw": ["--optimizer", "adamw8bit", "--accumulate", 3,
              "--max-grad-norm", 0.5],
    "sgd": ["--optimizer", "sgd", "--nesterov", "--accumulate", 2,
            "--clip-per-sample", 1, "--clip-value", 0.1, "--schedule",
            "linear", "--warmup", 2, "--recompute", "always"],
}  # fmt: skip


@pytest.mark.parametrize("knobs", KNOBS.values(), ids=KNOBS)
def test_resumed_inside_an_accumulation_has_equal_bits(small, tmp_path, knobs):
    command = [*small, *knobs, "--epochs", 3, "--out"]
    whole = run_json(*command, tmp_path / "whole.safetensors")
    assert whole["updates"] == whole["steps"] // whole["optimizer"]["accumulate"]
    for stop in (7, 13):
        out = tmp_path / f"{stop}.safetensors"
        assert run(*command, out, "--stop-after", stop).returncode == 5
        resumed = run_json(*command, out, "--resume")
        assert resumed["adapter_sha256"] == whole["adapter_sha256"]


def test_8bit_state_is_small_and_trains_as_well(tmp_path, shared):
    """The real job of one speaker; the figures go to the log."""
    got = {}
    for name in ("adamw", "adamw8bit"):
        out = tmp_path / f"{name}.safetensors"
        args = real_job.train_args("theo", "lora4", 1, out)
        got[name] = run_json(*args, "--optimizer", name)
    full, eight = got["adamw"], got["adamw8bit"]
    print({k: v["accuracy_after"] for k, v in got.items()})
    assert abs(eight["accuracy_after"] - full["accuracy_after"]) <= 0.01
    params = 4 * full["trainable"]
    ratio = (eight["persistent_bytes"] - params) / (2 * params)
    print(f"state: {ratio:.3f} of float32")
    assert ratio < 0.31  # 1/4 + 4/256, and padding of small tensors


@pytest.mark.parametrize(
    "options, word",
    [
        (["--nesterov"], "--nesterov"),
        (["--accumulate", 0], "--accumulate 0"),
        (["--batch", 2, "--clip-per-sample", 1], "--batch 1"),
        (["--max-grad-norm", -1], "--max-grad-norm"),
        (["--optimizer", "adamw8bit", "--min-8bit-size", 0], "--min-8bit-size"),
        (["--schedule", "step"], "cosine, linear, constant"),
    ],
)
def test_contradictions_are_usage_errors(small, tmp_path, options, word):
    out = tmp_path / "a.safetensors"
    done = run(*small, *options, "--out", out)
    assert done.returncode == 2, done.stderr
    assert word in done.stderr and not out.exists()
