"""Updates of the entries with the largest gradients against PyTorch's sparse
gradients: the same entries by torch.topk, then torch.optim.SparseAdam, and
torch.optim.SGD where it has no momentum (with one it moves every entry that
ever had a gradient; ours leaves them, as SparseAdam does).
"""

import math

import numpy as np
import pytest
import torch
from fieldtune_cli import run, run_json
from safetensors import safe_open
from test_lora_torch import doubled, initial_params, torch_loss, train
from test_optimizers import KWS, kws, small  # noqa: F401

UPDATES, FRACTION, DECAY = 24, 0.2, 0.01
# The larger the steps, the sooner float32 and float64 choose differently.
LR, NORM = 5e-5, 1.0
torch.set_num_threads(1)


def keep_largest(params, fraction):
    """Makes each gradient a sparse one of its largest entries."""
    for p in params:
        grad = p.grad.reshape(-1)
        kept = max(1, math.ceil(fraction * grad.numel()))
        at = grad.abs().topk(kept).indices
        where = torch.unravel_index(at, p.shape)
        p.grad = torch.sparse_coo_tensor(
            torch.stack(where), grad[at], p.shape
        ).coalesce()


def sparse_adam(params):
    """eps so small that it is no matter that PyTorch adds it before the bias is
    corrected, and we after."""
    options = ["--optimizer", "adamw", "--lr", 1e-3, "--eps", 1e-30]
    return options, torch.optim.SparseAdam(params, 1e-3, eps=1e-30).step


def sgd(params):
    options = ["--optimizer", "sgd", "--momentum", 0, "--lr", 1e-2]
    return options, torch.optim.SGD(params, 1e-2).step


def lazy_nesterov(params):
    """What there is no optimizer for, written out with dense masks."""
    states = [torch.zeros_like(p) for p in params]

    def step():
        for p, state in zip(params, states, strict=True):
            at = p.grad.to_dense() != 0
            g = p.grad.to_dense()[at] + DECAY * p.data[at]
            state[at] = 0.9 * state[at] + g
            p.data[at] -= LR * (g + 0.9 * state[at])

    return ["--optimizer", "sgd", "--momentum", 0.9, "--nesterov", "--lr", LR,
            "--weight-decay", DECAY], step  # fmt: skip


def clipped(params):
    """The norm is that of what is kept."""
    options, step = sgd(params)

    def clip_and_step():
        norm = math.sqrt(sum(p.grad.square().sum().item() for p in params))
        for p in params:
            p.grad = p.grad * min(1, NORM / (norm + 1e-6))
        step()

    return [*options, "--max-grad-norm", NORM], clip_and_step


@pytest.mark.parametrize("make", [sparse_adam, sgd, lazy_nesterov, clipped])
def test_follows_torch_with_sparse_gradients(tmp_path, kws, make):
    params = initial_params(kws, "lora")
    x, labels = kws.choose("lora", params, 1), kws.labels_of(1)
    now = doubled(params)
    options, step = make(list(now.values()))
    after = train(
        tmp_path, kws, "lora", params, np.tile(x, (UPDATES, 1, 1, 1)),
        np.tile(labels, UPDATES), 1, *options, "--update-fraction", FRACTION,
    )  # fmt: skip
    sample, moved = torch.tensor(x).double(), 0
    for _ in range(UPDATES):
        for p in now.values():
            p.grad = None
        torch_loss(kws, now, sample, labels).backward()
        keep_largest(now.values(), FRACTION)
        step()
    worst = 0
    for name, start in params.items():
        got, want = after[name].double(), now[name].detach()
        worst = max(worst, (got - want).abs().max().item())
        stays = want == start.double()
        assert torch.equal(after[name][stays], start[stays]), name
        moved += (~stays).sum().item()
    count = sum(p.numel() for p in params.values())
    print(f"{worst:.2g}; {moved} of {count} entries moved in {UPDATES} updates")
    assert FRACTION * count <= moved < 0.9 * count
    assert worst <= 1e-5


@pytest.mark.parametrize(
    "options",
    [
        ["--method", "sparse", "--accumulate", 2],
        ["--method", "bottleneck", "--max-grad-norm", 1],
        ["--method", "lora", "--precision", "integer"],
    ],
)
def test_resumes_to_equal_bits_and_is_on_record(small, tmp_path, options):
    command = [*small, *options, "--epochs", 3, "--update-fraction", 0.25,
               "--out"]  # fmt: skip
    whole = run_json(*command, tmp_path / "whole.safetensors")
    out = tmp_path / "parts.safetensors"
    assert run(*command, out, "--stop-after", 7).returncode == 5
    other = [w if w != 0.25 else 0.5 for w in command]
    assert "checkpoint" in run(*other, out, "--resume").stderr
    resumed = run_json(*command, out, "--resume")
    assert resumed["adapter_sha256"] == whole["adapter_sha256"]
    assert whole["optimizer"]["update_fraction"] == 0.25
    with safe_open(out, "np") as file:
        assert '"update_fraction":0.25' in file.metadata()["optimizer"]


def test_a_norm_over_a_tenth_needs_less_memory(shared):
    plan = lambda *options: run_json(
        "plan", KWS, "--method", "full", "--precision", "f32",
        "--max-grad-norm", 1, *options,
    )  # fmt: skip
    whole, tenth = plan(), plan("--update-fraction", 0.1)
    print(f"arena {whole['arena_bytes']} to {tenth['arena_bytes']} bytes")
    assert tenth["arena_bytes"] < whole["arena_bytes"]
    assert tenth["persistent_bytes"] == whole["persistent_bytes"]


@pytest.mark.parametrize(
    "options, word",
    [
        (["--update-fraction", 0], "--update-fraction 0"),
        (["--update-fraction", 1.5], "--update-fraction 1.5"),
        (["--update-fraction", 0.5, "--optimizer", "adamw8bit"], "adamw8bit"),
        (["--update-fraction", 0.5, "--method", "adalora", "--epochs", 30],
         "adalora"),
    ],
)  # fmt: skip
def test_contradictions_are_usage_errors(small, tmp_path, options, word):
    out = tmp_path / "a.safetensors"
    done = run(*small, *options, "--out", out)
    assert done.returncode == 2, done.stderr
    assert word in done.stderr and not out.exists()
