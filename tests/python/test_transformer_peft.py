"""Norms, prompts, prefixes and biases of transformers: PEFT folders in and out,
starting values, what stands beside what, and what is refused.
"""

import json

import numpy as np
import peft
import pytest
import torch
from fieldtune_cli import run, run_json
from safetensors.torch import load_file
from small_models import conv_net
from test_huggingface import SEQ, bert, relative, save, some_ids
from test_transformer_methods import (
    ANSWER_BAR,
    METHODS,
    VIRTUAL,
    Case,
    Method,
    answers,
    make_base,
)


@pytest.fixture(params=["llama", "bert"])
def kind(request):
    return request.param


EXCHANGED = {k: METHODS[k] for k in ("norm", "prompt", "prefix")}


@pytest.fixture(params=EXCHANGED)
def exchanged(request, kind, tmp_path):
    return Case(tmp_path, kind, EXCHANGED[request.param])


def test_reads_the_folder_that_peft_wrote(exchanged, tmp_path):
    exchanged.model.float().save_pretrained(tmp_path / "peft")
    with torch.no_grad():
        want = exchanged.model.double()
        want = answers(want, exchanged.kind, exchanged.ids).numpy()
    got = exchanged.run("--adapter", tmp_path / "peft")
    assert relative(got, want) <= ANSWER_BAR


def test_peft_loads_what_was_trained_here(exchanged, tmp_path):
    case = exchanged
    case.train("--lr", 0.05)
    export = ["export", tmp_path / "after.safetensors", "--to", "peft",
              "--out", tmp_path / "peft"]  # fmt: skip
    if case.kind == "bert" and case.method.name != "norm":
        done = run(*export)
        assert done.returncode == 2 and "--model" in done.stderr
        export += ["--model", case.folder]
    run_json(*export)
    base = type(make_base(case.kind)).from_pretrained(case.folder)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "peft").eval()
    with torch.no_grad():
        want = answers(theirs, case.kind, case.ids).numpy()
    assert relative(case.run(), want) > 1e-3
    for adapter in ("after.safetensors", "peft"):
        got = case.run("--adapter", tmp_path / adapter)
        assert relative(got, want) <= ANSWER_BAR, adapter
    if case.kind == "llama":  # and out again
        run_json("export", tmp_path / "peft", "--to", "peft", "--out",
                 tmp_path / "again")  # fmt: skip


def bitfit_case(folder, kind="bert"):
    return Case(folder, kind, METHODS["bitfit"])


@pytest.mark.parametrize("bias", ["all", "lora_only"])
def test_reads_biases_that_peft_keeps_beside_lora(kind, bias, tmp_path):
    """Of other layers too (LayerNorm's), or of those with an update only."""
    targets = {"bert": "query", "llama": "q_proj"}
    config = lambda kind: peft.LoraConfig(
        r=2, bias=bias, target_modules=[targets[kind]]
    )
    case = Case(tmp_path, kind, Method("lora", config))
    wrapped = [k for k in case.params if targets[kind] + ".bias" in k]
    assert len(wrapped) == 2
    if bias == "lora_only":
        assert len(case.params) == 3 * len(wrapped)
    with torch.no_grad():
        want = case.answers().numpy()
    case.model.float().save_pretrained(tmp_path / "peft")
    assert relative(case.run(), want) > 1e-2
    assert relative(case.run("--adapter", tmp_path / "peft"), want) <= ANSWER_BAR


def test_peft_loads_biases_that_were_trained_here(kind, tmp_path):
    case = bitfit_case(tmp_path, kind)
    case.train("--lr", 0.05)
    run_json("export", tmp_path / "after.safetensors", "--to", "peft",
             "--out", tmp_path / "peft")  # fmt: skip
    base = type(make_base(kind)).from_pretrained(case.folder)
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "peft").eval()
    with torch.no_grad():
        want = answers(theirs, kind, case.ids).numpy()
    assert relative(case.run(), want) > 1e-3
    for adapter in ("after.safetensors", "peft"):
        got = case.run("--adapter", tmp_path / adapter)
        assert relative(got, want) <= ANSWER_BAR, adapter


def change(folder, **settings):
    config = folder / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))


@pytest.mark.parametrize(
    "settings, word",
    [
        ({"num_transformer_submodules": 2}, "num_transformer_submodules"),
        ({"num_virtual_tokens": 9}, "num_virtual_tokens is 9"),
        ({"token_mask": [1]}, "token_mask"),
    ],
)
def test_refuses_prompt_settings_it_cannot_honour(tmp_path, settings, word):
    case = Case(tmp_path, "llama", METHODS["prompt"])
    case.model.float().save_pretrained(tmp_path / "peft")
    change(tmp_path / "peft", **settings)
    done = run("eval", case.folder, "--adapter", tmp_path / "peft",
               *case.data()[:2], "--seq-len", SEQ)  # fmt: skip
    assert done.returncode == 3 and word in done.stderr, done.stderr


@pytest.mark.parametrize("init", ["RANDOM", "SAMPLE_VOCAB", "TEXT"])
def test_prompts_start_as_asked_for(init, tmp_path):
    case = Case(tmp_path, "llama", METHODS["prompt"])
    tokens = ["--prompt-tuning-init-tokens", "5,9,5"] * (init == "TEXT")
    after = case.train("--lr", 1e-30, "--prompt-tuning-init", init, *tokens)
    got = after["prompt_embeddings"].numpy()
    table = load_file(case.folder / "model.safetensors")
    table = table["model.embed_tokens.weight"].numpy()
    assert got.shape == (VIRTUAL, 48) and np.isfinite(got).all()
    if init == "TEXT":
        np.testing.assert_array_equal(got, table[[5, 9, 5, 5]])
    if init == "SAMPLE_VOCAB":
        assert all((table == row).all(1).any() for row in got)
    if init == "RANDOM":
        assert 0.7 < got.std() < 1.3


@pytest.mark.parametrize(
    "kind, options, word",
    [
        ("llama", ["--prompt-tuning-init", "TEXT"], "init-text"),
        ("llama", ["--prompt-tuning-init-text", "To be"], "tokenizer"),
        ("llama", ["--prompt-tuning-init-tokens", "5,67"], "0 to 66"),
        ("bert", ["--num-virtual-tokens", 60], "1 to 64"),
        ("bert", ["--method", "prefix", "--num-virtual-tokens", 60], "1 to 64"),
        ("llama", ["--method", "norm", "--target-modules", "q_proj"],
         "model.layers.0.input_layernorm"),
    ],
)  # fmt: skip
def test_refuses_what_does_not_fit(kind, options, word, tmp_path):
    folder = save(make_base(kind), tmp_path / "model")
    if "--method" not in options:
        options = [*options, "--method", "prompt"]
    done = run("plan", folder, "--seq-len", SEQ, *options)
    assert done.returncode == 2 and word in done.stderr, done.stderr


@pytest.mark.parametrize("method", ["norm", "prompt", "prefix"])
def test_says_what_a_net_without_norms_or_tokens_lacks(method, tmp_path):
    path = tmp_path / "conv.tflite"
    path.write_bytes(conv_net())
    done = run("plan", path, "--method", method)
    word = "folded" if method == "norm" else "reads none"
    assert done.returncode == 2 and word in done.stderr, done.stderr


def test_a_text_s_tokens_start_the_prompt(shared, tmp_path):
    model = shared / "models" / "stories260k" / "stories260K.bin"
    text = tmp_path / "text.txt"
    text.write_text("Once upon a time there was a king. " * 8)
    result = run_json(
        *["train", model, "--text", text, "--seq-len", 16, "--epochs", 1],
        *["--method", "prompt", "--num-virtual-tokens", 3, "--lr", 1e-3],
        *["--prompt-tuning-init", "TEXT"],
        *["--prompt-tuning-init-text", "Once upon a time"],
        *["--out", tmp_path / "a.safetensors"],
    )
    assert result["trainable"] == 3 * 64
    again = run_json("eval", model, "--adapter", tmp_path / "a.safetensors",
                     "--text", text)  # fmt: skip
    assert again["loss"] == pytest.approx(result["loss_after"], rel=1e-6)


def test_prompts_stand_beside_lora_but_not_beside_prompts(kind, tmp_path):
    """With the update first or last, it is the same sum."""
    prompt = Case(tmp_path, kind, METHODS["prompt"])
    prompt.write().rename(tmp_path / "prompt.safetensors")
    Case(tmp_path, kind, METHODS["lora"]).write().rename(tmp_path / "lora.safetensors")
    order = ["prompt.safetensors", "lora.safetensors"]
    both = lambda names: sum((["--adapter", tmp_path / n] for n in names), [])
    one, other = prompt.run(*both(order)), prompt.run(*both(order[::-1]))
    assert relative(one, other) <= ANSWER_BAR
    for alone in order:
        assert relative(prompt.run(*both([alone])), one) > 1e-2
    done = run("run", prompt.folder, *both(["prompt.safetensors"] * 2), "--input",
               tmp_path / "ids.npy", "--seq-len", SEQ, "--output",
               tmp_path / "y.npy")  # fmt: skip
    assert done.returncode == 2 and "already" in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["prompt", "prefix"])
def test_hidden_states_behind_virtual_tokens(name, tmp_path):
    """BertModel, where every token of our own answers."""
    base = bert("BertModel")
    folder = save(base, tmp_path / "model")
    config = {"prompt": peft.PromptTuningConfig, "prefix": peft.PrefixTuningConfig}
    model = peft.get_peft_model(
        base,
        config[name](task_type="FEATURE_EXTRACTION", num_virtual_tokens=VIRTUAL),
    ).eval()
    model.save_pretrained(tmp_path / "peft")
    ids = some_ids(padded=True)
    tokens = torch.tensor(ids).long()
    with torch.no_grad():
        want = model(tokens, attention_mask=(tokens != 0).long())[0]
    np.save(tmp_path / "ids.npy", ids)
    run_json(
        *["run", folder, "--input", tmp_path / "ids.npy", "--seq-len", SEQ],
        *["--adapter", tmp_path / "peft", "--output", tmp_path / "out.npy"],
    )
    want = want[:, -SEQ:].numpy()
    got = np.load(tmp_path / "out.npy").reshape(want.shape)
    assert relative(got[ids != 0], want[ids != 0]) <= ANSWER_BAR
