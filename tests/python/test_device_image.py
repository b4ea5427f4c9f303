"""`fieldtune keygen`, `export --to device-image` and `inspect` of images: bytes
held against the documented format, zlib and an adapter's own tensors.
"""

import hashlib
import os
import stat
import struct
import zlib

import numpy as np
import pytest
from fieldtune_cli import run, run_json
from safetensors.numpy import load_file
from small_models import CLASSES, conv_net

METHODS = ("lora", "bitfit", "ia3", "bottleneck", "head")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def base(folder):
    path = folder / "base.tflite"
    path.write_bytes(conv_net())
    return path


@pytest.fixture(scope="module")
def adapters(folder, base):
    """One adapter a method, trained for an epoch on noise."""
    rng = np.random.default_rng(1)
    shape = run_json("inspect", base)["inputs"][0]["shape"]
    np.save(folder / "x.npy", rng.normal(size=(12, *shape[1:])).astype("f4"))
    np.save(folder / "y.npy", rng.integers(0, CLASSES, 12).astype("i4"))
    made = {}
    for method in METHODS:
        made[method] = folder / f"{method}.safetensors"
        run_json("train", base, "--data", folder / "x.npy", "--labels",
                 folder / "y.npy", "--method", method, "--epochs", 1,
                 "--precision", "f32", "--out", made[method])  # fmt: skip
    return made


@pytest.fixture(scope="module")
def key(folder):
    path = folder / "release.key"
    run_json("keygen", path)
    return path


def export(adapter, base, out, *options):
    return run_json("export", adapter, "--to", "device-image", "--model", base,
                    "--out", out, *options)  # fmt: skip


def test_keys_are_for_their_owner_and_never_overwritten(key):
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    assert len(key.read_bytes()) == 32
    assert len(bytes.fromhex((key.parent / "release.key.pub").read_text())) == 32
    again = run("keygen", key)
    assert again.returncode == 2
    assert again.stderr.strip().endswith("exists and is not overwritten")


@pytest.mark.parametrize("method", METHODS)
def test_an_image_has_the_documented_bytes(method, adapters, base, tmp_path):
    out = tmp_path / "a.img"
    done = export(adapters[method], base, out, "--adapter-version", 7)
    image = out.read_bytes()
    assert len(image) == done["image_bytes"]
    header, payload = image[:128], image[128:]
    magic, crc, signature = header[:4], header[4:8], header[8:72]
    assert magic == b"FTDI" and signature == bytes(64)
    assert crc == struct.pack("<I", zlib.crc32(header[:4] + header[8:]))
    tag, version, kind, flags, size, number, payload_crc = struct.unpack(
        "<4sHBBIII", header[72:92]
    )
    assert (tag, version, kind, flags, number) == (b"FTDI", 1, 1, 0, 7)
    assert size == len(payload) == done["payload_bytes"]
    assert payload_crc == zlib.crc32(payload)
    digest = hashlib.sha256(base.read_bytes()).digest()
    assert header[92:108] == digest[:16]
    assert header[108:124] == bytes.fromhex(done["plan_hash"])[:16]
    # Every value of the adapter, and nothing else but padding to 16 bytes.
    tensors = load_file(adapters[method]).values()
    assert size % 16 == 0
    assert size == sum(-(-t.nbytes // 16) * 16 for t in tensors)
    values = np.frombuffer(payload, "<f4")
    stored = np.concatenate([t.ravel() for t in tensors])
    assert sorted(values[values != 0]) == sorted(stored[stored != 0])
    assert export(adapters[method], base, tmp_path / "b.img",
                  "--adapter-version", 7)["image_sha256"] == (
        hashlib.sha256(image).hexdigest())  # fmt: skip


def test_signatures_and_inspect(adapters, base, key, tmp_path):
    out, public = tmp_path / "a.img", f"{key}.pub"
    export(adapters["lora"], base, out, "--sign", key, "--adapter-version", 2)
    shown = run_json("inspect", out, "--public-key", public)
    assert shown["kind"] == "adapter" and shown["adapter_version"] == 2
    assert shown["signed"] and shown["signature_checked"]
    digest = hashlib.sha256(base.read_bytes()).hexdigest()
    assert shown["base_sha256_prefix"] == digest[:32]
    assert not run_json("inspect", out)["signature_checked"]

    run_json("keygen", tmp_path / "other.key")
    refused = run("inspect", out, "--public-key", tmp_path / "other.key.pub")
    assert refused.returncode == 3
    assert "not by the owner of this public key" in refused.stderr
    image = bytearray(out.read_bytes())
    image[84] ^= 1  # another version, with a CRC to match
    image[4:8] = struct.pack("<I", zlib.crc32(image[:4] + image[8:128]))
    out.write_bytes(image)
    assert run_json("inspect", out)["adapter_version"] == 3
    assert run("inspect", out, "--public-key", public).returncode == 3


@pytest.mark.parametrize(
    ("at", "sentence"),
    [(90, "the header's CRC-32 does not match"),
     (128, "the payload's CRC-32 does not match"),
     (-1, "the payload's CRC-32 does not match")],
)  # fmt: skip
def test_damaged_images_are_refused(at, sentence, adapters, base, tmp_path):
    out = tmp_path / "a.img"
    export(adapters["bitfit"], base, out)
    image = bytearray(out.read_bytes())
    image[at] ^= 4
    out.write_bytes(image)
    refused = run("inspect", out)
    assert refused.returncode == 3
    assert refused.stderr == f"fieldtune: '{out}': {sentence}\n"


def test_bad_calls_are_one_sentence(adapters, base, key, tmp_path):
    def refused(code, part, *args):
        done = run(*args)
        assert done.returncode == code, done.stderr
        assert part in done.stderr and done.stderr.count("\n") == 1

    image = ("export", adapters["lora"], "--out", tmp_path / "a.img", "--to",
             "device-image")  # fmt: skip
    refused(2, "give the base model with --model", *image)
    image = (*image, "--model", base)
    assert run(*image, "--adapter-version", -1).returncode == 2
    refused(3, "has 65 bytes", *image, "--sign", f"{key}.pub")
    refused(5, "cannot open", *image, "--sign", tmp_path / "none")
    refused(2, "--adapter-dtype", *image, "--adapter-dtype", "int8")
    refused(2, "--sign", "export", adapters["lora"], "--to", "peft", "--out",
            tmp_path / "p", "--sign", key)  # fmt: skip
    refused(2, "--adapter-version", "export", adapters["lora"], "--to", "peft",
            "--out", tmp_path / "p", "--adapter-version", 2)  # fmt: skip
    refused(2, "not a device image", "inspect", base, "--public-key",
            f"{key}.pub")  # fmt: skip
    other = tmp_path / "other.tflite"
    other.write_bytes(conv_net(seed=5))
    refused(3, "base", "export", adapters["lora"], "--to", "device-image",
            "--model", other, "--out", tmp_path / "a.img")  # fmt: skip
    assert not (tmp_path / "a.img").exists()
