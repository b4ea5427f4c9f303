"""Writes docs/results/bits.md and bits.json from what bench/bits.py left.

    python bench/bits_page.py FOLDER
"""

import sys
from pathlib import Path

import session
from pages import head, read, table, write

WHAT = (
    "The int8 and the float keyword model of MLPerf Tiny learn three takes of "
    "each digit of one speaker in two epochs; `equal` compares with the first "
    "build of the same case. AArch64 runs in QEMU. Integer kernels are exact "
    "in every row, float ones with `--exact`."
)


def main():
    rows = read(session.RESULTS / "bits.json")
    lines = head("The same bits everywhere", "bits", "bits_page.py")
    lines += ["", WHAT, "", "Made by `make bits`.", ""]
    if rows:
        equal = all(row["equal"] for row in rows)
        lines += ["All equal." if equal else "**Not all are equal.**", ""]
        lines += table(rows)
    else:
        lines.append("Not measured yet: run the command above.")
    write(Path(sys.argv[1]), "bits", lines, rows)


if __name__ == "__main__":
    main()
