"""Exchange with Hugging Face PEFT: its own loader and writer are the oracle."""

import json

import numpy as np
import pytest
import torch
from fieldtune_cli import MODELS, module_names, run, run_json
from peft import LoraConfig, PeftModel, get_peft_model
from peft_nets import PeftNet

NETS = {"mlp": "ad01_fp32.tflite", "conv": "pretrainedResnet.tflite"}
RANGES = {"mlp": (-40, 10), "conv": (0, 255)}


@pytest.fixture(params=NETS)
def case(request, shared, tmp_path):
    """(name, model file, torch net, inputs)"""
    path = MODELS / NETS[request.param]
    net = PeftNet(path)
    rng = np.random.default_rng(3)
    shape = [8, *net.net.input_shape[1:]]
    x = rng.uniform(*RANGES[request.param], shape).astype(np.float32)
    return request.param, path, net, x


def difference(got, want):
    return np.abs(got - want).max() / np.abs(want).max()


def outputs(path, adapter, x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    run_json("run", path, "--adapter", adapter, "--input", tmp_path / "x.npy",
             "--output", tmp_path / "y.npy")  # fmt: skip
    return np.load(tmp_path / "y.npy")


def torch_outputs(net, x):
    with torch.no_grad():
        return net(torch.tensor(x)).numpy()


def random_lora(net, **settings):
    """A PEFT model whose every LoRA value is random."""
    torch.manual_seed(11)
    config = LoraConfig(r=4, lora_alpha=8, **settings)
    model = get_peft_model(net, config)
    for name, p in model.named_parameters():
        if "lora_" in name:
            p.data = 0.05 * torch.randn_like(p)
    return model.eval()


def some_modules(path):
    """Two of the middle, whose names are not each other's ends."""
    return module_names(path)[2:4]


@pytest.mark.parametrize(
    "settings",
    [{}, {"rank": True}, {"lora_dropout": 0.1}],
    ids=["plain", "patterns", "dropout"],
)
def test_reads_what_peft_wrote(case, settings, tmp_path):
    name, path, net, x = case
    targets = some_modules(path)
    if settings.pop("rank", False):
        settings = {
            "rank_pattern": {targets[0]: 2},
            "alpha_pattern": {targets[1]: 32},
        }
    model = random_lora(net, target_modules=targets, **settings)
    base = torch_outputs(PeftNet(path), x)
    want = torch_outputs(model, x)
    assert difference(base, want) > 1e-3  # the adapter does something
    model.save_pretrained(tmp_path / "adapter")
    got = outputs(path, tmp_path / "adapter", x, tmp_path)
    assert difference(got, want) <= 1e-5


def test_peft_reads_what_was_trained_here(case, tmp_path):
    name, path, net, x = case
    np.save(tmp_path / "x.npy", x)
    extra = []
    if name == "conv":
        np.save(tmp_path / "labels.npy", np.arange(8, dtype=np.int32) % 2)
        extra = ["--labels", tmp_path / "labels.npy", "--new-head"]
    targets = some_modules(path)
    run_json("train", path, "--data", tmp_path / "x.npy", *extra,
             "--target-modules", ",".join(targets), "--rank-pattern",
             targets[0] + "=2", "--alpha-pattern", targets[1] + "=3",
             "--epochs", 3, "--lr", 0.01, "--out",
             tmp_path / "a.safetensors")  # fmt: skip
    run_json("export", tmp_path / "a.safetensors", "--to", "peft", "--out",
             tmp_path / "adapter")  # fmt: skip
    if name == "conv":  # PEFT does not resize what modules_to_save names
        head = list(net.net.layers)[-1]
        setattr(net, head, torch.nn.Linear(64, 2))
        net.net.layers = net._modules
    model = PeftModel.from_pretrained(net, tmp_path / "adapter").eval()
    want = torch_outputs(model, x)
    for adapter in ("a.safetensors", "adapter"):
        got = outputs(path, tmp_path / adapter, x, tmp_path)
        assert difference(got, want) <= 1e-5, adapter


@pytest.mark.parametrize("case", ["mlp"], indirect=True)
def test_what_cannot_be_honoured_is_refused_by_name(case, tmp_path):
    name, path, net, x = case
    model = random_lora(net, target_modules=some_modules(path), lora_bias=True)
    model.save_pretrained(tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    settings = json.loads(config.read_text())
    np.save(tmp_path / "x.npy", x)
    for change, word in [
        ({}, "lora_bias"),
        ({"peft_type": "POLY"}, "POLY"),
        # Its bias tensors then are no tensors of LoRA.
        ({"lora_bias": False}, "lora_B.bias"),
    ]:
        config.write_text(json.dumps({**settings, **change}))
        done = run("run", path, "--adapter", tmp_path / "adapter", "--input",
                   tmp_path / "x.npy", "--output",
                   tmp_path / "y.npy")  # fmt: skip
        assert done.returncode == 3, done.stderr
        assert word in done.stderr
        assert not (tmp_path / "y.npy").exists()
