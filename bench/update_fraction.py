"""What `--update-fraction` costs and saves: accuracy of three seeds, bytes and
step time on a task of methods_table.py, at its learning rates, for parts of the
entries that a step updates. Prints a table.

    python bench/update_fraction.py [--task fsdd] [--methods lora sparse full]
                                    [--max-grad-norm 1]
"""

import argparse
import json
import statistics

from methods_table import SEEDS, TABLE, train
from methods_tasks import tasks

FRACTIONS = [1, 0.25, 0.1]


def rate_of(task, method):
    return next(row["lr"] for row in json.loads(TABLE.read_text())
                if (row["task"], row["method"]) == (task.name, method))


def measure(task, method, fraction, max_grad_norm):
    precision = "f32" if method == "full" else "mixed"
    return [train(task, precision, [
        *task.train, "--method", method, "--lr", rate_of(task, method),
        "--update-fraction", fraction, "--max-grad-norm", max_grad_norm,
        "--seed", seed]) for seed in SEEDS]  # fmt: skip


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", default="fsdd",
                        choices=[t.name for t in tasks()])
    parser.add_argument("--methods", nargs="+",
                        default=["lora", "sparse", "full"])
    parser.add_argument("--max-grad-norm", type=float, default=0)
    chosen = parser.parse_args()
    task = next(t for t in tasks() if t.name == chosen.task)
    print(f"| method | fraction | {task.metric} | arena bytes | persistent bytes"
          " | step ms |\n|---|---|---|---|---|---|")
    for method in chosen.methods:
        for fraction in FRACTIONS:
            rows = measure(task, method, fraction, chosen.max_grad_norm)
            values = [row[task.metric] for row in rows]
            print(f"| {method} | {fraction} | {statistics.mean(values):.4f} ± "
                  f"{statistics.stdev(values):.4f} | {rows[0]['arena_bytes']:,} "
                  f"| {rows[0]['persistent_bytes']:,} | "
                  f"{min(row['step_ms'] for row in rows):.3f} |", flush=True)


if __name__ == "__main__":
    main()
