"""Writes docs/results/fuzz.md and fuzz.json from what `make fuzz` measured.

    python bench/fuzz_page.py FOLDER

A fuzzer that was not run since keeps its row.
"""

import sys
from pathlib import Path

import session
from pages import head, read, table, write

RUNS = session.ROOT / "build" / "fuzz" / "figures"  # tools/fuzz_for.py
FIGURES = session.RESULTS / "fuzz.json"
WHAT = (
    "Every parser of files from outside under libFuzzer with AddressSanitizer "
    "and UndefinedBehaviorSanitizer: no crash, no hang (10 s for an "
    "input where its row says nothing else), no allocation above 64 MB at "
    "once. Each run starts from what earlier ones found, from "
    "the real files that are here and from valid ones that the fuzzer makes. "
    "Minutes are of processor time of the last run."
)


def rows_now():
    """One row a fuzzer: the last run's, else the one that was known."""
    rows = {row["fuzzer"]: row for row in read(FIGURES)}
    for file in sorted(RUNS.glob("*.json")):
        row = read(file)
        rows[row["fuzzer"]] = row
    return [rows[name] for name in sorted(rows)]


def main():
    rows = rows_now()
    if RUNS.exists():
        session.save("fuzz", rows)
    lines = head("Fuzzing", "fuzz", "fuzz_page.py")
    lines += ["", WHAT, "", "Made by `make fuzz`.", ""]
    lines += table(rows) if rows else ["Not run yet: use the command above."]
    write(Path(sys.argv[1]), "fuzz", lines, rows)


if __name__ == "__main__":
    main()
