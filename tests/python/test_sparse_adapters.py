"""Adapter files that claim gigabytes and have holes instead: every command that
reads adapters refuses them with the numbers, in a quarter of a gigabyte of memory."""

import struct

import pytest
from fieldtune_cli import ROOT, run, run_json

BASE = ROOT / "examples" / "demo" / "keyword_base.tflite"
GIGABYTE = 1 << 30
# (length of the header, the header, bytes of the file, what the sentence has)
FILES = {
    "header": (3 * GIGABYTE - 8, b"{", 3 * GIGABYTE,
               ["header length 3221225464", "100000000 bytes", "3221225472"]),
    "beyond": (1 << 63, b"{", 3 * GIGABYTE,
               ["header length 9223372036854775808", "3221225472 bytes"]),
    "tensor": (None, b'{"a":{"dtype":"U8","shape":[9663676416],'
                     b'"data_offsets":[0,9663676416]}}', 3 * GIGABYTE,
               ["'a'", "outside the 3221225393 data bytes"]),
    "behind": (None, b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}',
               3 * GIGABYTE, ["bytes after the last tensor"]),
}  # fmt: skip
COMMANDS = {
    "verify": ["verify", "{file}"],
    "sign": ["sign", "{file}", "--key", "{key}", "--out", "{out}"],
    "add": ["store", "add", "{store}", "{file}", "--name", "me"],
    "eval": ["eval", BASE, "--adapter", "{file}", "--data", "{data}"],
    "merge": ["merge", BASE, "--adapter", "{file}", "--out", "{out}"],
    "export": ["export", "{file}", "--to", "fieldtune", "--adapter-dtype", "int8",
               "--out", "{out}"],
    "compile": ["compile", BASE, "--program", "infer", "--adapter", "{file}",
                "--out", "{out}"],
    "delta make": ["delta", "make", "{file}", "{file}", "--out", "{out}"],
    "delta inspect": ["delta", "inspect", "{file}"],
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sparse")
    run_json("keys", "generate", folder / "key")
    run_json("store", "init", folder / "store")
    (folder / "data").mkdir()
    return {"key": folder / "key", "store": folder / "store",
            "data": folder / "data", "out": folder / "out.safetensors"}


@pytest.fixture(params=FILES)
def claims(request, tmp_path):
    length, header, size, words = FILES[request.param]
    path = tmp_path / f"{request.param}.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", length or len(header)) + header)
        file.truncate(size)
    return path, words


@pytest.mark.parametrize("command", COMMANDS)
def test_is_refused_with_the_numbers_and_takes_no_memory(
        command, claims, places):
    path, words = claims
    args = [str(a).format(file=path, **places) for a in COMMANDS[command]]
    done = run(*args, prefix=["prlimit", f"--data={GIGABYTE // 4}"])
    err = done.stderr
    assert done.returncode == 3, err
    if command != "delta inspect":  # it is no delta at all
        assert all(word in err for word in words), err
    assert not places["out"].exists()
