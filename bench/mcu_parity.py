"""Fifty training steps of printed C99 on every processor: the same bytes?

    python bench/mcu_parity.py                       all that is not there yet
    python bench/mcu_parity.py --models kws --again  some, anew

Each run's adapter and answer are held against those of this machine, made by
the same command without a target. Rows are kept as they come, in
bench/results/mcu_parity.json; bench/mcu_page.py makes the page.
"""

import argparse
import shutil
import sys
import time

from pages import read
from session import RESULTS, ROOT, WORK, cli, save

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "python")]

import mcu  # noqa: E402
from mcu.model import run_model  # noqa: E402

STEPS = 50
INT8 = {"kws": "kws_ref_model.tflite", "resnet8": "pretrainedResnet_quant.tflite",
        "vww": "vww_96_int8.tflite", "ad": "ad01_int8.tflite"}
FLOAT = {"kws": "kws_ref_model_float32.tflite", "resnet8": "pretrainedResnet.tflite",
         "vww": "vww_96_float.tflite", "ad": "ad01_fp32.tflite"}
METHODS = ["lora", "bitfit", "ia3", "sparse", "bottleneck"]
PRECISIONS = ["integer", "mixed", "f32"]
WITH_FPU = ["aarch64", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "riscv64"]
ALL = [*WITH_FPU, "cortex-m3", "cortex-m0plus", "riscv32"]
TIME_LIMIT = 3600


def train(model, method, precision, target):
    """A ModelRun; target "host": this machine."""
    folder = WORK / "mcu_parity"
    shutil.rmtree(folder, ignore_errors=True)
    board = mcu.load_target(target) if target not in ("host", "aarch64") else None
    file = (FLOAT if precision == "f32" else INT8)[model]
    plan = cli.run_json("compile", cli.MODELS / file, "--out", folder, "--method",
                        method, "--precision", precision,
                        *(["--rank", 4] if method == "lora" else []),
                        *(["--target", target] if board else []))
    there = ({"compiler": "aarch64-linux-gnu-gcc",
              "emulator": ["qemu-aarch64-static"]} if target == "aarch64" else {})
    return run_model(plan, STEPS, board, count=False, time_limit=TIME_LIMIT,
                     **there)


def row_of(model, method, precision, target, here):
    row = {"model": model, "method": method, "precision": precision,
           "target": target, "steps": STEPS, "adapter_sha256": ""}
    start = time.monotonic()
    try:
        run = train(model, method, precision, target)
    except (AssertionError, mcu.RunError, mcu.BuildError, OSError) as error:
        return row | {"verdict": str(error).strip().splitlines()[-1]}
    same = here is None or (
        run.adapter_sha256 == here["adapter_sha256"] != ""
        and run.answer_sha256 == here["answer_sha256"])
    return row | {"adapter_sha256": run.adapter_sha256,
                  "answer_sha256": run.answer_sha256,
                  "seconds": round(time.monotonic() - start, 1),
                  "verdict": "equal" if same else "differs"}


def cells(models, methods, precisions):
    """Cheap ones first: every method and processor on a small model, before a
    large one."""
    for model in models:
        for method in methods:
            for precision in precisions:
                for target in ALL if precision == "integer" else WITH_FPU:
                    yield model, method, precision, target


def key(row):
    return tuple(row[k] for k in ("model", "method", "precision", "target"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", choices=list(INT8),
                        default=["ad", "kws", "resnet8", "vww"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS,
                        default=PRECISIONS)
    parser.add_argument("--again", action="store_true",
                        help="also what has been measured")
    args = parser.parse_args()
    if not cli.MODELS.is_dir():
        print(f"mcu_parity: real inputs are absent: no folder {cli.MODELS}")
        return 0
    rows = {key(r): r for r in read(RESULTS / "mcu_parity.json")}
    # What was refused or did not come to its end is tried anew.
    done = set() if args.again else {
        k for k, r in rows.items() if r["verdict"] in ("equal", "differs")}
    for cell in cells(args.models, args.methods, args.precisions):
        for target in ("host", cell[-1]):
            place = (*cell[:3], target)
            if place in done:
                continue
            done.add(place)
            rows[place] = row_of(*place, rows.get((*cell[:3], "host"))
                                 if target != "host" else None)
            print(*place, rows[place]["verdict"], rows[place].get("seconds", ""),
                  flush=True)
            save("mcu_parity", list(rows.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
