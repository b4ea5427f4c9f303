"""Gains of int8 layers: (IA)3 and DoRA on the deployed arithmetic.

A fresh adapter is the deployed model bit for bit, and training lowers the loss.
"""

import numpy as np
import pytest
from fieldtune_cli import MODELS, run_json

FILES = {
    "kws": ("kws_ref_model.tflite", 12),
    "ad01": ("ad01_int8.tflite", None),
    "resnet": ("pretrainedResnet_quant.tflite", 10),
}
SETTINGS = {
    "ia3": ["--method", "ia3"],
    "ia3-inputs": ["--method", "ia3", "--feedforward-modules", "*"],
    "dora": ["--method", "lora", "--rank", 1, "--use-dora"],
}


def answers(path, x, folder, *options):
    np.save(folder / "x.npy", x)
    run_json("run", path, "--input", folder / "x.npy", "--output",
             folder / "y.npy", *options)  # fmt: skip
    return np.load(folder / "y.npy").astype(np.int32)


@pytest.fixture(params=FILES)
def base(request, shared, tmp_path):
    """(model file, inputs, options of data)"""
    name, classes = FILES[request.param]
    path = MODELS / name
    shape = run_json("inspect", path)["inputs"][0]["shape"]
    rng = np.random.default_rng(4)
    count = 2 * (classes or 4)
    x = rng.integers(-128, 128, [count, *shape[1:]]).astype(np.int8)
    options = []
    if classes:
        labels = np.arange(count, dtype=np.int32) % classes
        np.save(tmp_path / "labels.npy", labels)
        options = ["--labels", tmp_path / "labels.npy"]
    return path, x, options


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_starts_as_the_deployed_model_and_learns(base, settings, tmp_path):
    path, x, data = base
    want = answers(path, x, tmp_path)
    fresh, out = tmp_path / "fresh.safetensors", tmp_path / "out.safetensors"
    train = ["train", path, "--data", tmp_path / "x.npy", *data,
             "--precision", "mixed", "--batch", 4, *SETTINGS[settings],
             "--schedule", "constant"]  # fmt: skip
    run_json(*train, "--epochs", 1, "--lr", 1e-30, "--out", fresh)
    assert (answers(path, x, tmp_path, "--adapter", fresh) == want).all()
    before = run_json("eval", path, "--adapter", fresh, "--data",
                      tmp_path / "x.npy", *data)  # fmt: skip
    run_json(*train, "--epochs", 12, "--lr", 0.01, "--out", out)
    after = run_json("eval", path, "--adapter", out, "--data",
                     tmp_path / "x.npy", *data)  # fmt: skip
    assert after["loss"] < before["loss"]
