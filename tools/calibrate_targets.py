#!/usr/bin/env python3
"""Fits what kernel rows cost on each emulated target: targets/kernel_costs.txt.

    .venv/bin/python tools/calibrate_targets.py [cortex-m4 ...]

Compiles the networks of calibration_nets.py for inference and for training in
each precision, runs them under QEMU (tools/mcu), and counts the instructions of
every call, exactly. fit_costs fits each row's linear model to its calls, and
that of each class of op and type for rows that no network has. Rows of targets
that were not measured now are kept. `make calibrate-targets` runs it.
"""

import argparse
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "python")]

import fieldtune_cli as cli  # noqa: E402
import mcu  # noqa: E402
from calibration_nets import write_nets  # noqa: E402
from mcu.profile import profile  # noqa: E402

TABLE = ROOT / "targets" / "kernel_costs.txt"
WORK = ROOT / "build" / "calibration"
FIT = ROOT / "build" / "release" / "fit_costs"
SGD = ["--optimizer", "sgd", "--momentum", 0]
LORA = ["--method", "lora"]
JOBS = [  # network, options of compile
    ("photo", ["--program", "infer"]),
    ("photo", [*LORA, "--rank", 4, "--precision", "integer"]),
    ("photo", [*LORA, "--rank", 3, "--precision", "mixed"]),
    ("sound", [*LORA, "--rank", 8, "--precision", "integer", *SGD]),
    ("sound", [*LORA, "--rank", 4, "--precision", "mixed", *SGD]),
    ("sound", ["--program", "infer"]),
    ("planes", [*LORA, "--rank", 2, "--precision", "integer"]),
    ("planes", [*LORA, "--rank", 8, "--precision", "f32"]),
    ("planes", ["--program", "infer"]),
    ("wide", ["--program", "infer"]),
    ("wide", [*LORA, "--rank", 4, "--precision", "integer"]),
    ("wide", [*LORA, "--rank", 4, "--precision", "mixed"]),
    ("tiles", ["--program", "infer"]),
    ("tiles", [*LORA, "--rank", 4, "--precision", "integer"]),
    ("tiles", [*LORA, "--rank", 4, "--precision", "mixed"]),
    ("ends", ["--program", "infer"]),
    ("ends", [*LORA, "--rank", 4, "--precision", "integer"]),
    ("ends", [*LORA, "--rank", 8, "--precision", "mixed"]),
    ("deep", ["--method", "full", "--precision", "f32"]),
    ("photo", ["--method", "ia3", "--precision", "integer"]),
    ("sound", ["--method", "bitfit", "--precision", "mixed"]),
]
HEAD = """\
# What calls of kernel rows cost, by target. Made by tools/calibrate_targets.py (make
# calibrate-targets): instructions under QEMU, fitted to the calls of the networks in
# tools/calibration_nets.py. x86-64 is `fieldtune bench --calibrate`, in nanoseconds.
# target row calls error, and units per call element product row run read, product
# outside of the image, and block of products (src/plan/kernel_costs.h)
"""


def measure(target, net, path, options):
    """Lines for fit_costs: key, instructions and the work of each call."""
    folder = WORK / f"{target}-{net}-{abs(hash(str(options)))}"
    calls = profile(cli, path, mcu.load_target(target), options, folder)
    lines = []
    for call in calls:
        numbers = [call[k] for k in ("instructions", "elements", "macs", "rows",
                                     "runs", "reads", "outside", "blocks")]
        keys = {call["kernel"], call["kernel"] + call["variant"], call["class_key"],
                call["class"]}
        for key in sorted(keys):
            lines.append(" ".join(map(str, [key, *numbers])))
    return lines


def fit(target, lines):
    done = subprocess.run([FIT], input="\n".join(lines) + "\n", text=True,
                          capture_output=True, check=True)
    return [f"{target} {line}" for line in done.stdout.splitlines()]


def measure_target(target, nets, jobs):
    lines = []
    with ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(measure, target, net, nets[net], options)
                for net, options in JOBS]
        for (net, options), run in zip(JOBS, runs):
            try:
                lines += run.result()
            except (AssertionError, mcu.RunError, mcu.BuildError) as error:
                last = str(error).strip().splitlines()[-1]
                print(f"{target}: {net} {' '.join(map(str, options))}: {last}",
                      flush=True)
    return fit(target, lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=mcu.target_names())
    parser.add_argument("--jobs", type=int, default=2)
    args = parser.parse_args()
    nets = write_nets(WORK / "nets")
    rows = [line for line in TABLE.read_text().splitlines()
            if line and not line.startswith("#")] if TABLE.exists() else []
    for target in args.targets:
        missing = mcu.load_target(target).missing_programs()
        if missing:
            print(f"{target}: not installed: {', '.join(missing)}")
            continue
        fitted = measure_target(target, nets, args.jobs)
        rows = [r for r in rows if not r.startswith(target + " ")] + fitted
        print(f"{target}: {len(fitted)} rows", flush=True)
        TABLE.write_text(HEAD + "\n".join(sorted(rows)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
