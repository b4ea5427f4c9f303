"""Hugging Face folders against transformers and PEFT: tiny Llama and BERT models
of random weights, written by save_pretrained() in every form that is read.
"""

import json

import numpy as np
import pytest
import torch
import transformers
from fieldtune_cli import run, run_json
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

R, ALPHA = 4, 8
SEQ = 12
GRADIENT_LR = 1000.0
torch.set_num_threads(1)


def llama(**changes):
    torch.manual_seed(1)
    settings = dict(
        vocab_size=67,
        hidden_size=48,
        intermediate_size=88,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=64,
    )
    config = transformers.LlamaConfig(**settings | changes)
    return spread(transformers.LlamaForCausalLM(config))


def bert(kind, **changes):
    torch.manual_seed(2)
    settings = dict(
        vocab_size=67,
        hidden_size=40,
        intermediate_size=72,
        num_hidden_layers=2,
        num_attention_heads=5,
        max_position_embeddings=64,
        num_labels=3,
    )
    config = transformers.BertConfig(**settings | changes)
    return spread(getattr(transformers, kind)(config))


def spread(model):
    """Norms and biases too are random, so that none can be forgotten."""
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.15 * torch.randn(p.shape))
    return model.eval()


def some_ids(count=3, padded=False):
    ids = np.random.default_rng(3).integers(1, 67, [count, SEQ], np.int32)
    if padded:
        ids[0, 7:] = ids[1, 3:] = 0
    return ids


def save(model, folder, **options):
    model.save_pretrained(folder, **options)
    return folder


def ours(folder, ids, tmp_path):
    np.save(tmp_path / "ids.npy", ids)
    run_json(
        *["run", folder, "--input", tmp_path / "ids.npy", "--seq-len", SEQ],
        *["--output", tmp_path / "out.npy"],
    )
    return np.load(tmp_path / "out.npy")


def relative(got, want):
    return np.abs(got - want).max() / np.abs(want).max()


LLAMAS = {
    "gqa": {},
    "tied": {"tie_word_embeddings": True},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "head_dim": {"head_dim": 10, "rope_theta": 500.0, "rms_norm_eps": 1e-3},
}


@pytest.mark.parametrize("name", LLAMAS)
def test_llama_equals_transformers(name, tmp_path):
    model = llama(**LLAMAS[name])
    folder, ids = save(model, tmp_path / "model"), some_ids()
    with torch.no_grad():
        want = model(torch.tensor(ids).long()).logits.numpy()
    got = ours(folder, ids, tmp_path).reshape(want.shape)
    assert relative(got, want) <= 1e-5


@pytest.mark.parametrize("form", ["float16", "bfloat16", "shards"])
def test_other_forms_of_weights_equal_transformers(form, tmp_path):
    model = llama()
    if form != "shards":
        model = model.to(getattr(torch, form))
    size = "60KB" if form == "shards" else "5GB"
    folder = save(model, tmp_path / "model", max_shard_size=size)
    assert form != "shards" or len(list(folder.glob("*.safetensors"))) > 1
    # Read again: .to() has rounded the rotary frequencies too.
    model = model.from_pretrained(folder, dtype=torch.float32)
    ids = some_ids()
    with torch.no_grad():
        want = model(torch.tensor(ids).long()).logits.numpy()
    got = ours(folder, ids, tmp_path).reshape(want.shape)
    assert relative(got, want) <= 1e-5


BERTS = {
    "BertModel": {},
    "BertForSequenceClassification": {"hidden_act": "gelu_new"},
    "BertForMaskedLM": {},
}


@pytest.mark.parametrize("kind", BERTS)
def test_bert_equals_transformers(kind, tmp_path):
    """Padding is no key; what padded queries answer is nobody's business."""
    model = bert(kind, **BERTS[kind])
    folder, ids = save(model, tmp_path / "model"), some_ids(padded=True)
    tokens = torch.tensor(ids).long()
    with torch.no_grad():
        out = model(tokens, attention_mask=(tokens != 0).long())
    want = out[0].numpy()
    got = ours(folder, ids, tmp_path).reshape(want.shape)
    if want.ndim == 3:
        got, want = got[ids != 0], want[ids != 0]
    assert relative(got, want) <= 1e-5


def write_start(folder, model, targets, path):
    """A PEFT model with both factors nonzero, and the same as our adapter."""
    config = LoraConfig(r=R, lora_alpha=ALPHA, target_modules=targets)
    peft = get_peft_model(model, config).eval()
    lora = {
        k.replace(".default", ""): p
        for k, p in peft.named_parameters()
        if "lora_" in k
    }
    gen = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for k, p in lora.items():
            if "lora_B" in k:
                p.copy_(0.1 * torch.randn(p.shape, generator=gen))
    sha = run_json("inspect", folder)["sha256"]
    metadata = {
        "format_version": "1",
        "base_sha256": sha,
        "method": "lora",
        "precision": "f32",
        "r": str(R),
        "lora_alpha": str(ALPHA),
        "target_modules": json.dumps(targets),
        "rank_pattern": "[]",
        "alpha_pattern": "[]",
        "num_classes": "0",
        "seed": "0",
    }
    tensors = {k: p.detach().clone() for k, p in lora.items()}
    save_file(tensors, str(path), metadata=metadata)
    return peft, lora


def sgd_step(folder, targets, start, end, *options):
    run_json(
        *["train", folder, "--rank", R, "--alpha", ALPHA, "--epochs", 1],
        *["--target-modules", ",".join(targets), "--in-order"],
        *["--precision", "f32", "--init-adapter", start, "--out", end],
        *["--optimizer", "sgd", "--momentum", 0, "--lr", GRADIENT_LR],
        *["--schedule", "constant", *options],
    )


def check_gradients(lora, start, end):
    before, after = load_file(start), load_file(end)
    assert set(before) == set(lora)
    for key, param in lora.items():
        got = (before[key] - after[key]).numpy() / GRADIENT_LR
        want = param.grad.numpy()
        assert np.abs(want).max() > 0, key
        assert relative(got, want) <= 1e-4, key


def test_llama_lora_gradients_equal_peft(tmp_path):
    targets = [f"{p}_proj" for p in ("q", "k", "v", "o", "gate", "up", "down")]
    model = llama()
    folder = save(model, tmp_path / "model")
    start, end = tmp_path / "start.safetensors", tmp_path / "end.safetensors"
    peft, lora = write_start(folder, model, targets, start)
    tokens = some_ids(3).reshape(-1)[: 2 * SEQ + 1]
    np.save(tmp_path / "tokens.npy", tokens)
    sgd_step(
        *[folder, targets, start, end, "--text", tmp_path / "tokens.npy"],
        *["--seq-len", SEQ, "--batch", 2],
    )
    tokens = torch.tensor(tokens).long()
    peft = peft.double()
    logits = peft(tokens[:-1].reshape(2, SEQ)).logits.reshape(2 * SEQ, -1)
    torch.nn.functional.cross_entropy(logits, tokens[1:]).backward()
    check_gradients(lora, start, end)


def test_bert_lora_gradients_equal_peft(tmp_path):
    targets = ["query", "key", "value", "attention.output.dense",
               "intermediate.dense"]  # fmt: skip
    model = bert("BertForSequenceClassification")
    folder = save(model, tmp_path / "model")
    start, end = tmp_path / "start.safetensors", tmp_path / "end.safetensors"
    peft, lora = write_start(folder, model, targets, start)
    ids, labels = some_ids(6, padded=True), np.array([2, 0, 1, 0, 2, 1])
    np.save(tmp_path / "x.npy", ids)
    np.save(tmp_path / "y.npy", labels)
    result = run_json("inspect", folder)
    assert result["outputs"][0]["shape"] == [1, 3]
    sgd_step(
        *[folder, targets, start, end, "--data", tmp_path / "x.npy"],
        *["--labels", tmp_path / "y.npy", "--seq-len", SEQ, "--batch", 6],
    )
    tokens = torch.tensor(ids).long()
    logits = peft.double()(tokens, attention_mask=(tokens != 0).long()).logits
    torch.nn.functional.cross_entropy(logits, torch.tensor(labels)).backward()
    check_gradients(lora, start, end)


def test_a_classifier_learns_and_evaluates(tmp_path):
    """Whether a sample holds token 5: LoRA with the head learns it."""
    folder = save(bert("BertForSequenceClassification"), tmp_path / "model")
    rng = np.random.default_rng(5)
    ids = rng.integers(6, 67, [64, SEQ], np.int32)
    labels = np.arange(64) % 2
    ids[labels == 1, rng.integers(0, SEQ)] = 5
    np.save(tmp_path / "x.npy", ids)
    np.save(tmp_path / "y.npy", labels)
    data = ["--data", tmp_path / "x.npy", "--labels", tmp_path / "y.npy"]
    adapter = tmp_path / "adapter.safetensors"
    trained = run_json(
        *["train", folder, *data, "--new-head", "--rank", 4, "--epochs", 12],
        *["--precision", "f32", "--seq-len", SEQ, "--batch", 8, "--lr", 3e-3],
        *["--out", adapter],
    )
    assert trained["accuracy_after"] >= 0.95
    again = run_json("eval", folder, "--adapter", adapter, *data)
    assert again["accuracy"] == trained["accuracy_after"]


def test_refuses_what_it_cannot_honour_by_name(tmp_path):
    folder = save(llama(), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["sliding_window"] = 4096
    (folder / "config.json").write_text(json.dumps(config))
    done = run("inspect", folder)
    assert done.returncode == 3 and "sliding_window" in done.stderr
    done = run("inspect", tmp_path)
    assert done.returncode == 5 and "config.json" in done.stderr


def test_refuses_tokens_outside_of_the_vocabulary(tmp_path):
    folder = save(llama(), tmp_path / "model")
    np.save(tmp_path / "tokens.npy", np.array([1, 2, 67, 4] * 9))
    done = run("eval", folder, "--text", tmp_path / "tokens.npy",
               "--seq-len", SEQ)  # fmt: skip
    assert done.returncode == 3 and "67" in done.stderr, done.stderr
