"""Writes docs/results/fuzz.md and fuzz.json from the log of the last `make fuzz`.

    python bench/fuzz_page.py FOLDER
"""

import re
import sys
from pathlib import Path

import session
from pages import head, read, table, write

LOG = session.ROOT / "build" / "fuzz" / "Testing" / "Temporary" / "LastTest.log"
FIGURES = session.RESULTS / "fuzz.json"
WHAT = (
    "Every parser of files from outside under libFuzzer with AddressSanitizer "
    "and UndefinedBehaviorSanitizer: no crash, no hang (10 s), no allocation "
    "beyond its bound. Each run starts from what earlier ones found and from "
    "the real files that are here."
)


def stat(text, name):
    found = re.search(rf"stat::{name}:\s*(\d+)", text)
    return int(found.group(1)) if found else None


def rows_of(log):
    """One row a fuzzer."""
    rows = []
    for part in re.split(r"^\d+/\d+ Testing: ", log, flags=re.M)[1:]:
        seconds = re.search(r"Test time =\s*([\d.]+) sec", part)
        covered = re.findall(r"cov: (\d+)", part)
        rows.append({
            "fuzzer": part.split("\n", 1)[0].strip(),
            "seconds": float(seconds.group(1)) if seconds else None,
            "executions_count": stat(part, "number_of_executed_units"),
            "edges_covered_count": int(covered[-1]) if covered else None,
            "peak_rss_mb": stat(part, "peak_rss_mb"),
            "passed": "Test Passed." in part,
        })  # fmt: skip
    return rows


def main():
    rows = rows_of(LOG.read_text()) if LOG.exists() else read(FIGURES)
    if LOG.exists():
        session.save("fuzz", rows)
    lines = head("Fuzzing", "fuzz", "fuzz_page.py")
    lines += ["", WHAT, "", "Made by `make fuzz`.", ""]
    lines += table(rows) if rows else ["Not run yet: use the command above."]
    write(Path(sys.argv[1]), "fuzz", lines, rows)


if __name__ == "__main__":
    main()
