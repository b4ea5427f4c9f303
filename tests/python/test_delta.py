"""Deltas as a user makes and applies them, between adapters that were really
trained, the second from the first after more takes.
"""

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess

import pytest
from fieldtune_cli import FSDD, FSDD_ARGS, MODELS, ROOT, run, run_json

pytestmark = pytest.mark.usefixtures("shared")
KWS = MODELS / "kws_ref_model.tflite"


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def versions(tmp_path_factory, shared):
    """{dtype: (v1, v2)}"""
    folder = tmp_path_factory.mktemp("versions")
    out = {}
    for dtype in "f32", "int8":
        v1, v2 = (folder / f"{dtype}_{v}.safetensors" for v in (1, 2))
        args = ["train", KWS, "--data", FSDD / "theo", *FSDD_ARGS, "--new-head",
                "--rank", 4, "--seed", 1, "--adapter-dtype", dtype]  # fmt: skip
        run_json(*args, "--train-per-class", 4, "--epochs", 6, "--out", v1)
        run_json(*args, "--train-per-class", 8, "--epochs", 4,
                 "--init-adapter", v1, "--out", v2)  # fmt: skip
        out[dtype] = v1, v2
    return out


@pytest.fixture
def made(versions, tmp_path):
    """made(dtype, *options): v1, v2, the delta's path and what make said."""

    def make(dtype, *options):
        v1, v2 = versions[dtype]
        delta = tmp_path / f"{dtype}.delta"
        return v1, v2, delta, run_json("delta", "make", v1, v2, "-o", delta,
                                       *options)

    return make


@pytest.mark.parametrize("dtype", ["f32", "int8"])
def test_lossless(made, dtype, tmp_path):
    v1, v2, delta, said = made(dtype)
    back = tmp_path / "back.safetensors"
    applied = run_json("delta", "apply", v1, delta, "-o", back)
    assert back.read_bytes() == v2.read_bytes()
    assert said["mode"] == "lossless"
    assert said["delta_bytes"] == delta.stat().st_size < v2.stat().st_size
    assert said["new_sha256"] == applied["new_sha256"] == sha256(v2)
    assert said["old_sha256"] == sha256(v1)
    print(dtype, v2.stat().st_size, said["delta_bytes"])


def test_smaller_than_zstd(made, tmp_path):
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed (tools/install_packages.sh test)")
    # bench/adapter_delta.py has the figures after whole trainings.
    for dtype, share in ("int8", 0.8), ("f32", 0.95):
        v1, v2, delta, said = made(dtype)
        peer = tmp_path / "peer.zst"
        subprocess.run(["zstd", "-q", "-f", "--ultra", "-22",
                        f"--patch-from={v1}", v2, "-o", peer], check=True)
        print(dtype, said["delta_bytes"], peer.stat().st_size)
        assert said["delta_bytes"] < share * peer.stat().st_size


def test_lossy_answers_as_well(made, tmp_path):
    there, back = tmp_path / "there", tmp_path / "back"
    v1, v2, delta, said = made("f32", "--bits", 8, "--result", there)
    run_json("delta", "apply", v1, delta, "-o", back)
    assert back.read_bytes() == there.read_bytes() != v2.read_bytes()
    assert said["mode"] == "lossy"
    assert 4 * said["delta_bytes"] <= v2.stat().st_size
    wanted = run_json("eval", KWS, "--adapter", v2)["accuracy"]
    got = run_json("eval", KWS, "--adapter", back)["accuracy"]
    assert abs(got - wanted) <= 0.003
    # The rest follows from what devices have, not from what was aimed at.
    rest = run_json("delta", "make", back, v2, "-o", tmp_path / "rest.delta")
    assert rest["mode"] == "lossless"
    run_json("delta", "apply", back, tmp_path / "rest.delta", "-o", there)
    assert there.read_bytes() == v2.read_bytes()


def test_inspect(made):
    v1, v2, delta, _ = made("int8")
    head = run_json("delta", "inspect", delta)
    assert head["new_bytes"] == v2.stat().st_size and "tensors" not in head
    tensors = run_json("delta", "inspect", delta, "--old", v1)["tensors"]
    assert sum(t["bytes"] for t in tensors) == v2.stat().st_size
    took = sum(t["delta_bytes"] for t in tensors) + head["head_bytes"]
    assert abs(took - delta.stat().st_size) < 10
    shown = run("delta", "inspect", delta, "--old", v1).stdout
    assert "quantizer.scale" in shown and "lossless" in shown


def refused(code, *args):
    done = run("delta", *args)
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_refusals_leave_what_is_there(made, versions, tmp_path):
    v1, v2, delta, _ = made("int8")
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"the old state")
    before = sha256(v1)

    def bad(data):
        path = tmp_path / "bad.delta"
        path.write_bytes(data)
        return refused(3, "apply", v1, path, "-o", out)

    data = delta.read_bytes()
    assert "another precursor" in refused(3, "apply", v2, delta, "-o", out)
    other = versions["f32"][0]
    assert "another precursor" in refused(3, "apply", other, delta, "-o", out)
    assert "truncated" in bad(data[:-1])
    assert "truncated" in bad(data[:50])
    assert "padded" in bad(data + b"\0")
    assert "not a delta" in bad(v1.read_bytes())
    assert "CRC-32" in bad(data[:30] + bytes([data[30] ^ 1]) + data[31:])
    bad(data[:500] + bytes([data[500] ^ 8]) + data[501:])
    assert "quantizer" in refused(3, "make", v1, other, "-o", out)
    refused(3, "make", v1, delta, "-o", out)
    assert "an input" in refused(2, "apply", v1, delta, "-o", v1)
    # The same file by another path is one, too.
    assert "an input" in refused(2, "apply", v1, delta, "-o",
                                 v1.parent / ".." / v1.parent.name / v1.name)
    assert "above the limit of 1024" in refused(
        4, "apply", v1, delta, "-o", out, "--max-bytes", "1K")
    assert "--result" in refused(2, "make", v1, v2, "--bits", 8, "-o", out)
    assert run("delta", "make", v1, v2, "--bits", 5, "-o", out).returncode == 2
    refused(5, "apply", v1, delta, "-o", tmp_path / "no" / "folder")
    assert "both" in refused(2, "make", v1, v2, "--bits", 8, "-o", out,
                             "--result", out)
    # What is there and no file is not replaced by one.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for command in (["apply", v1, delta], ["make", v1, v2]):
        assert "not a regular file" in refused(5, *command, "-o", pipe)
    assert pipe.is_fifo()
    pipe.unlink()
    assert out.read_bytes() == b"the old state" and sha256(v1) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "bad.delta", "int8.delta", "out.safetensors"]


def test_the_result_must_satisfy_the_policy(made, tmp_path):
    policy, out = tmp_path / "trust.toml", tmp_path / "out.safetensors"
    key = tmp_path / "release.key"
    run_json("keys", "generate", key)
    run_json("keys", "trust", "release", f"{key}.pub", "--policy", policy)
    v1, v2, delta, _ = made("int8")
    apply = ["apply", v1, delta, "-o", out, "--policy", policy]
    assert "refused by the signature check" in refused(3, *apply)
    assert not out.exists()
    signed = tmp_path / "signed.safetensors"
    run_json("sign", v2, "--key", key, "--out", signed)
    run_json("delta", "make", v1, signed, "-o", delta)
    run_json("delta", *apply)
    assert out.read_bytes() == signed.read_bytes()
    # What is known as one adapter does not become another, or none.
    bath, kitchen = (tmp_path / f"{n}.safetensors" for n in ("bath", "kitchen"))
    for name, file in (("bath", bath), ("kitchen", kitchen)):
        run_json("sign", v2, "--key", key, "--adapter-name", name, "--out", file)
    for other in (bath, signed):
        run_json("delta", "make", kitchen, other, "-o", delta)
        refused(3, "apply", kitchen, delta, "-o", out, "--policy", policy)
        run_json("delta", "apply", kitchen, delta, "-o", out)
    policy.write_text("max_bytes = 1000\n" + policy.read_text())
    assert "above the limit of 1000" in refused(
        4, "apply", kitchen, delta, "-o", out, "--policy", policy)
    # Nobody could have signed what a lossy delta gives.
    assert "signed" in refused(2, "make", v1, signed, "--bits", 8, "-o", delta,
                               "--result", out)


def test_help_has_an_example():
    for command in [], ["make"], ["apply"], ["inspect"]:
        assert "Example:" in run("delta", *command, "--help").stdout


def example(version, scale, q):
    """The adapter of docs/delta-format.md."""
    meta = {"base_sha256": "b", "format_version": "2", "method": "lora",
            "quantizer": "int8/tensor", "version": version}
    header = {"__metadata__": meta,
              "quantizer.scale": {"dtype": "F32", "shape": [1],
                                  "data_offsets": [0, 4]},
              "a": {"dtype": "I8", "shape": [4, 12], "data_offsets": [4, 52]}}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + struct.pack("<f48b", scale, *q)


def test_the_documented_example(tmp_path):
    q1 = [(i * i * 37) % 255 - 127 for i in range(48)]
    q2 = [max(-127, min(127, v + (i * 7) % 5 - 2)) for i, v in enumerate(q1)]
    v1, v2, delta = (tmp_path / name for name in ("v1", "v2", "delta"))
    v1.write_bytes(example("1", 0.5, q1))
    v2.write_bytes(example("2", 0.5625, q2))
    run_json("delta", "make", v1, v2, "-o", delta)
    page = (ROOT / "docs" / "delta-format.md").read_text()
    block = re.search(r"```hex\n(.*?)```", page, re.DOTALL).group(1)
    assert delta.read_bytes() == bytes.fromhex(block)
