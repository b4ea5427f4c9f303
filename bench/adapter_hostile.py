"""Hostile files: mutated adapters under a policy that requires signatures, and
the fuzzers of what comes from outside over an adapter's life.

    python bench/adapter_hostile.py

Mutations are those of src/adapters/trust/mutation_test.cc, for SEEDS seeds; the
fuzzers' minutes are what bench/fuzz_page.py kept of the last `make fuzz`.
"""

import os
import re
import subprocess
from collections import Counter

import session
from adapter_runtime import Rows
from pages import read

SEEDS = 10
TEST = session.ROOT / "build" / "release" / "trust_test"
FUZZERS = ["adapter_fuzz", "delta_fuzz", "store_index_fuzz", "http_fuzz", "exchange_fuzz"]
BAR_MINUTES = 30


def mutations(rows):
    refused = Counter()
    for seed in range(1, SEEDS + 1):
        done = subprocess.run(
            [TEST, "--gtest_filter=MutatedAdapters.NoneLoads*"], text=True, check=True,
            stdout=subprocess.PIPE, env=os.environ | {"FT_SEED": str(seed)})  # fmt: skip
        for count, check in re.findall(r"(\d+) refused by the ([\w ]+) check", done.stdout):
            refused[check] += int(count)
    # The test fails, and so does this, at the first that loads.
    rows.add(f"mutated adapters, {SEEDS} seeds", refused.total(), "files", 10_000, True)
    rows.add("mutated adapters that load", 0, "files that load", 0)
    for check, count in refused.most_common():
        rows.add(f"refused by the {check} check", count, "files")


def fuzzers(rows):
    known = {row["fuzzer"]: row for row in read(session.RESULTS / "fuzz.json")}
    for name in FUZZERS:
        row = known.get(name)
        if row is None or not row["passed"]:
            print(f"{name}: no run without a finding; see docs/results/fuzz.md")
            continue
        rows.add(f"{name}: processor time without a finding", row["cpu_minutes"],
                 "CPU-minutes", BAR_MINUTES, True)  # fmt: skip
        rows.add(f"{name}: executions", row["executions_count"], "inputs")


def main():
    rows = Rows()
    mutations(rows)
    fuzzers(rows)
    session.save("adapter_hostile", rows.rows)


if __name__ == "__main__":
    main()
