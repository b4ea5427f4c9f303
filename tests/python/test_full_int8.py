"""Method full on int8 layers: gradients of weights and biases against PyTorch
on the same quantized activations, the deployed bits of a fresh adapter, and a
merged file that answers like it.
"""

import numpy as np
import pytest
import torch
from fieldtune_cli import MODELS, module_names, run_json
from safetensors.torch import load_file
from test_gains_int8 import FILES, answers
from test_lora_torch import (
    GRADIENT_LR,
    PREFIX,
    SGD,
    Case,
    doubled,
    torch_loss,
    write_adapter,
)
from torch_tflite import _ACTIVATED as ACTIVATED
from torch_tflite import Net

# int8 activations differ by a step where the exact sum is half way between two,
# and later layers by more: directions and lengths agree.
COSINE, LENGTH = 0.98, 0.03


class Deployed(Net):
    """Every value in steps of its tensor, with straight-through gradients that
    are 0 where a value is at the end of its range."""

    def behind(self, op, y, params):
        quantizer = self.tensors[op.outputs[0]].quantization
        if op.code in ("RESHAPE", "SOFTMAX"):
            return y
        scale, zero = float(quantizer.scale[0]), int(quantizer.zeroPoint[0])
        low, high = -128, 127
        if op.code in ACTIVATED and op.options.fusedActivationFunction != 0:
            low = max(low, zero)
            if op.options.fusedActivationFunction == 3:
                high = min(high, zero + round(6 / scale))
        q = (torch.round(y.detach() / scale) + zero).clamp(low, high)
        inside = ((q > low) & (q < high)) if op.code in ACTIVATED else 1.0
        return scale * (q - zero) + (y - y.detach()) * inside

    def _activate(self, x, options):
        return x  # the clamp of `behind`


@pytest.fixture(params=FILES)
def case(request, shared):
    name, classes = FILES[request.param]
    net = Deployed(MODELS / name, module_names(MODELS / name))
    q = net.tensors[net.input].quantization
    rng = np.random.default_rng(4)
    x8 = rng.integers(-100, 100, [4, *net.input_shape[1:]]).astype(np.int8)
    x = (q.scale[0] * (x8 - float(q.zeroPoint[0]))).astype(np.float32)
    labels = np.array([0, 1, 1, 0]) if classes else None
    made = Case(request.param, MODELS / name, net, x, labels)
    made.x8 = x8
    return made


def changed_weights(case):
    """A hundredth of each layer's largest weight away from the base."""
    gen = torch.Generator().manual_seed(3)
    params = {}
    for m in case.net.modules:
        for what, base in (("weight", m.weight), ("bias", m.bias)):
            noise = torch.randn(base.shape, generator=gen)
            step = 0.01 * base.abs().max()
            params[f"{m.name}.{what}"] = (base + step * noise).contiguous()
    return params


def data_options(case, folder):
    np.save(folder / "data.npy", case.x)
    if case.labels is None:
        return ["--data", folder / "data.npy"]
    np.save(folder / "labels.npy", case.labels.astype(np.int32))
    return ["--data", folder / "data.npy", "--labels", folder / "labels.npy"]


def test_gradients_are_autograds_on_the_quantized_activations(case, tmp_path):
    params = changed_weights(case)
    before, after = tmp_path / "before.safetensors", tmp_path / "a.safetensors"
    write_adapter(before, case, "full", params,
                  {"precision": "mixed", "r": "0"})  # fmt: skip
    run_json("train", case.path, *data_options(case, tmp_path), "--method",
             "full", "--precision", "mixed", "--batch", 4, "--epochs", 1,
             "--schedule", "constant", *SGD, 0, "--lr", GRADIENT_LR,
             "--init-adapter", before, "--out", after)  # fmt: skip
    moved = {k.removeprefix(PREFIX): v for k, v in load_file(after).items()}
    assert moved.keys() == params.keys()
    got = {k: (params[k].double() - moved[k].double()) / GRADIENT_LR for k in moved}
    wanted = doubled(params)
    loss = torch_loss(case, wanted, torch.tensor(case.x).double(), case.labels)
    loss.backward()
    for key, param in wanted.items():
        g, w = got[key], param.grad
        cosine = (g * w).sum() / (g.norm() * w.norm())
        assert cosine >= COSINE, (key, cosine)
        assert abs(g.norm() / w.norm() - 1) <= LENGTH, (key, g.norm(), w.norm())


@pytest.mark.parametrize("precision", ["mixed", "integer"])
def test_it_starts_as_the_deployed_model_learns_and_merges(case, precision, tmp_path):
    data, path = data_options(case, tmp_path), case.path
    want = answers(path, case.x8, tmp_path)
    fresh, out = tmp_path / "fresh.safetensors", tmp_path / "out.safetensors"
    train = ["train", path, *data, "--precision", precision, "--method", "full",
             "--schedule", "constant"]  # fmt: skip
    run_json(*train, "--epochs", 1, "--lr", 1e-30, "--out", fresh)
    assert (answers(path, case.x8, tmp_path, "--adapter", fresh) == want).all()
    run_json(*train, "--epochs", 8, "--lr", 1e-3, "--out", out)
    loss = [run_json("eval", path, "--adapter", a, *data)["loss"] for a in (fresh, out)]
    assert loss[1] < 0.9 * loss[0], loss
    merged = tmp_path / "merged.tflite"
    run_json("merge", path, "--adapter", out, "--out", merged)
    deployed = run_json("eval", merged, *data)["loss"]
    print(case.name, precision, loss, deployed)
    assert deployed < loss[0] and abs(deployed - loss[1]) < 0.2 * loss[0]
