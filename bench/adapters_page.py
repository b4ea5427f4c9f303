"""Writes docs/results/adapters.md and adapters.json: what the adapter_*.py
benchmarks left in bench/results.

    python bench/adapters_page.py FOLDER
"""

import sys
from pathlib import Path

import session
from pages import head, read, table, write

# Figures that are good when they are large; all others when they are small.
AT_LEAST = {"x", "%", "times one by one", "1/s", "states", "files",
            "CPU-minutes"}  # fmt: skip

SECTIONS = {
    "adapter_runtime": (
        "Serving many adapters of one base",
        "Swaps, cold loads, hit rates under a budget, leaks, what an adapter "
        "beside the base costs on this machine, and batches that mix adapters.",
    ),
    "adapter_background": (
        "Inference beside training",
        "A request every two milliseconds, with nobody training, and with an "
        "idle-class thread that trains on the same core and on the other one.",
    ),
    "adapter_store": (
        "The store",
        "10,000 registered adapters: opening, listing, looking one up, reading it.",
    ),
    "adapter_faults": (
        "Power cuts and failing calls",
        "Behind every call that writes: dropped unsynced writes, torn pages, a full "
        "disk, errors of the disk and the end of the process, from seeds. Zero lost "
        "or mixed adapters; the store opens every time (`make faults`).",
    ),
    "adapter_hostile": (
        "Hostile files",
        "Signed adapters with changed bits, bytes, headers, metadata, tensors and "
        "signatures; and what `make fuzz` did over every parser of an adapter's "
        "life, under AddressSanitizer and UndefinedBehaviorSanitizer.",
    ),
    "service_load": (
        "The service under load",
        "`fieldtune serve`: 500 requests a second for five minutes over a Unix "
        "socket, with swaps, loads, unloads, trials, training and collection "
        "meanwhile; latency from the time a request was due.",
    ),
    "adapter_delta": (
        "Deltas",
        "Four speakers' adapters, really trained, and trained on with more takes "
        "of theirs: bytes of the difference, means.",
    ),
}


def with_verdict(row):
    if row.get("bar") is None:
        return row
    at_least = row["unit"] in AT_LEAST
    return row | {"verdict": session.verdict(row["value"], row["bar"], at_least)}


def main():
    lines = head("The life of an adapter on a device", "adapters", "adapters_page.py")
    lines += ["", "Made by `make bench-adapters`.", ""]
    rows = []
    for name, (title, what) in SECTIONS.items():
        found = read(session.RESULTS / f"{name}.json")
        if not found:
            continue
        lines += [f"## {title}", "", f"{what} (`python bench/{name}.py`)", ""]
        shown = [{k: "" if v is None else v for k, v in with_verdict(r).items()}
                 for r in found]  # fmt: skip
        lines += [*table(shown), ""]
        rows += found
    write(Path(sys.argv[1]), "adapters", lines[:-1], rows)


if __name__ == "__main__":
    main()
