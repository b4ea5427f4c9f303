"""Inference with training in the background of the same process: how much later
answers come, and how much is learned meanwhile.

    python bench/adapter_background.py [--quick]

A request every two milliseconds, in turns with nobody training, training by an
idle-class thread on the same core, and on the other one
(build/release/background_bench). Quantiles are of all turns together, ratios are
between turns of one run.
"""

import json
import os
import subprocess
import sys

from adapter_runtime import KWS, RESNET, Rows
from session import ROOT, WORK, cli, save

BENCH = ROOT / "build" / "release" / "background_bench"
MODELS = {"KWS": KWS, "ResNet-8": RESNET}
SECONDS, SECONDS_QUICK = 20, 5


def main():
    if not cli.MODELS.is_dir():
        print(f"adapter_background: real inputs are absent: no folder {cli.MODELS}")
        return 0
    cores = sorted(os.sched_getaffinity(0))
    seconds = SECONDS_QUICK if "--quick" in sys.argv else SECONDS
    rows = Rows()
    for model, path in MODELS.items():
        done = subprocess.run(
            [BENCH, path, WORK / "background", str(cores[-1]), str(cores[0]), str(seconds)],
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        result = json.loads(done.stdout)
        off, *training = result["phases"]
        rows.add(f"{model}, inference p99 without training", off["p99_us"], "us")
        for phase in training:
            where = f"{model}, training on the {phase['phase']}"
            rows.add(f"{where}, inference p99 over that", phase["p99_over_off"], "ratio", 1.1)
            rows.add(f"{where}, training steps", phase["steps"] / seconds, "1/s", 1, at_least=True)
        rows.add(f"{model}, longest slice of training", result["longest_slice_us"], "us")
    save("adapter_background", rows.rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
