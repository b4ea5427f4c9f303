"""Writes docs/results/bits.md and bits.json from what bench/bits.py left.

    python bench/bits_page.py FOLDER
"""

import json
import platform
import sys
from pathlib import Path

import session
from main_job_page import table


def main():
    folder = Path(sys.argv[1])
    source = session.RESULTS / "bits.json"
    if not source.exists():
        print("bits: not measured yet, run make bits")
        return
    rows = json.loads(source.read_text())
    equal = all(row["equal"] for row in rows)
    lines = [
        "# The same bits everywhere",
        "",
        "Made by `make bits` (bench/bits.py): the int8 and the float keyword "
        "model of MLPerf Tiny, three takes of each digit of one speaker, two "
        "epochs. `equal` compares with the first build of the same case; "
        "AArch64 runs in QEMU. The same figures as data: "
        "[bits.json](bits.json).",
        "",
        f"Machine: {session.cpu_name()}, {platform.system()} "
        f"{platform.machine()}; commit {session.commit()}.",
        "",
        "All equal." if equal else "**Not all are equal.**",
        "",
        *table(rows),
    ]
    (folder / "bits.md").write_text("\n".join(lines) + "\n")
    session.cli.save_rows(folder / "bits.json", rows)
    print(f"wrote {folder / 'bits.md'} and bits.json")


if __name__ == "__main__":
    main()
