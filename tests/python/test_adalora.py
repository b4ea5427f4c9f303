"""AdaLoRA: the training of HF PEFT's model, with its rank allocator.

PEFT's loop multiplies gradients with the values that they have just changed;
here, as in the paper, with those that they belong to, so the allocator looks at
them before the optimizer's step. All else is PEFT's own code.
"""

import hashlib
import json

import numpy as np
import peft
import pytest
import torch
from fieldtune_cli import MODELS, run, run_json
from safetensors.torch import load_file, save_file
from small_nets import make_net, to_tflite

RANK, ALPHA, STEPS = 3, 6.0, 14
SCHEDULE = {"tinit": 2, "tfinal": 3, "deltaT": 2, "total_step": STEPS}
OWN = {"target_r": 2, "beta1": 0.85, "beta2": 0.8, "orth_reg_weight": 0.1, **SCHEDULE}
LABELS = [0, 1, 1, 0]
torch.set_num_threads(1)


def wrapped(kind, **changes):
    net = make_net(kind)
    targets = [n for n in net.names if n != "dw"]
    config = peft.AdaLoraConfig(
        init_r=RANK, lora_alpha=ALPHA, target_modules=targets, **{**OWN, **changes}
    )
    model = peft.get_peft_model(net, config).double()
    gen = torch.Generator().manual_seed(5)
    for name, p in model.named_parameters():
        if "lora_" in name:
            p.data = (0.4 * torch.randn(p.shape, generator=gen)).double()
    return net, model, targets


def adapter(model):
    """All triplets, by the names of PEFT's files."""
    return {
        name.replace(".default", ""): p.detach().float().contiguous()
        for name, p in model.named_parameters()
        if "lora_" in name
    }


def penalty(model):
    distances = []
    for name, p in model.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            cov = p @ p.T if "lora_A" in name else p.T @ p
            distances.append(torch.norm(cov - torch.eye(RANK).double()))
    return sum(distances) / len(distances)


def loss_of(model, x):
    loss = torch.nn.functional.cross_entropy(model(x), torch.tensor(LABELS))
    return loss + OWN["orth_reg_weight"] * penalty(model)


def train_in_torch(model, x, lr):
    tuner = model.base_model
    allocator = tuner.rankallocator
    look = allocator.update_ipt
    allocator.update_ipt = lambda model: None
    params = [p for n, p in model.named_parameters() if "lora_" in n]
    optimizer = torch.optim.SGD(params, lr)
    for step in range(1, STEPS + 1):
        optimizer.zero_grad()
        loss_of(model, x).backward()
        if step < STEPS - SCHEDULE["tfinal"]:  # as update_and_allocate()
            look(tuner.model)
        optimizer.step()
        tuner.update_and_allocate(step)


@pytest.fixture(params=["conv", "mlp"])
def case(request, tmp_path):
    net, model, targets = wrapped(request.param)
    path = tmp_path / "net.tflite"
    path.write_bytes(to_tflite(make_net(request.param)))
    x = np.random.default_rng(3).normal(size=[4, *net.shape])
    x = x.astype(np.float32)
    nhwc = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
    np.save(tmp_path / "x.npy", np.ascontiguousarray(nhwc))
    np.save(tmp_path / "y.npy", np.int32(LABELS))
    metadata = {
        "format_version": "1", "method": "adalora", "precision": "f32",
        "base_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "r": str(RANK), "lora_alpha": str(ALPHA), "num_classes": "0",
        "seed": "0", "target_modules": str(targets).replace("'", '"'),
        **{k: str(v) for k, v in OWN.items()},
    }  # fmt: skip
    save_file(adapter(model), str(tmp_path / "a.safetensors"), metadata)
    return request.param, path, model, targets, torch.tensor(x).double()


def options(path, targets, folder, **changes):
    names = {k: "importance-" + k if "beta" in k else k for k in OWN}
    own = [w for k, v in {**OWN, **changes}.items()
           for w in ("--" + names[k].replace("_", "-"), v)]  # fmt: skip
    return ["train", path, "--data", folder / "x.npy", "--labels",
            folder / "y.npy", "--loss", "cross-entropy", "--method", "adalora",
            "--precision", "f32", "--target-modules", ",".join(targets),
            "--rank", RANK, "--alpha", ALPHA, "--batch", 4, "--schedule",
            "constant", *own]  # fmt: skip


def plain(lr, folder):
    return ["--init-adapter", folder / "a.safetensors", "--optimizer", "sgd",
            "--momentum", 0, "--lr", lr]  # fmt: skip


def answers(path, folder, *adapter_options):
    run_json("run", path, "--input", folder / "x.npy", "--output",
             folder / "out.npy", *adapter_options)  # fmt: skip
    return np.load(folder / "out.npy").reshape(4, -1)


def relative(got, want):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    return np.abs(got - want).max() / np.abs(want).max()


def test_gradients_of_loss_and_penalty_are_pytorchs(case, tmp_path):
    kind, path, model, targets, x = case
    lr, out = 10.0, tmp_path / "b.safetensors"
    run_json(*options(path, targets, tmp_path, target_r=RANK, tinit=0, tfinal=0,
                      total_step=1),
             *plain(lr, tmp_path), "--epochs", 1, "--out", out)  # fmt: skip
    before, after = adapter(model), load_file(out)
    loss_of(model, x).backward()
    for name, p in model.named_parameters():
        if "lora_" not in name:
            continue
        key = name.replace(".default", "")
        got = (before[key].double() - after[key].double()) / lr
        assert relative(got, p.grad) <= 1e-4, key


@pytest.mark.parametrize("lr", [0.02, 0.1, 0.3])
def test_it_trains_and_prunes_as_pefts_allocator(case, tmp_path, lr):
    kind, path, model, targets, x = case
    out = tmp_path / "b.safetensors"
    run_json(*options(path, targets, tmp_path), *plain(lr, tmp_path),
             "--epochs", STEPS, "--out", out)  # fmt: skip
    train_in_torch(model, x, lr)
    got, want = load_file(out), adapter(model)
    assert got.keys() == want.keys()
    for key, value in want.items():
        if key.endswith("lora_E"):
            assert ((got[key] == 0) == (value == 0)).all(), key
        if (value != 0).any():
            assert relative(got[key], value) <= 1e-3, key
    left = sum(int((v != 0).sum()) for k, v in got.items() if "lora_E" in k)
    assert left == OWN["target_r"] * len(targets)
    # Both folders hold the ranks that are left, and the loader takes either.
    run_json("export", out, "--to", "peft", "--out", tmp_path / "ours")
    model.save_pretrained(tmp_path / "theirs")
    ours, theirs = (
        json.loads((tmp_path / f / "adapter_config.json").read_text())
        for f in ("ours", "theirs")
    )
    for key in ("rank_pattern", "init_r", "lora_alpha", *OWN):
        assert ours[key] == theirs[key], key
    shapes = [
        {k: v.shape for k, v in load_file(f / "adapter_model.safetensors").items()}
        for f in (tmp_path / "ours", tmp_path / "theirs")
    ]
    assert shapes[0] == shapes[1]
    back = peft.PeftModel.from_pretrained(make_net(kind), tmp_path / "ours")
    want = back.double()(x).detach().numpy()
    for where in (out, tmp_path / "ours"):
        assert relative(answers(path, tmp_path, "--adapter", where), want) <= 1e-5
    again = run_json("export", tmp_path / "ours", "--to", "peft", "--out",
                     tmp_path / "again")  # fmt: skip
    assert again


def edit_config(folder, **changes):
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    for key, value in changes.items():
        if isinstance(value, dict):
            config[key] = {**(config[key] or {}), **value}
        else:
            config[key] = value
    path.write_text(json.dumps(config))


def save_pruned(model, targets, folder):
    """The first layer without any rank, the second with one."""
    pattern = {f"{t}.lora_E": [True] * RANK for t in targets}
    pattern[f"{targets[0]}.lora_E"] = [False] * RANK
    pattern[f"{targets[1]}.lora_E"] = [False, True, False]
    for name, p in model.named_parameters():
        if "lora_E" in name:
            kept = pattern[name.removeprefix("base_model.model.")
                           .replace(".default", "")]  # fmt: skip
            p.data *= torch.tensor(kept).view(-1, 1)
    model.peft_config["default"].rank_pattern = pattern
    model.save_pretrained(folder)


def test_reads_folders_with_layers_that_have_lost_all_ranks(case, tmp_path):
    kind, path, model, targets, x = case
    save_pruned(model.float(), targets, tmp_path / "peft")
    shapes = load_file(tmp_path / "peft" / "adapter_model.safetensors")
    assert shapes[f"base_model.model.{targets[0]}.lora_A"].shape[0] == 0
    want = model.double()(x).detach().numpy()
    got = answers(path, tmp_path, "--adapter", tmp_path / "peft")
    assert relative(got, want) <= 1e-5
    run_json("export", tmp_path / "peft", "--to", "peft", "--out",
             tmp_path / "back")  # fmt: skip
    back = peft.PeftModel.from_pretrained(make_net(kind), tmp_path / "back")
    assert relative(back.double()(x).detach().numpy(), want) <= 1e-5


@pytest.mark.parametrize(
    "change, said",
    [
        ({"rank_pattern": {"fc2.lora_E": [True] * RANK}}, "fc2.lora_E"),
        ({"rank_pattern": {"fc2.lora_E": [True]}}, "rank_pattern"),
        ({"rank_pattern": {"fc2.lora_E": 2}}, "rank_pattern"),
        ({"rank_pattern": {"fc9.lora_E": [True] * RANK}}, "fc9"),
        ({"rank_pattern": [1]}, "rank_pattern"),
        ({"rank_pattern": None}, "rank_pattern"),
        ({"init_r": 5}, "init_r"),
        ({"init_r": "x"}, "init_r"),
        ({"alpha_pattern": {"fc2": 3}}, "alpha"),
        ({"use_dora": True}, "use_dora"),
        ({"use_rslora": True}, "use_rslora"),
        ({"target_r": 9}, "target_r"),
        ({"tinit": 12}, "tinit"),
        ({"beta1": 2}, "beta1"),
        ({"bias": "all"}, "bias"),
    ],
)
def test_folders_that_cannot_be_honoured_are_refused(tmp_path, change, said):
    _, model, targets = wrapped("mlp")
    path, x = tmp_path / "net.tflite", tmp_path / "x.npy"
    path.write_bytes(to_tflite(make_net("mlp")))
    np.save(x, np.zeros([1, 12], np.float32))
    save_pruned(model.float(), targets, tmp_path / "peft")
    edit_config(tmp_path / "peft", **change)
    out = tmp_path / "out.npy"
    done = run("run", path, "--input", x, "--adapter", tmp_path / "peft",
               "--output", out)  # fmt: skip
    assert done.returncode in (2, 3), done.stderr
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    "change, said",
    [
        ({"--tinit": 11}, "leave none"),
        ({"--rank": 99, "--target-r": 9}, "rank 99 is above"),
        ({"--target-r": 4}, "target_r 4"),
        ({"--total-step": 99}, "update 96"),
    ],
)
def test_bad_schedules_are_refused(case, tmp_path, change, said):
    kind, path, model, targets, x = case
    words = [*options(path, targets, tmp_path), "--epochs", STEPS]
    for key, value in change.items():
        words[words.index(key) + 1] = value
    done = run(*words, "--out", tmp_path / "b.safetensors")
    assert done.returncode in (2, 3), done.stderr
    assert said in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "b.safetensors").exists()


def test_total_step_is_that_of_the_training_where_none_is_given(case, tmp_path):
    kind, path, model, targets, x = case
    given, own = tmp_path / "given.safetensors", tmp_path / "own.safetensors"
    command = [*options(path, targets, tmp_path), "--epochs", STEPS]
    run_json(*command, "--out", given)
    command[command.index("--total-step") + 1] = 0
    run_json(*command, "--out", own)
    assert given.read_bytes() == own.read_bytes()


def test_the_last_ranks_are_kept_even_if_an_earlier_epoch_was_better(case, tmp_path):
    kind, path, model, targets, x = case
    out = tmp_path / "b.safetensors"
    got = run_json(*options(path, targets, tmp_path), "--epochs", STEPS, "--lr",
                   0.5, "--validation", 0, "--out", out)  # fmt: skip
    left = sum(int((v != 0).sum()) for k, v in load_file(out).items() if "lora_E" in k)
    assert left == OWN["target_r"] * len(targets)
    assert got["updates"] == STEPS


@pytest.mark.parametrize("precision", ["f32", "mixed"])
def test_resumed_within_the_allocation_has_equal_bits(case, tmp_path, precision):
    kind, path, model, targets, x = case
    command = [*options(path, targets, tmp_path), "--epochs", STEPS, "--lr",
               0.05, "--out"]  # fmt: skip
    command[command.index("--precision") + 1] = precision
    whole = run_json(*command, tmp_path / "whole.safetensors")
    out = tmp_path / "resumed.safetensors"
    for after in (5, 4):  # within and at the end of the allocation
        extra = ["--resume"] if after == 4 else []
        stopped = run(*command, out, *extra, "--stop-after", after)
        assert stopped.returncode == 5, stopped.stderr
    resumed = run_json(*command, out, "--resume")
    assert resumed["adapter_sha256"] == whole["adapter_sha256"]


def test_int8_layers_start_as_deployed_and_lose_ranks(shared, tmp_path):
    path = MODELS / "kws_ref_model.tflite"
    rng = np.random.default_rng(4)
    np.save(tmp_path / "x.npy", rng.integers(-128, 128, [24, 49, 10, 1]).astype(np.int8))
    np.save(tmp_path / "y.npy", np.arange(24, dtype=np.int32) % 12)

    def bits(*adapter_options):
        run_json("run", path, "--input", tmp_path / "x.npy", "--output",
                 tmp_path / "o.npy", *adapter_options)  # fmt: skip
        return np.load(tmp_path / "o.npy")

    def train(out, lr, *more):
        return ["train", path, "--data", tmp_path / "x.npy", "--labels",
                tmp_path / "y.npy", "--method", "adalora", "--rank", 4,
                "--target-r", 2, "--tfinal", 2, "--precision", "mixed",
                "--batch", 4, "--target-modules", "conv2d_[1-4]", "--accumulate",
                2, "--max-grad-norm", 1, "--lr", lr, "--out", tmp_path / out,
                *more]  # fmt: skip

    run_json(*train("fresh.safetensors", 1e-30, "--epochs", 2))
    assert (bits("--adapter", tmp_path / "fresh.safetensors") == bits()).all()
    whole = run_json(*train("a.safetensors", 0.02, "--epochs", 4))
    left = [int((v != 0).sum()) for k, v in load_file(tmp_path / "a.safetensors").items()
            if "lora_E" in k]  # fmt: skip
    print(left)
    assert sum(left) == 8 and max(left) > min(left)
    done = run(*train("b.safetensors", 0.02, "--epochs", 4, "--stop-after", 11))
    assert done.returncode == 5, done.stderr
    resumed = run_json(*train("b.safetensors", 0.02, "--epochs", 4, "--resume"))
    assert resumed["adapter_sha256"] == whole["adapter_sha256"]
    run_json("merge", path, "--adapter", tmp_path / "a.safetensors", "--out",
             tmp_path / "m.tflite")  # fmt: skip
    command = train("c.safetensors", 0.02)
    command[command.index("mixed")] = "integer"
    done = run(*command)
    assert done.returncode == 3 and "--precision mixed" in done.stderr, done.stderr
