"""PEFT's `bias` beside a low-rank update: the biases of all layers, or of those
with an update, trained, merged, exported and read, against HF PEFT.
"""

import copy

import numpy as np
import peft
import pytest
import torch
from fieldtune_cli import run, run_json
from small_nets import make_net
from safetensors.torch import load_file
from test_methods_peft import (
    ALPHA,
    ANSWER_BAR,
    GRADIENT_BAR,
    LR,
    MERGED_BAR,
    RANK,
    Case,
    Method,
    lora,
    relative,
)

PATTERNS = {"rank_pattern": {"fc": 2, "fc2": 2}, "alpha_pattern": {"pw": 32, "fc1": 3}}


def adalora(bias):
    return lambda targets: peft.AdaLoraConfig(
        init_r=RANK, target_r=RANK, lora_alpha=ALPHA, total_step=1, bias=bias,
        target_modules=targets,
    )  # fmt: skip


METHODS = {
    "lora all": Method("lora", lora(bias="all"), True, {"bias": "all"}),
    "lora_only": Method("lora", lora(bias="lora_only"), True, {"bias": "lora_only"}),
    "rslora all": Method(
        "lora",
        lora(bias="all", use_rslora=True),
        True,
        {"bias": "all", "use_rslora": "true"},
    ),
    "dora all": Method(
        "lora",
        lora(bias="all", use_dora=True),
        True,
        {"bias": "all", "use_dora": "true"},
    ),
    "lora-fa lora_only": Method(
        "lora-fa",
        lora(bias="lora_only"),
        True,
        {"bias": "lora_only"},
        frozen=("lora_A",),
    ),
    "adalora all": Method(
        "adalora",
        adalora("all"),
        True,
        {
            "target_r": str(RANK),
            "orth_reg_weight": "0",
            "total_step": "1",
            "bias": "all",
        },
    ),
    "patterns lora_only": Method(
        "lora", lora(bias="lora_only", **PATTERNS), True, {"bias": "lora_only"}
    ),
}


class BiasCase(Case):
    """Adapts all layers but the first and the depthwise one, so that "all" and
    "lora_only" are not the same."""

    def __init__(self, folder, kind, method):
        wrap = method.config
        few = lambda targets: wrap(targets[1:])
        super().__init__(folder, kind, Method(**{**vars(method), "config": few}))
        self.targets = self.targets[1:]

    def adapter(self):
        return {
            k.replace(".base_layer.bias", ".bias"): p
            for k, p in super().adapter().items()
        }

    def write_adapter(self):
        """With patterns, which Case does not know, as PEFT's own folder says."""
        folder = self.folder / "before"
        copy.deepcopy(self.model).float().save_pretrained(folder)
        return folder


@pytest.fixture(params=["conv", "mlp"])
def kind(request):
    return request.param


@pytest.fixture(params=METHODS)
def case(request, kind, tmp_path):
    return BiasCase(tmp_path, kind, METHODS[request.param])


def pattern_options(case):
    config = case.model.peft_config["default"]
    pick = lambda p: ",".join(f"{k}={v}" for k, v in p.items() if k in case.targets)
    options = []
    for name in ("rank", "alpha"):
        if pairs := pick(getattr(config, name + "_pattern") or {}):
            options += [f"--{name}-pattern", pairs]
    return options


def test_answers_and_merged_answers_equal_peft(case):
    """Read from the folder that PEFT wrote, run beside the base and merged."""
    folder = case.write_adapter()
    want = case.answers().detach().numpy()
    got = case.run(case.model_path, "--adapter", folder)
    assert relative(case.run(case.model_path), want) > 1e-2
    assert relative(got, want) <= ANSWER_BAR
    merged = case.folder / "merged.tflite"
    run_json("merge", case.model_path, "--adapter", folder, "--out", merged)
    assert relative(case.run(merged), want) <= MERGED_BAR


def test_gradients_equal_autograd(case):
    after = case.train("--optimizer", "sgd", "--momentum", 0, "--lr", LR,
                       *pattern_options(case))  # fmt: skip
    before = {k: p.detach().double() for k, p in case.adapter().items()}
    biases = {k for k in before if k.endswith(".bias")}
    every = case.method.settings["bias"] == "all"
    layers = make_net("conv" if case.x.ndim == 4 else "mlp").names
    assert len(biases) == len(layers if every else case.targets)
    assert after.keys() == before.keys()
    for key, want in case.gradients().items():
        got = (before[key] - after[key].double()) / LR
        assert relative(got, want) <= GRADIENT_BAR, key
    for key in before.keys() - case.trained().keys():
        assert torch.equal(before[key].float(), after[key]), key


def test_peft_loads_what_was_trained_here(case):
    case.train("--lr", 0.05, *pattern_options(case))
    after, folder = case.folder / "after.safetensors", case.folder / "folder"
    run_json("export", after, "--to", "peft", "--out", folder)
    kind = "conv" if case.x.ndim == 4 else "mlp"
    model = peft.PeftModel.from_pretrained(make_net(kind), folder).double()
    want = model(torch.tensor(case.x).double()).detach().numpy()
    again = peft.get_peft_model_state_dict(model)
    theirs = load_file(folder / "adapter_model.safetensors")
    assert again.keys() == theirs.keys()
    for key, value in theirs.items():  # PEFT took every tensor
        assert torch.equal(again[key].float(), value), key
    for adapter in (after, folder):
        got = case.run(case.model_path, "--adapter", adapter)
        assert relative(got, want) <= ANSWER_BAR


def test_a_new_head_stands_beside_all_biases(tmp_path):
    """PEFT then writes the head's bias three times; it is the head's."""
    case = BiasCase(tmp_path, "mlp", METHODS["lora all"])
    config = peft.LoraConfig(r=2, bias="all", target_modules=["fc1"],
                             modules_to_save=["fc3"])  # fmt: skip
    model = peft.get_peft_model(make_net("mlp"), config)
    torch.manual_seed(2)
    for p in model.parameters():
        if p.requires_grad:
            p.data += 0.3 * torch.randn(p.shape)
    model.save_pretrained(tmp_path / "peft")
    want = model(torch.tensor(case.x)).detach().numpy()
    got = case.run(case.model_path, "--adapter", tmp_path / "peft")
    assert relative(got, want) <= ANSWER_BAR
    run_json("export", tmp_path / "peft", "--to", "peft", "--out", tmp_path / "again")
    theirs = peft.PeftModel.from_pretrained(make_net("mlp"), tmp_path / "again")
    got = theirs(torch.tensor(case.x)).detach().numpy()
    assert relative(got, want) <= ANSWER_BAR


def test_refuses_what_a_bias_cannot_be(tmp_path):
    case = BiasCase(tmp_path, "mlp", METHODS["lora all"])
    for options, word in [
        (["--bias", "some"], "none, all, lora_only"),
        (["--method", "vera", "--bias", "all"], "bias"),
    ]:
        done = run("plan", case.model_path, *options)
        assert done.returncode == 2 and word in done.stderr, done.stderr
    done = run("run", case.model_path, "--adapter", case.write_adapter(),
               "--adapter-weight", "0.5", "--input", case.inputs(),
               "--output", tmp_path / "y.npy")  # fmt: skip
    assert done.returncode == 2 and "bias takes no weight" in done.stderr, done.stderr
