"""Merging into a Hugging Face folder: transformers loads the result, and it
answers as the base with the adapter beside it.
"""

import json

import numpy as np
import pytest
import torch
from fieldtune_cli import run, run_json
from safetensors.torch import load_file
from test_huggingface import SEQ, bert, llama, relative, save, some_ids
from test_transformer_methods import METHODS, Case, answers, make_base

MERGED_BAR = 1e-5
REFUSED = {"bottleneck": "bottleneck", "prompt": "prompt", "prefix": "prefix"}
MERGED = [m for m in METHODS if m not in REFUSED and m != "parallel"]


def loaded(kind, folder):
    return type(make_base(kind)).from_pretrained(folder).eval()


@pytest.mark.parametrize("kind", ["llama", "bert"])
@pytest.mark.parametrize("name", MERGED)
def test_merged_folder_answers_as_the_reference(name, kind, tmp_path):
    case = Case(tmp_path, kind, METHODS[name])
    out = tmp_path / "merged"
    result = run_json(
        *["merge", case.folder, "--adapter", case.write(), "--out", out]
    )
    assert result["sha256"] == run_json("inspect", out)["sha256"]
    with torch.no_grad():
        want = case.answers().numpy()
        theirs = answers(loaded(kind, out), kind, case.ids).numpy()
    assert relative(case.run(), want) > 1e-2  # the adapter does something
    assert relative(theirs, want) <= MERGED_BAR
    assert relative(case.run(folder=out), want) <= MERGED_BAR


@pytest.mark.parametrize("form", ["float16", "bfloat16", "shards"])
def test_files_keep_their_form(form, tmp_path):
    """Each weight is the nearest of its dtype to the merged float32 one."""
    case = Case(tmp_path, "llama", METHODS["lora"])
    case.write().rename(tmp_path / "adapter.safetensors")
    base = llama(attention_bias=True)
    dtype = torch.float32 if form == "shards" else getattr(torch, form)
    case.folder = save(
        base.to(dtype), tmp_path / form,
        max_shard_size="60KB" if form == "shards" else "5GB",
    )  # fmt: skip
    (case.folder / "tokenizer.json").write_text("{}")
    out, wide = tmp_path / "merged", tmp_path / "wide"
    run_json("merge", case.folder, "--adapter", case.write(), "--out", out)
    save(base.float(), tmp_path / "float32")
    case.folder = tmp_path / "float32"
    run_json("merge", case.folder, "--adapter", case.write(), "--out", wide)
    assert (out / "tokenizer.json").read_text() == "{}"
    files = sorted(p.name for p in (tmp_path / form).glob("*.safetensors"))
    assert files == sorted(p.name for p in out.glob("*.safetensors"))
    want = load_file(wide / "model.safetensors")
    for file in files:
        for key, got in load_file(out / file).items():
            assert got.dtype == dtype, key
            assert torch.equal(got, want.pop(key).to(dtype)), key
    assert not want


def test_a_new_head_changes_config_json(tmp_path):
    folder = save(bert("BertForSequenceClassification"), tmp_path / "model")
    ids = some_ids(10)
    np.save(tmp_path / "x.npy", ids)
    np.save(tmp_path / "y.npy", np.arange(10) % 5)
    run_json(
        *["train", folder, "--data", tmp_path / "x.npy", "--labels"],
        *[tmp_path / "y.npy", "--new-head", "--rank", 2, "--epochs", 2],
        *["--precision", "f32", "--seq-len", SEQ, "--lr", 0.05],
        *["--out", tmp_path / "a.safetensors"],
    )
    out = tmp_path / "merged"
    run_json("merge", folder, "--adapter", tmp_path / "a.safetensors",
             "--out", out)  # fmt: skip
    assert len(json.loads((out / "config.json").read_text())["id2label"]) == 5
    run_json(
        *["run", folder, "--adapter", tmp_path / "a.safetensors", "--input"],
        *[tmp_path / "x.npy", "--output", tmp_path / "out.npy"],
    )
    with torch.no_grad():
        got = answers(loaded("bert", out), "bert", ids).numpy()
    want = np.load(tmp_path / "out.npy").reshape(got.shape)
    assert relative(got, want) <= MERGED_BAR


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_no_weight_can_hold(name, tmp_path):
    case = Case(tmp_path, "llama", METHODS[name])
    out = tmp_path / "merged"
    done = run("merge", case.folder, "--adapter", case.write(), "--out", out)
    assert done.returncode == 2 and "cannot be merged" in done.stderr
    assert not out.exists()


def test_refuses_a_shared_weight_and_its_own_folder(tmp_path):
    folder = save(llama(tie_word_embeddings=True), tmp_path / "model")
    np.save(tmp_path / "tokens.npy", some_ids().reshape(-1))
    train = ["train", folder, "--text", tmp_path / "tokens.npy", "--seq-len",
             SEQ, "--epochs", 1, "--out", tmp_path / "a.safetensors"]  # fmt: skip
    run_json(*train, "--target-modules", "lm_head")
    merge = ["merge", folder, "--adapter", tmp_path / "a.safetensors", "--out"]
    done = run(*merge, tmp_path / "merged")
    assert done.returncode == 2 and "embed_tokens" in done.stderr, done.stderr
    assert not (tmp_path / "merged").exists()
    done = run(*merge, folder)
    assert done.returncode == 2 and "own folder" in done.stderr, done.stderr
