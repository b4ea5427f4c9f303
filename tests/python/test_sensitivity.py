"""Which layers are worth adapting, against PyTorch's gradients of all weights."""

import numpy as np
import pytest
import torch
from fieldtune_cli import run, run_json
from small_nets import make_net, to_tflite

LABELS = [0, 1, 2, 1, 0, 2]


@pytest.fixture(params=["mlp", "conv"])
def job(request, tmp_path):
    """The net, its samples, and the arguments of a measurement of it."""
    net = make_net(request.param)
    (tmp_path / "net.tflite").write_bytes(to_tflite(net))
    x = np.random.default_rng(1).normal(size=(6, *net.shape)).astype("f4")
    image = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    np.save(tmp_path / "x.npy", np.ascontiguousarray(image))
    np.save(tmp_path / "y.npy", np.int32(LABELS))
    args = ["sensitivity", tmp_path / "net.tflite", "--data", tmp_path / "x.npy",
            "--labels", tmp_path / "y.npy", "--loss", "cross-entropy",
            "--precision", "f32"]  # fmt: skip
    return net, x, args


def gradients(net, x, layer):
    """[samples, rows, columns] of one layer's weight."""
    weight, every = getattr(net, layer).weight, []
    for sample, label in zip(x, LABELS):
        loss = torch.nn.functional.cross_entropy(
            net(torch.from_numpy(sample[None])), torch.tensor([label])
        )
        (grad,) = torch.autograd.grad(loss, weight)
        every.append(grad.reshape(len(grad), -1))
    return torch.stack(every).double().numpy()


def test_whole_sketches_are_exact(job):
    net, x, args = job
    result, exact = run_json(*args, "--rank", 64), 0
    assert [s["module"] for s in result["layers"]] == net.names
    for s in result["layers"]:
        if s["rows"] < s["columns"]:
            continue  # a sketch has at most as many rows as the weight
        exact += 1
        g = gradients(net, x, s["module"])
        energies = (g**2).sum((0, 2))
        mean = np.linalg.norm(g.mean(0))
        values = np.linalg.svd(g.reshape(-1, s["columns"]), compute_uv=False)
        spectrum = np.zeros(s["columns"])
        spectrum[: len(values)] = values**2 / energies.sum()
        assert s["fisher"] == pytest.approx(energies.sum() / len(g), rel=1e-4)
        assert s["mean_gradient"] == pytest.approx(mean, rel=1e-4)
        assert s["channels"] == pytest.approx(energies / energies.sum(), abs=1e-5)
        assert s["spectrum"] == pytest.approx(spectrum, abs=1e-5)
    assert exact > 0


def test_narrow_sketches_are_right_on_average(job):
    net, x, args = job
    sums = {name: 0.0 for name in net.names}
    for seed in range(40):
        for s in run_json(*args, "--rank", 2, "--seed", seed)["layers"]:
            sums[s["module"]] += s["fisher"] / 40
    for name, mean in sums.items():
        true = (gradients(net, x, name) ** 2).sum() / len(x)
        assert mean == pytest.approx(true, rel=0.25), name


def test_budget_rounds_and_refusals(job):
    _, _, args = job
    whole = run_json(*args)
    less = run_json(*args, "--ram", whole["ram_bytes"] * 3 // 4)
    assert less["rounds"] > 1 and less["ram_bytes"] < whole["ram_bytes"]
    done = run(*args, "--ram", "200")
    assert done.returncode == 4 and "its statistics" in done.stderr
    done = run(*args[:-1], "integer")
    assert done.returncode == 2 and "f32 or mixed" in done.stderr
    done = run(*args, "--target-modules", "nothing")
    assert done.returncode == 2 and "nothing" in done.stderr
