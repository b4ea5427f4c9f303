"""Power cuts and failing calls at every write of what keeps adapters: how many
points were looked at, of each subject, with nothing lost or mixed.

    python bench/adapter_faults.py FIGURES        to bench/results
    python bench/adapter_faults.py FIGURES --keep      and keep the rows there
                                                  of subjects it does not have

FIGURES is what the tests *_faults_test append to FT_FAULT_FIGURES; `make faults`
runs them over all points and then this. They fail at the first thing that is
lost, so there are figures only of subjects that lost nothing.
"""

import argparse
import json
from pathlib import Path

from session import RESULTS, cli

BAR = 10_000
ALL = "power cuts and failing calls, all subjects"
RESULT = RESULTS / "adapter_faults.json"


def row(name, value, bar=None):
    return {"name": name, "value": value, "unit": "states", "bar": bar,
            "peer": None, "peer_value": None}  # fmt: skip


def subject_of(name):
    return name.removesuffix(", a sample").removesuffix(", all")


def kept(subjects):
    """Rows of an earlier run, of other subjects."""
    rows = [r for r in json.loads(RESULT.read_text()) if r["name"] != ALL]
    return [r for r in rows
            if subject_of(r["name"].split(":")[0]) not in subjects]  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("figures", type=Path)
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    subjects = {}
    for line in args.figures.read_text().splitlines():
        said = json.loads(line)
        all_of = subjects.setdefault(said["subject"], dict.fromkeys(
            ["calls", "power_cuts", "failing_runs", "after_failure", "points"], 0))  # fmt: skip
        for key in all_of:
            all_of[key] += said[key]
    rows = kept(subjects) if args.keep else []
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
    rows.insert(0, row(ALL, sum(r["value"] for r in rows), BAR))
    for r in rows:
        print(f"{r['name']}: {r['value']}")
    cli.save_rows(RESULT, rows)


if __name__ == "__main__":
    main()
