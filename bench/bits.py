"""adapter_sha256 of the same training by other compilers, optimization levels
and processors; `make bits` builds them and calls this.

    python bench/bits.py

A build that does not exist is an error: the page must not claim less than it
says. Features are computed once and read as arrays, because resampling belongs
to a library whose bits are its own.
"""

import json
import subprocess
import sys

import numpy as np
from session import ROOT, WORK, cli, save

# Preset, what it is, how its programs are started here.
SYSROOT = ROOT / "build" / "arm64-sysroot"
BUILDS = [
    ("release", "x86-64, GCC 12, -O3", []),
    ("gcc-O0", "x86-64, GCC 12, -O0", []),
    ("clang-O0", "x86-64, Clang 14, -O0", []),
    ("clang-O3", "x86-64, Clang 14, -O3", []),
    ("arm64", "AArch64, GCC 12, -O3", ["qemu-aarch64-static", "-L", str(SYSROOT)]),
]
INT8, FLOAT = "kws_ref_model.tflite", "kws_ref_model_float32.tflite"
# Integer kernels are exact in every row; float ones with --exact.
CASES = [
    (INT8, "lora", "integer", []),
    (INT8, "bottleneck", "integer", ["--optimizer", "sgd"]),
    (INT8, "lora", "mixed", ["--exact"]),
    (FLOAT, "lora", "f32", ["--exact"]),
]
TAKES = 3  # of each digit
EPOCHS = 2


def write_features():
    """x.npy [30, 490] and y.npy [30] from recordings, by the release build."""
    tool = cli.BINARY.parent / "front_end_features"
    features, labels = [], []
    for digit in range(10):
        for take in range(TAKES):
            wav = cli.FSDD / "theo" / f"{digit}_theo_{take}.wav"
            out = WORK / "clip.npy"
            subprocess.run([tool, "mlperf-kws", wav, out], check=True)
            features.append(np.load(out).reshape(-1))
            labels.append(digit)
    np.save(WORK / "bits_x.npy", np.array(features, np.float32))
    np.save(WORK / "bits_y.npy", np.array(labels, np.int32))


def train(build, prefix, model, method, precision, options):
    command = [*prefix, str(ROOT / "build" / build / "fieldtune"), "train"]
    command += [str(cli.MODELS / model), "--data", str(WORK / "bits_x.npy")]
    command += ["--labels", str(WORK / "bits_y.npy"), "--new-head"]
    command += ["--method", method, "--precision", precision, *options]
    command += ["--epochs", str(EPOCHS), "--seed", "1"]
    command += ["--out", str(WORK / f"bits_{build}.safetensors"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}:\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    missing = [
        b for b, *_ in BUILDS if not (ROOT / "build" / b / "fieldtune").exists()
    ]
    if missing:
        sys.exit(f"not built: {', '.join(missing)}; run make bits")
    WORK.mkdir(parents=True, exist_ok=True)
    write_features()
    rows = []
    for model, method, precision, options in CASES:
        first = None
        for build, what, prefix in BUILDS:
            got = train(build, prefix, model, method, precision, options)
            first = first or got
            rows.append(
                {
                    "precision": precision,
                    "method": method,
                    "build": what,
                    "steps": got["steps"],
                    "adapter_sha256": got["adapter_sha256"],
                    "plan_hash": got.get("plan_hash", ""),
                    "equal": got["adapter_sha256"] == first["adapter_sha256"],
                }
            )
            print(rows[-1], flush=True)
    save("bits", rows)
    return 0 if all(row["equal"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
