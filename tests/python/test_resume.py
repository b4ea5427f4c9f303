"""A training that was killed and goes on: equal bits for every method,
optimizer and precision, and no way into a checkpoint of other settings or other
data.

The quick run takes a part of the pairs, another one each day; FT_EXHAUSTIVE=1
takes all of them. On a speaker of real recordings where they are there.
"""

import itertools
import os
import random
import subprocess
import time
from datetime import date

import numpy as np
import pytest
from fieldtune_cli import BINARY, FSDD, FSDD_ARGS, MODELS, ROOT, run, run_json

DEMO = ROOT / "examples" / "demo" / "keyword_base.tflite"
OPTIMIZERS = ["sgd", "adamw", "adamw8bit"]
PRECISIONS = ["f32", "mixed", "integer"]
OPTIONS = {"vera": ["--projection-prng-key", 3]}
# What no run of these can be resumed of, as it is refused: methods for which
# this model has nothing, and ops without a twin in integers. Another refusal is
# a failure, as is one of these that is none any more.
NOT_OF_THIS_MODEL = {
    "norm": "this model has no normalization layer",
    "prompt": "puts virtual tokens in front of a sequence of tokens",
    "prefix": "puts virtual tokens in front of a sequence of tokens",
}
NOT_IN_INTEGERS = {
    "adalora": "integer training knows no binary but sums and products",
    "adamw8bit": "integer training knows no adamw8bit_update",
}


def expected_refusal(method, optimizer, precision):
    """A part of the sentence; None where training must work."""
    if method in NOT_OF_THIS_MODEL or precision != "integer":
        return NOT_OF_THIS_MODEL.get(method)
    return NOT_IN_INTEGERS.get(method) or NOT_IN_INTEGERS.get(optimizer)


def methods():
    return [m["name"] for m in run_json("methods")["methods"]]


def part(pairs, count):
    """`count` of them, drawn by the day."""
    if os.environ.get("FT_EXHAUSTIVE"):
        return pairs
    return sorted(random.Random(date.today().toordinal()).sample(pairs, count))


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    rng = np.random.default_rng(2)
    labels = np.arange(12, dtype=np.int32) % 3
    x = rng.normal(0, 3, [12, 490]) + 9 * (np.arange(490) * 3 // 490 == labels[:, None])
    np.save(folder / "x.npy", x.reshape(12, 49, 10, 1).astype(np.float32))
    np.save(folder / "y.npy", labels)
    return ["--data", folder / "x.npy", "--labels", folder / "y.npy", "--new-head"]


def train(samples, *options):
    return ["train", DEMO, *samples, "--batch", 4, "--epochs", 4, *options]


def killed(command, out, rng):
    """Runs it until it is done, killed again and again; how often it was."""
    args = [str(a) for a in (BINARY, *command, "--out", out, "--resume",
                             "--checkpoint-every", 1)]  # fmt: skip
    wait, kills = 0.01, 0
    while True:
        process = subprocess.Popen(args, stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL)  # fmt: skip
        try:
            _, said = process.communicate(timeout=rng.uniform(0, wait))
            assert process.returncode == 0, said.decode()
            return kills
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            wait *= 1.3


@pytest.mark.parametrize(
    "method, optimizer, precision",
    part(list(itertools.product(methods(), OPTIMIZERS, PRECISIONS)), 8))  # fmt: skip
def test_killed_it_goes_on_to_the_same_bits(samples, tmp_path, method, optimizer,
                                            precision):  # fmt: skip
    command = train(samples, "--method", method, "--optimizer", optimizer,
                    "--precision", precision, *OPTIONS.get(method, []))  # fmt: skip
    whole = run(*command, "--out", tmp_path / "whole.safetensors", "--json")
    refusal = expected_refusal(method, optimizer, precision)
    if refusal:
        assert whole.returncode in (2, 3), whole.stderr
        assert refusal in whole.stderr
        return
    assert whole.returncode == 0, whole.stderr
    seed = time.time_ns() % 2**32
    print("seed", seed)
    out = tmp_path / "killed.safetensors"
    killed(command, out, random.Random(seed))
    want = (tmp_path / "whole.safetensors").read_bytes()
    assert out.read_bytes() == want


def test_killed_on_recordings_it_goes_on_to_the_same_bits(shared, tmp_path):
    command = ["train", MODELS / "kws_ref_model.tflite", "--data", FSDD / "theo",
               *FSDD_ARGS, "--new-head", "--train-per-class", 2, "--epochs", 3,
               "--validation", 0.5, "--augment", "noise=10:30,shift=0.1"]  # fmt: skip
    whole = run_json(*command, "--out", tmp_path / "whole.safetensors")
    seed = time.time_ns() % 2**32
    print("seed", seed)
    out = tmp_path / "killed.safetensors"
    killed(command, out, random.Random(seed))
    again = run_json(*command, "--out", tmp_path / "b.safetensors")
    assert again["adapter_sha256"] == whole["adapter_sha256"]
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


CHANGES = {
    "learning rate": ["--lr", 0.02],
    "schedule": ["--schedule", "constant"],
    "optimizer": ["--optimizer", "sgd"],
    "weight decay": ["--weight-decay", 0.3],
    "precision": ["--precision", "f32"],
    "seed": ["--seed", 7],
    "epochs": ["--epochs", 5],
    "batch": ["--batch", 2],
    "rank": ["--rank", 3],
    "alpha": ["--alpha", 5],
    "modules": ["--target-modules", "pointwise4"],
    "method": ["--method", "bitfit"],
    "augmentation": ["--augment", "noise=10:30"],
    "split": ["--train-per-class", 3],
    "dtype": ["--adapter-dtype", "int8"],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_checkpoint_of_other_options_is_refused(samples, tmp_path, change):
    out = ["--out", tmp_path / "a.safetensors"]
    assert run(*train(samples), *out, "--stop-after", 3).returncode == 5
    kept = (tmp_path / "a.safetensors.checkpoint").read_bytes()
    words = train(samples)
    option, value = CHANGES[change]
    if option in words:
        words[words.index(option) + 1] = value
    else:
        words += [option, value]
    done = run(*words, *out, "--resume")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "checkpoint" in done.stderr
    assert (tmp_path / "a.safetensors.checkpoint").read_bytes() == kept


def test_a_checkpoint_of_other_frozen_values_is_refused(samples, tmp_path):
    """VeRA's random matrices are of a seed of their own."""
    out = ["--out", tmp_path / "a.safetensors", "--method", "vera"]
    key = "--projection-prng-key"
    done = run(*train(samples), *out, key, 3, "--stop-after", 3)
    assert done.returncode == 5, done.stderr
    done = run(*train(samples), *out, key, 4, "--resume")
    assert done.returncode == 3, done.stdout + done.stderr
    run_json(*train(samples), *out, key, 3, "--resume")


@pytest.mark.parametrize("what", ["x", "y"])
def test_a_checkpoint_of_other_data_is_refused(samples, tmp_path, what):
    out = ["--out", tmp_path / "a.safetensors"]
    assert run(*train(samples), *out, "--stop-after", 3).returncode == 5
    at = samples.index("--data" if what == "x" else "--labels") + 1
    other = list(samples)
    values = np.load(samples[at])
    values.flat[0] += 1
    other[at] = tmp_path / f"{what}.npy"
    np.save(other[at], values)
    done = run(*train(other), *out, "--resume")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "another model, data, seed or settings" in done.stderr
