"""The printed audio front end on emulated boards: instructions of a hop of 20 ms
and of reading the model's input, memory, and equal bits.

    python bench/mcu_front_end.py        figures to bench/results

The front end is that of MLPerf Tiny's keyword model, on its two test words.
"""

import shutil
import sys
import wave

from session import ROOT, WORK, cli, save

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "python")]

import mcu  # noqa: E402
from mcu.front_end import run_front_end  # noqa: E402

WORDS = cli.SHARED / "data" / "speech_samples"
BOARDS = {"fixed": ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m55",
                    "riscv32"],
          "float": ["cortex-m4", "cortex-m7", "cortex-m55"]}


def clip(word):
    with wave.open(str(WORDS / f"{word}_1000ms.wav")) as f:
        return f.readframes(16000).ljust(32000, b"\0")


def run_on(board, arithmetic, clips):
    folder = WORK / "mcu_front_end"
    shutil.rmtree(folder, ignore_errors=True)
    options = ["--target", board] if board else []
    plan = cli.run_json("compile", cli.MODELS / "kws_ref_model.tflite",
                        "--program", "infer", "--front-end", "mlperf-kws",
                        "--front-end-arithmetic", arithmetic, "--out", folder,
                        *options)
    target = mcu.load_target(board) if board else None
    return plan, run_front_end(plan, clips, target)


def main():
    if not WORDS.is_dir():
        print(f"mcu_front_end: real inputs are absent: no folder {WORDS}")
        return 0
    clips, rows = [clip("yes"), clip("no")], []
    for arithmetic, boards in BOARDS.items():
        here = run_on(None, arithmetic, clips)[1]
        for board in boards:
            missing = mcu.load_target(board).missing_programs()
            if missing:
                print(f"{board}: not installed: {missing}")
                continue
            plan, run = run_on(board, arithmetic, clips)
            rows.append({"front_end": "mlperf-kws", "arithmetic": arithmetic,
                         "target": board,
                         "hop_instructions": run.push_instructions,
                         "input_instructions": run.input_instructions,
                         "ram_bytes": plan["front_end_bytes"],
                         "stack_bytes": run.stack_bytes,
                         "bits_as_here": run.inputs == here.inputs})
            print(*rows[-1].values(), flush=True)
    save("mcu_front_end", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
