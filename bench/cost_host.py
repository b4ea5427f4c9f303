"""What `fieldtune plan --target host` predicts against the time that `fieldtune
bench` measures, on one pinned core.

    python bench/cost_host.py

Calibrates into a folder of its own, so that the user's calibration stays. What is
measured is the fastest median of ROUNDS rounds over all models: other work on the
machine only makes a step slower.
"""

import argparse
import os
from pathlib import Path

from session import WORK, cli, pinned, save

MODELS = {"kws": "kws_ref_model", "resnet8": "pretrainedResnet_quant",
          "vww": "vww_96_int8", "ad": "ad01_int8",
          "resnet8 f32": "pretrainedResnet"}
STEPS = {"mixed": ["--precision", "mixed"], "integer": ["--precision", "integer"]}
ROUNDS = 5
LORA = ["--method", "lora", "--rank", 4]


def row(model, program, precision, predicted_ms, measured):
    return {"model": model, "program": program, "precision": precision,
            "predicted_ms": round(predicted_ms, 4),
            "measured_ms": round(measured / 1e3, 4),
            "error_percent": round(100 * (predicted_ms / (measured / 1e3) - 1), 1)}


def fastest(times, key, *args):
    done = cli.run_json("bench", *args, prefix=pinned())
    us = done.get("step_us", done.get("infer_us"))
    times[key] = min(us, times.get(key, us))


def steps():
    """(name, file, precision, options) of each training step."""
    for name, file in MODELS.items():
        for precision, options in STEPS.items():
            if precision == "mixed" or "f32" not in name:
                yield name, cli.MODELS / f"{file}.tflite", precision, options


def measure():
    """{(model, precision or "infer"): microseconds}"""
    times = {}
    for _ in range(ROUNDS):
        for name, file in MODELS.items():
            fastest(times, (name, "infer"), cli.MODELS / f"{file}.tflite")
        for name, path, precision, options in steps():
            fastest(times, (name, precision), path, "--train", *LORA, *options)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, default=cli.BINARY)
    cli.BINARY = parser.parse_args().binary
    if not cli.MODELS.is_dir():
        print(f"cost_host: real inputs are absent: no folder {cli.MODELS}")
        return
    os.environ["XDG_CACHE_HOME"] = str(WORK / "cache")
    print(cli.run_json("bench", "--calibrate", prefix=pinned()))
    times, rows = measure(), []
    for name, path, precision, options in steps():
        plan = cli.run_json("plan", path, *LORA, *options, "--target", "host")
        rows.append(row(name, "step", precision, plan["step_ms"],
                        times[name, precision]))  # fmt: skip
        if precision == "mixed":
            rows.append(row(name, "infer", "f32" if "f32" in name else "int8",
                            plan["merged_infer_ms"], times[name, "infer"]))  # fmt: skip
    for r in rows:
        print(r)
    save("cost_host", rows)


if __name__ == "__main__":
    main()
