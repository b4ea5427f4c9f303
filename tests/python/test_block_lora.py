"""Block-sparse LoRA is HF PEFT's LoRA with the rest of A masked: the same
answers, gradients where blocks are kept, and merge; but smaller in every figure.
"""

import hashlib
import json

import numpy as np
import peft
import pytest
import test_transformer_methods as transformers
import torch
from fieldtune_cli import MODELS, run, run_json
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_nets import make_net, to_tflite

RANK, ALPHA, BLOCK, DENSITY, LR = 3, 6.0, 2, 0.5, 100.0
OWN = ["--block-size", BLOCK, "--block-density", DENSITY]
torch.set_num_threads(1)


def kept_blocks(weight):
    """Of [out, in, ...]: the larger half of the blocks."""
    blocks = weight.shape[1] // BLOCK
    squares = (weight.double() ** 2).transpose(0, 1).flatten(1).sum(1)
    order = torch.argsort(-squares.view(blocks, BLOCK).sum(1), stable=True)
    return order[: max(1, int(DENSITY * blocks + 0.5))].sort().values


class Case:
    def __init__(self, kind, folder):
        net = make_net(kind)
        self.path, self.folder = folder / "net.tflite", folder
        self.path.write_bytes(to_tflite(net))
        self.targets = [n for n in net.names if n != "dw"]
        self.blocks = {
            n: kept_blocks(getattr(net, n).weight.detach()) for n in self.targets
        }
        config = peft.LoraConfig(
            r=RANK, lora_alpha=ALPHA, target_modules=self.targets
        )
        self.model = peft.get_peft_model(net, config).double()
        self.params = {
            k.replace(".default", ""): p
            for k, p in self.model.named_parameters()
            if "lora_" in k
        }
        gen = torch.Generator().manual_seed(5)
        for key, p in self.params.items():
            p.data = (0.4 * torch.randn(p.shape, generator=gen)).double()
            if "lora_A" in key:  # 0 outside of the blocks
                kept = p.data[:, self.channels(key)].clone()
                p.data.zero_()
                p.data[:, self.channels(key)] = kept
        x = np.random.default_rng(3).normal(size=[4, *net.shape])
        self.x = torch.tensor(x.astype(np.float32)).double()
        nhwc = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
        np.save(folder / "x.npy", np.ascontiguousarray(nhwc.astype(np.float32)))
        np.save(folder / "y.npy", np.int32([0, 1, 1, 0]))

    def channels(self, key):
        blocks = self.blocks[key.split(".")[2]]
        return (blocks[:, None] * BLOCK + torch.arange(BLOCK)).flatten()

    def packed(self, tensors):
        return {
            k: (v[:, self.channels(k)] if "lora_A" in k else v).contiguous()
            for k, v in tensors.items()
        }

    def write(self, **changes):
        values = self.packed({k: p.detach().float() for k, p in self.params.items()})
        for name, blocks in self.blocks.items():
            values[f"base_model.model.{name}.sparse_index"] = blocks.float()
        values |= changes
        metadata = {
            "format_version": "1", "precision": "f32", "r": str(RANK),
            "base_sha256": hashlib.sha256(self.path.read_bytes()).hexdigest(),
            "lora_alpha": str(ALPHA), "num_classes": "0", "seed": "0",
            "target_modules": json.dumps(self.targets), "method": "block-lora",
            "block_size": str(BLOCK), "block_density": str(DENSITY),
        }  # fmt: skip
        path = self.folder / "a.safetensors"
        save_file(values, str(path), metadata)
        return path

    def answers(self, *options, model=None):
        run_json("run", model or self.path, "--input", self.folder / "x.npy",
                 "--output", self.folder / "out.npy", *options)  # fmt: skip
        return np.load(self.folder / "out.npy").reshape(4, -1)

    def train(self, out, *options, precision="f32"):
        return ["train", self.path, "--data", self.folder / "x.npy", "--labels",
                self.folder / "y.npy", "--loss", "cross-entropy", "--method",
                "block-lora", "--precision", precision, "--batch", 4, "--rank",
                RANK, "--alpha", ALPHA, "--target-modules", ",".join(self.targets),
                "--schedule", "constant", *OWN, *options, "--out",
                self.folder / out]  # fmt: skip


def relative(got, want):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    return np.abs(got - want).max() / np.abs(want).max()


@pytest.fixture(params=["conv", "mlp"])
def case(request, tmp_path):
    return Case(request.param, tmp_path)


@pytest.mark.parametrize("kernels", [[], ["--exact"]])
def test_answers_and_merge_are_those_of_masked_lora(case, kernels):
    want = case.model(case.x).detach().numpy()
    assert relative(case.answers(), want) > 1e-2
    adapter = case.write()
    assert relative(case.answers("--adapter", adapter, *kernels), want) <= 1e-5
    merged = case.folder / "m.tflite"
    run_json("merge", case.path, "--adapter", adapter, "--out", merged)
    assert relative(case.answers(model=merged), want) <= 1e-5
    half = case.answers("--adapter", adapter, "--adapter-weight", 0.5)
    for key, p in case.params.items():
        p.data *= 0.5 if "lora_B" in key else 1
    assert relative(half, case.model(case.x).detach().numpy()) <= 1e-5


@pytest.mark.parametrize("kernels", [[], ["--exact"]])
def test_gradients_are_autograds_where_blocks_are_kept(case, kernels):
    start = case.write()
    fields = run_json(*case.train("b.safetensors", "--init-adapter", start,
                                  "--epochs", 1, "--optimizer", "sgd",
                                  "--momentum", 0, "--lr", LR, *kernels))  # fmt: skip
    before, after = load_file(start), load_file(case.folder / "b.safetensors")
    loss = torch.nn.functional.cross_entropy(
        case.model(case.x), torch.tensor([0, 1, 1, 0])
    )
    grads = torch.autograd.grad(loss, list(case.params.values()))
    want = case.packed(dict(zip(case.params, grads)))
    for key, grad in want.items():
        got = (before[key].double() - after[key].double()) / LR
        assert relative(got, grad) <= 1e-4, key
    assert fields["trainable"] == sum(g.numel() for g in want.values())
    for key in before.keys() - want.keys():
        assert torch.equal(before[key], after[key])


def test_it_keeps_the_blocks_of_the_largest_weights(case):
    run_json(*case.train("b.safetensors", "--epochs", 1))
    made = load_file(case.folder / "b.safetensors")
    for name, blocks in case.blocks.items():
        key = f"base_model.model.{name}."
        assert torch.equal(made[key + "sparse_index"], blocks.float())
        assert made[key + "lora_A.weight"].shape[1] == len(blocks) * BLOCK


@pytest.mark.parametrize("precision", ["f32", "mixed"])
def test_resumed_training_has_equal_bits(case, precision):
    more = ["--epochs", 6, "--lr", 0.05, "--block-mask", "random", "--seed", 3]
    whole = run_json(*case.train("whole.safetensors", *more, precision=precision))
    train = case.train("b.safetensors", *more, precision=precision)
    stopped = run(*train, "--stop-after", 3)
    assert stopped.returncode == 5, stopped.stderr
    resumed = run_json(*train, "--resume")
    assert resumed["adapter_sha256"] == whole["adapter_sha256"]


@pytest.mark.parametrize(
    "key, value, said",
    [
        ("sparse_index", [0.0, 9.0], "sparse_index"),
        ("sparse_index", [1.0, 0.0, 2.0], "sparse_index"),
        ("sparse_index", [0.5], "sparse_index"),
        ("sparse_index", [0.0, 1.0], "lora_A"),
        ("lora_A.weight", [0.0], "lora_A"),
    ],
)
def test_adapters_that_contradict_themselves_are_refused(tmp_path, key, value, said):
    case = Case("mlp", tmp_path)
    adapter = case.write(**{f"base_model.model.fc1.{key}": torch.tensor(value)})
    for command in (
        ["run", case.path, "--input", tmp_path / "x.npy", "--output"],
        ["merge", case.path, "--out"],
    ):
        out = tmp_path / "made"
        done = run(*command, out, "--adapter", adapter)
        assert done.returncode == 3, done.stderr
        assert said in done.stderr and done.stderr.count("\n") == 1
        assert not out.exists()


KWS = ["--precision", "mixed", "--rank", 4, "--target-modules", "conv2d_[1-4]"]


def kws(density):
    if density == 1:
        return [*KWS, "--method", "lora"]
    return [*KWS, "--method", "block-lora", "--block-size", 16,
            "--block-density", density]  # fmt: skip


def test_figures_fall_with_density_and_a_fresh_adapter_is_the_model(shared, tmp_path):
    path = MODELS / "kws_ref_model.tflite"
    plans = [run_json("plan", path, "--batch", 4, *kws(d)) for d in (1, 0.5, 0.25)]
    for key in ("persistent_bytes", "arena_bytes", "ram_bytes", "macs"):
        figures = [p[key] for p in plans]
        print(key, figures)
        if key == "arena_bytes":  # its peak may lie where no update is
            assert figures[0] >= figures[1] >= figures[2], key
        else:
            assert figures[0] > figures[1] >= figures[2], key
    rng = np.random.default_rng(4)
    np.save(tmp_path / "x.npy", rng.integers(-128, 128, [24, 49, 10, 1]).astype(np.int8))
    np.save(tmp_path / "y.npy", np.arange(24, dtype=np.int32) % 12)

    def answers(*options):
        run_json("run", path, "--input", tmp_path / "x.npy", "--output",
                 tmp_path / "o.npy", *options)  # fmt: skip
        return np.load(tmp_path / "o.npy")

    out = tmp_path / "fresh.safetensors"
    made = []
    for density in (1, 0.25):
        made.append(run_json(
            "train", path, "--data", tmp_path / "x.npy", "--labels",
            tmp_path / "y.npy", "--batch", 4, *kws(density), "--epochs", 1,
            "--lr", 1e-30, "--out", out,
        ))  # fmt: skip
        assert (answers("--adapter", out) == answers()).all()
    assert made[1]["trainable"] < made[0]["trainable"]
    assert made[1]["adapter_bytes"] < made[0]["adapter_bytes"]


@pytest.mark.parametrize("kind", ["llama", "bert"])
def test_transformers_answer_as_with_masked_lora(kind, tmp_path):
    """Every second block of four inputs of each projection."""
    case = transformers.Case(tmp_path, kind, transformers.METHODS["lora"])
    with safe_open(case.write(), "pt") as file:
        metadata = file.metadata()
    metadata |= {"method": "block-lora", "block_size": "4"}
    tensors = {}
    for key, p in case.params.items():
        tensors[key] = p.detach().float().contiguous()
        if "lora_A" not in key:
            continue
        blocks = torch.arange(0, p.shape[1] // 4, 2)
        kept = (blocks[:, None] * 4 + torch.arange(4)).flatten()
        tensors[key] = tensors[key][:, kept].contiguous()
        tensors[key.replace("lora_A.weight", "sparse_index")] = blocks.float()
        masked = torch.zeros_like(p)
        masked[:, kept] = p.detach()[:, kept]
        p.data = masked
    save_file(tensors, str(tmp_path / "blocks.safetensors"), metadata)
    with torch.no_grad():
        want = case.answers().numpy()
    got = case.run("--adapter", tmp_path / "blocks.safetensors")
    assert relative(case.run(), want) > 1e-2
    assert relative(got, want) <= 1e-5
