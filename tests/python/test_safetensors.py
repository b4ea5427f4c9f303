"""Our safetensors files against the reference implementation, both ways."""

import json
import struct
import subprocess

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

SEED = 3


@pytest.fixture
def copy(program, tmp_path):
    """copy(path) lets fieldtune parse a file and write it again."""

    def run(path):
        out = tmp_path / "copy.safetensors"
        tool = program("safetensors_copy")
        done = subprocess.run([tool, path, out], capture_output=True, text=True)
        return done, out

    return run


def random_tensors(rng):
    tensors = {}
    for i in range(rng.integers(0, 9)):
        shape = tuple(rng.integers(0, 5, size=rng.integers(0, 4)))
        dtype = rng.choice(["f4", "f8", "f2", "i1", "u1", "i2", "i4", "i8", "?"])
        values = rng.integers(-100, 100, size=shape).astype(dtype)
        tensors[f"base.layer{i}.lora_A.weight \u00e9\"{i}"] = values
    return tensors


def test_round_trips_keep_every_value(copy, tmp_path):
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    for _ in range(40):
        tensors = random_tensors(rng)
        metadata = {f"k{i}": "v\n\"\u20ac" * i for i in range(rng.integers(0, 4))}
        theirs = tmp_path / "theirs.safetensors"
        # Its writer of version 0.8.0 makes malformed JSON of an empty dict.
        save_file(tensors, theirs, metadata=metadata or None)
        done, ours = copy(theirs)
        assert done.returncode == 0, done.stderr
        back = load_file(ours)
        assert back.keys() == tensors.keys()
        for name, values in tensors.items():
            assert back[name].dtype == values.dtype
            np.testing.assert_array_equal(back[name], values)
        with safe_open(ours, "numpy") as f:
            assert (f.metadata() or {}) == metadata


def test_both_refuse_the_same_malformed_files(copy, tmp_path):
    entry = {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]}
    headers = {
        "hole": ({"a": dict(entry, data_offsets=[1, 3])}, b"abc"),
        "overlap": ({"a": entry, "b": dict(entry, data_offsets=[1, 3])}, b"abc"),
        "trailing": ({"a": entry}, b"abc"),
        "outside": ({"a": dict(entry, data_offsets=[0, 5], shape=[5])}, b"ab"),
        "shape": ({"a": dict(entry, shape=[3])}, b"ab"),
        "dtype": ({"a": dict(entry, dtype="U9")}, b"ab"),
        "huge": ({"a": dict(entry, shape=[2**63, 2**63])}, b"ab"),
        "metadata": ({"__metadata__": {"k": 1}}, b""),
    }
    for name, (header, data) in headers.items():
        text = json.dumps(header).encode()
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(struct.pack("<Q", len(text)) + text + data)
        with pytest.raises(Exception):
            load_file(path)
        done, _ = copy(path)
        assert done.returncode == 3 and done.stderr.startswith("safetensors: "), (
            name,
            done,
        )
