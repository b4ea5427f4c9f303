"""Numbers and names that make no sense are refused with a sentence (exit 2) by
the subcommands around the store, and nothing is changed."""

import numpy as np
import pytest
from fieldtune_cli import ROOT, run, run_json

DEMO = ROOT / "examples" / "demo" / "keyword_base.tflite"
NO_NUMBERS = ["-1", "nan", "inf", "1e30", "1.5", "", "99999999999999999999",
              "0x10", " 1", "1 ", "+3"]  # fmt: skip
NO_NAMES = ["a/b", "../x", "a\nb", "a\x01", "a@b", "@", "x" * 300, ".hidden",
            "-x", "é", " ", "a b", ".."]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A store with me@1 confirmed and me@2 staged, both files, and a key."""
    folder = tmp_path_factory.mktemp("odd")
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", rng.normal(0, 3, [8, 49, 10, 1]).astype(np.float32))
    np.save(folder / "y.npy", np.arange(8, dtype=np.int32) % 2)
    run_json("store", "init", folder / "store")
    for seed in (1, 2):
        out = folder / f"{seed}.safetensors"
        run_json("train", DEMO, "--data", folder / "x.npy", "--labels",
                 folder / "y.npy", "--new-head", "--batch", 4, "--epochs", 1,
                 "--seed", seed, "--out", out)  # fmt: skip
        run_json("store", "add", folder / "store", out, "--name", "me")
    run_json("store", "use", folder / "store", "me@1")
    run_json("store", "use", folder / "store", "me", "--confirm")
    run_json("keys", "generate", folder / "key")
    return folder


NUMBERS = {
    "add": (["store", "add", "store", "2.safetensors", "--name", "v"],
            "--as-version", ["0", "-0", "9007199254740993"]),
    "wait": (["store", "list", "store"], "--wait", ["-0x1", "2147483648"]),
    "gc": (["store", "gc", "store"], "--keep", []),
    "gc bytes": (["store", "gc", "store"], "--max-bytes", []),
    "boots": (["store", "use", "store", "me@2"], "--boots", ["0"]),
    "least": (["ab", "start", "store", "me@2"], "--least", []),
    "target": (["ab", "start", "store", "me@2"], "--target", ["0"]),
    "requests": (["ab", "record", "store", "me", "--key", "u"], "--requests", []),
    "sign": (["sign", "1.safetensors", "--key", "key", "--out", "new"],
             "--adapter-version", ["0"]),
    "verify": (["verify", "1.safetensors"], "--min-version", []),
    "delta": (["delta", "make", "1.safetensors", "2.safetensors", "--out", "new"],
              "--bits", ["0", "7"]),
}  # fmt: skip
SHARES = ["0", "1", "-1", "nan", "inf", "1e30", ""]
REALS = {"share": "--share", "confidence": "--confidence"}


FILES = {"store", "1.safetensors", "2.safetensors", "key", "new"}


def refused(place, words):
    """Its first word, and second of store and ab, are the subcommand's."""
    before = run_json("store", "list", place / "store")
    verbs = 1 if words[0] in ("sign", "verify") else 2
    args = [place / w if w in FILES else w for w in words[verbs:]]
    done = run(*words[:verbs], *args)
    assert done.returncode == 2, (words, done.stdout, done.stderr)
    assert done.stderr.strip()
    assert run_json("store", "list", place / "store") == before
    assert not (place / "new").exists()


@pytest.mark.parametrize("what", NUMBERS)
def test_no_number(place, what):
    words, option, more = NUMBERS[what]
    for number in NO_NUMBERS + more:
        refused(place, [*words, f"{option}={number}"])


@pytest.mark.parametrize("option", REALS.values())
def test_no_share(place, option):
    for number in SHARES:
        refused(place, ["ab", "start", "store", "me@2", f"{option}={number}"])


@pytest.mark.parametrize("name", NO_NAMES)
def test_no_name(place, name):
    refused(place, ["store", "add", "store", "2.safetensors", f"--name={name}"])
    refused(place, ["store", "rollback", "store", "--", name])
    refused(place, ["store", "use", "store", "--", name])
    refused(place, ["sign", "1.safetensors", "--key", "key", "--out", "new",
                    f"--adapter-name={name}"])  # fmt: skip
