"""Power cuts and failing calls at every write of what keeps adapters: how many
points were looked at, of each subject, with nothing lost or mixed.

    python bench/adapter_faults.py FIGURES        to bench/results

FIGURES is what the tests *_faults_test append to FT_FAULT_FIGURES; `make faults`
runs them over all points and then this. They fail at the first thing that is
lost, so there are figures only of subjects that lost nothing.
"""

import json
import sys
from pathlib import Path

from session import RESULTS, cli

BAR = 10_000


def row(name, value, bar=None):
    return {"name": name, "value": value, "unit": "states", "bar": bar,
            "peer": None, "peer_value": None}  # fmt: skip


def main():
    subjects = {}
    for line in Path(sys.argv[1]).read_text().splitlines():
        said = json.loads(line)
        all_of = subjects.setdefault(said["subject"], dict.fromkeys(
            ["calls", "power_cuts", "failing_runs", "after_failure", "points"], 0))  # fmt: skip
        for key in all_of:
            all_of[key] += said[key]
    rows = [row("power cuts and failing calls, all subjects",
                sum(s["points"] for s in subjects.values()), BAR)]  # fmt: skip
    for name, s in subjects.items():
        # Exhaustive runs look at 24 states behind each call
        # and run anew with each call failing in five ways.
        is_all = (s["power_cuts"] >= 24 * s["calls"]
                  and s["failing_runs"] >= 2.5 * s["calls"])  # fmt: skip
        which = "all" if is_all else "a sample"
        rows.append(row(
            f"{name}, {which}: {s['calls']} calls, {s['power_cuts']} power cuts, "
            f"{s['after_failure']} after {s['failing_runs']} failing calls",
            s["points"]))  # fmt: skip
    for r in rows:
        print(f"{r['name']}: {r['value']}")
    cli.save_rows(RESULTS / "adapter_faults.json", rows)


if __name__ == "__main__":
    main()
