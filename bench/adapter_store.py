"""The adapter store with 10,000 adapters: how long opening, listing, looking one
up and reading it takes, on this machine's disk.

    python bench/adapter_store.py        figures to bench/results

Adapters of 100 KB where a cold load is timed, of 4 KB elsewhere.
"""

import json
import shutil
import subprocess

from session import RESULTS, WORK, cli, pinned

PROGRAM = cli.BINARY.parent / "adapter_store_times"
RUNS = [("10,000 of 4 KB", 10000, 1000), ("500 of 100 KB", 500, 25600)]
BARS = {("500 of 100 KB", "load_us_p99"): 1000}


def times(adapters, floats):
    folder = WORK / "adapter_store"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [*pinned(), str(PROGRAM), str(folder), str(adapters), str(floats)],
        capture_output=True, text=True, check=True)  # fmt: skip
    index = (folder / "index.sqlite").stat().st_size
    shutil.rmtree(folder)
    return {**json.loads(done.stdout), "index_bytes": index}


def main():
    rows = []
    for what, adapters, floats in RUNS:
        for name, value in times(adapters, floats).items():
            unit = "us" if "_us" in name else ""
            unit = "bytes" if name.endswith("_bytes") else unit
            rows.append({"name": f"store, {what}: {name}", "value": value,
                         "unit": unit, "bar": BARS.get((what, name)),
                         "peer": None, "peer_value": None})  # fmt: skip
            print(f"{rows[-1]['name']}: {value} {unit}")
    cli.save_rows(RESULTS / "adapter_store.json", rows)


if __name__ == "__main__":
    main()
