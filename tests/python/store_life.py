"""An adapter's life in flash (tests/mcu/store_driver.c): images that `fieldtune
export` signs, and the program that takes them, here or on an emulated board."""

import hashlib
import shutil
import struct
import subprocess
import sys
import zlib

import numpy as np

from fieldtune_cli import ROOT, run_json

sys.path.insert(0, str(ROOT / "tools"))

import mcu  # noqa: E402
from mcu.build import FLAGS  # noqa: E402
from mcu.model import samples_header  # noqa: E402

DEMO = ROOT / "examples" / "demo" / "keyword_base.tflite"
DRIVER = ROOT / "tests" / "mcu" / "store_driver.c"
# With states that begin as zeros, and with 8-bit moments that do not.
OPTIMIZERS = {"integer": "adamw", "mixed": "adamw8bit"}


def export(adapter, out, version, number, key):
    return run_json(
        "export", adapter, "--to", "device-image", "--model", DEMO,
        "--adapter-version", version, "--adapter-number", number, "--sign",
        key, "--out", out)  # fmt: skip


def flip_base_hash(path, out):
    """The image of another base model, its header's CRC to match. Its signature
    is never looked at: the device knows before."""
    image = bytearray(path.read_bytes())
    image[92] ^= 1
    image[4:8] = struct.pack("<I", zlib.crc32(image[:4] + image[8:128]))
    out.write_bytes(image)


def make_life(folder, precision):
    """Adapters a and b in `folder`, their images, and those to refuse; what
    `lived` takes."""
    rng = np.random.default_rng(1)
    shape = run_json("inspect", DEMO)["inputs"][0]["shape"]
    np.save(folder / "x.npy", rng.normal(size=(10, *shape[1:])).astype("f4"))
    np.save(folder / "y.npy", (np.arange(10) % 5).astype("i4"))
    for number, name in enumerate("ab"):
        run_json("train", DEMO, "--data", folder / "x.npy", "--labels",
                 folder / "y.npy", "--classes", 5, "--epochs", 1, "--seed",
                 number, "--precision", precision, "--out",
                 folder / f"{name}.safetensors")  # fmt: skip
    for name in ("ours", "theirs"):
        run_json("keygen", folder / f"{name}.key")
    a, b, key = folder / "a.safetensors", folder / "b.safetensors", folder / (
        "ours.key")
    exported = export(a, folder / "a.img", 2, 0, key)
    export(b, folder / "b.img", 2, 1, key)
    export(b, folder / "old.img", 1, 1, key)
    export(b, folder / "forged.img", 3, 1, folder / "theirs.key")
    flip_base_hash(folder / "b.img", folder / "other.img")
    return folder, precision, exported


def compiled(folder, precision, out, *options):
    method = ["--classes", 5, "--precision", precision, "--optimizer",
              OPTIMIZERS[precision]]
    return run_json("compile", DEMO, *([] if "infer" in options else method),
                    "--flash", 2, "--public-key", folder / "ours.key.pub",
                    "--out", out, *options)  # fmt: skip


def sources_of(model):
    return [DRIVER, *(p for pattern in ("*.c", "flash/*.c", "kernels/*/*.c")
                      for p in sorted(model.glob(pattern)))]


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(folder.glob("*.bin"))}


def lived(life, scratch, steps, target=None, sanitize=(), options=()):
    """The lines that the driver said, digests of its files, the Run, and what
    `compile` said."""
    folder, precision, exported = life
    options = [*options, *(["--target", target.name] if target else [])]
    fields = compiled(folder, precision, scratch / "c", *options)
    assert fields["infer_plan_hash"] == exported["plan_hash"]
    assert fields["adapter_bytes"] == exported["payload_bytes"]
    if target:  # what lived() measures below is within it
        assert 2560 <= fields["stack_bytes"] < 16384
    work = scratch / "work"
    work.mkdir()
    for image in folder.glob("*.img"):
        shutil.copy(image, work)
    (work / "samples.h").write_text(samples_header(fields, steps))
    sources = sources_of(scratch / "c")
    if target is None:
        subprocess.run(["cc", *FLAGS, "-O1", "-Wall", "-Wextra", "-Wpedantic",
                        "-Wconversion", "-Werror", "-DFT_HOST", *sanitize,
                        "-I", work,
                        "-I", scratch / "c", *sources, "-lm", "-o",
                        work / "driver"], check=True)  # fmt: skip
        done = subprocess.run([work / "driver"], cwd=work, check=True,
                              capture_output=True, text=True)
        return done.stdout, digests(work), None, fields
    done = mcu.build_and_run(target, sources, folder=work, time_limit=600,
                             includes=[work, scratch / "c"])  # fmt: skip
    return done.output, digests(work), done, fields
