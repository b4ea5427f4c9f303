"""Adapters and training states in flash on emulated boards: instructions of each
call of ft_store.h, and bytes.

    python bench/mcu_store.py        figures to bench/results

The demo's keyword model with LoRA of rank 8, two signed adapters; the flash is
simulated in RAM, so erasing and programming cost next to nothing.
"""

import shutil
import sys

from session import ROOT, WORK, save

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "python")]

import mcu  # noqa: E402
from store_life import lived, make_life  # noqa: E402

BOARDS = ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33",
          "cortex-m55", "riscv32"]
CALLS = ["swap", "open", "install", "save", "load"]
LOG_RECORD_BYTES = 64  # FT_FLASH_RECORD_BYTES


def fresh(name):
    folder = WORK / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def row_of(board, precision, fields, run):
    return {"target": board, "precision": precision,
            **{f"{call}_instructions": run.sections[call].instructions
               for call in CALLS},
            "stack_bytes": max(s.stack_bytes for s in run.sections.values()),
            "adapter_bytes": fields["adapter_bytes"],
            "state_bytes": fields["state_bytes"],
            "state_bytes_but_values": (fields["state_bytes"] -
                                       fields["persistent_bytes"]),
            "record_bytes": LOG_RECORD_BYTES,
            "region_bytes": fields["store_bytes"]}


def main():
    rows = []
    for precision in "integer", "mixed":
        life = make_life(fresh("mcu_store"), precision)
        here = lived(life, fresh("mcu_store_here"), 1)
        for board in BOARDS:
            target = mcu.load_target(board)
            missing = target.missing_programs()
            if missing:
                print(f"{board}: not installed: {missing}")
                continue
            if precision == "mixed" and not target.has_fpu:
                continue
            said, files, run, fields = lived(life, fresh("mcu_store_there"), 1,
                                             target)
            rows.append(row_of(board, precision, fields, run) | {
                "bits_as_here": (said, files) == here[:2]})
            print(*rows[-1].values(), flush=True)
    save("mcu_store", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
