"""Language models against PyTorch: logits, greedy tokens, the tokenizer, LoRA's
gradients and a short training run on the real stories260k. The run of the whole
text is bench/stories.py.
"""

import hashlib
import json

import numpy as np
import pytest
import torch
from fieldtune_cli import run, run_json
from safetensors.torch import load_file, save_file
from torch_llama import (
    PREFIX,
    Checkpoint,
    Tokenizer,
    random_lora,
    train,
    windows,
)

R, ALPHA = 8, 16
SEVEN = [f"{p}_proj" for p in ("q", "k", "v", "o", "gate", "up", "down")]
LORA = ["--rank", R, "--alpha", ALPHA, "--target-modules", ",".join(SEVEN)]
GRADIENT_LR = 1000.0
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def stories(shared):
    return shared / "models" / "stories260k" / "stories260K.bin"


@pytest.fixture(scope="module")
def text(shared, tmp_path_factory):
    """The path of some Shakespeare, and its tokens by the definition."""
    words = (shared / "data" / "tinyshakespeare" / "input.txt").read_text()
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(words[:2600] + "\n\t“Né” 1€ \u00a0🙂")
    tokenizer = Tokenizer(
        shared / "models" / "stories260k" / "tok512.bin", 512
    )
    return path, tokenizer.encode(path.read_text())


def write_adapter(path, model, lora):
    metadata = {
        "format_version": "1",
        "base_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "method": "lora",
        "precision": "f32",
        "r": str(R),
        "lora_alpha": str(ALPHA),
        "target_modules": json.dumps(SEVEN),
        "rank_pattern": "[]",
        "alpha_pattern": "[]",
        "num_classes": "0",
        "seed": "0",
    }
    tensors = {PREFIX + k: v.detach().float() for k, v in lora.items()}
    save_file(tensors, str(path), metadata=metadata)


def logits_of(path, ids, tmp_path, *options):
    np.save(tmp_path / "ids.npy", np.asarray(ids, np.int32))
    run_json(
        *["run", path, "--input", tmp_path / "ids.npy", *options],
        *["--output", tmp_path / "logits.npy", "--seq-len", len(ids[0])],
    )
    return np.load(tmp_path / "logits.npy").reshape(*np.shape(ids), -1)


def relative(got, want):
    return np.abs(got - want).max() / np.abs(want).max()


@pytest.mark.parametrize("options", [[], ["--exact"], ["--c99"]])
def test_logits_equal_pytorch(stories, text, tmp_path, options):
    model = Checkpoint(stories, torch.float64)
    ids = windows(text[1], 128, 128)[:2, :-1]
    with torch.no_grad():
        want = model.logits(ids).numpy()
    got = logits_of(stories, ids, tmp_path, *options)
    assert relative(got, want) <= 1e-5


def test_greedy_tokens_equal_pytorch(stories, tmp_path):
    """A story continued token by token; every choice is ours as well."""
    model, ids = Checkpoint(stories), [1, 403, 407, 261, 378]
    with torch.no_grad():
        while len(ids) < 200:
            logits = model.logits(torch.tensor([ids]))[0, -1]
            ids.append(int(logits.argmax()))
    choices = logits_of(stories, [ids], tmp_path)[0].argmax(-1)
    assert choices[4:-1].tolist() == ids[5:]


def test_tokens_and_loss_equal_the_definition(stories, text):
    """A single token off would change the loss by far more."""
    path, tokens = text
    model, samples = Checkpoint(stories), windows(tokens, 100, 90)
    with torch.no_grad():
        want = [
            torch.nn.functional.cross_entropy(
                model.logits(s[None, :-1])[0], s[1:]
            ).item()
            for s in samples
        ]
    got = run_json(
        *["eval", stories, "--text", path, "--seq-len", 100, "--stride", 90]
    )
    assert got["samples"] == len(samples)
    assert abs(got["loss"] - np.mean(want)) <= 1e-5
    assert abs(got["perplexity"] - np.exp(np.mean(want))) <= 1e-3


def test_lora_gradients_equal_autograd(stories, text, tmp_path):
    """(before - after) / lr of one plain SGD step of batch 2."""
    model = Checkpoint(stories, torch.float64)
    lora = random_lora(model, R, seed=5, b_bound=0.05)
    start, end = tmp_path / "start.safetensors", tmp_path / "end.safetensors"
    write_adapter(start, stories, lora)
    run_json(
        *["train", stories, "--text", text[0], "--seq-len", 128, *LORA],
        *["--stride", 2 * len(text[1]) // 5, "--batch", 2, "--epochs", 1],
        *["--in-order", "--precision", "f32", "--init-adapter", start],
        *["--optimizer", "sgd", "--momentum", 0, "--lr", GRADIENT_LR],
        *["--schedule", "constant", "--out", end],
    )
    samples = windows(text[1], 128, 2 * len(text[1]) // 5)[:2]
    params = {k: v.double().requires_grad_() for k, v in lora.items()}
    logits = model.logits(samples[:, :-1], params, ALPHA / R)
    torch.nn.functional.cross_entropy(
        logits.reshape(-1, model.vocab), samples[:, 1:].reshape(-1)
    ).backward()
    before, after = load_file(start), load_file(end)
    for key, param in params.items():
        got = (before[PREFIX + key] - after[PREFIX + key]) / GRADIENT_LR
        assert relative(got.numpy(), param.grad.numpy()) <= 1e-4, key


def test_training_follows_pytorch(stories, text, tmp_path):
    model = Checkpoint(stories)
    lora = random_lora(model, R, seed=1)
    start, log = tmp_path / "start.safetensors", tmp_path / "loss.csv"
    write_adapter(start, stories, lora)
    samples = windows(text[1], 64, 48)[:20]
    result = run_json(
        *["train", stories, "--text", text[0], "--seq-len", 64, *LORA],
        *["--stride", 48, "--epochs", 1, "--in-order", "--precision", "f32"],
        *["--init-adapter", start, "--lr", 1e-3, "--weight-decay", 0.01],
        *["--schedule", "constant", "--loss-log", log],
        *["--out", tmp_path / "adapter.safetensors"],
    )
    want = train(model, lora, samples, ALPHA / R)
    got = np.loadtxt(log, delimiter=",", skiprows=1)[: len(want), 1]
    assert len(want) == 20
    assert np.abs(got - want).max() <= 1e-3
    assert result["loss_after"] < result["loss_before"]
    assert result["perplexity"] == pytest.approx(np.exp(result["loss_after"]))
    assert result["trainable"] == sum(p.numel() for p in lora.values())


@pytest.mark.parametrize(
    "options, word",
    [
        (["--seq-len", 513], "513"),
        (["--data", "x.npy"], "contradict"),
        (["--target-modules", "qq_proj"], "model.layers.0.self_attn.q_proj"),
        (["--train-per-class", 3], "next one"),
        (["--rank", 65, "--target-modules", "q_proj"], "65"),
    ],
)
def test_refuses_contradictions(stories, text, tmp_path, options, word):
    out = tmp_path / "adapter.safetensors"
    done = run("train", stories, "--text", text[0], "--out", out, *options)
    assert done.returncode == 2 and word in done.stderr, done.stderr
    assert not out.exists()


def test_refuses_text_shorter_than_a_window(stories, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("Once upon a time")
    done = run("eval", stories, "--text", short, "--seq-len", 64)
    assert done.returncode == 3 and "65" in done.stderr, done.stderr
