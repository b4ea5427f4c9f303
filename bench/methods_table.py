"""Every method on every task at every precision, three seeds each.

    python bench/methods_table.py            all that is not measured yet
    python bench/methods_table.py --quick    one seed
    python bench/methods_table.py --methods lora full --tasks ett

A run is kept (build/bench/methods_runs.json) until the command itself changes,
so that a table can be stopped and continued; --keep takes figures of other builds
too, and asks again only what those refused. Runs that choose learning rates are
kept in any case: a rate is a choice, not a figure. Seeds go round and round: after the first round every row has a figure.
Learning rates are chosen for each task and method among `RATES` on data that
the test does not see, at f32, and used at every precision. Writes
docs/results/methods.json; bench/methods_page.py makes the page of it.
"""

import argparse
import hashlib
import json
import statistics
import sys

from methods_tasks import make_bases, tasks
from session import ROOT, WORK, cli

RUNS = WORK / "methods_runs.json"
TABLE = ROOT / "docs" / "results" / "methods.json"
SKIPPED = ROOT / "bench" / "results" / "methods_skipped.json"
PRECISIONS = ["f32", "mixed", "integer"]
RATES = [3e-4, 1e-3, 3e-3, 1e-2, 3e-2]
SEEDS = [1, 2, 3]
# Methods that are settings of another.
VARIANTS = {
    "rslora": ["--method", "lora", "--use-rslora"],
    "dora": ["--method", "lora", "--use-dora"],
}
# LoRA on the int8 model once more: stored in fewer bits, trained for it or
# quantized when it is done; and with an optimizer whose moments take a byte.
VARIATIONS = [{"adapter_dtype": dtype, "quantized": when}
              for dtype in ("int8", "int4")
              for when in ("while training", "after training")]
VARIATIONS += [{"optimizer": "adamw8bit"}]
# Bars of fractions of a point want more than three seeds.
MANY_SEEDS = range(1, 11)
MANY = ROOT / "bench" / "results" / "methods_many_seeds.json"


class Runs:
    """What has been measured, by (task, method, precision, seed, options)."""

    def __init__(self, keep):
        self.version = hashlib.sha256(cli.BINARY.read_bytes()).hexdigest()[:16]
        self.keep = keep
        self.rows = json.loads(RUNS.read_text()) if RUNS.exists() else {}

    def get(self, key, measure, keep=False):
        row = self.rows.get(key)
        kept = row and (keep or self.keep) and "refused" not in row
        if kept or (row and row["version"] == self.version):
            return row
        row = {**measure(), "version": self.version}
        self.rows[key] = row
        RUNS.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.rows, indent=0)
        RUNS.with_suffix(".part").write_text(text)
        RUNS.with_suffix(".part").replace(RUNS)
        return row


def refused(done):
    """The sentence of a run that the command says it cannot make."""
    assert done.returncode in (2, 3, 4), (done.returncode, done.stderr)
    return {"refused": done.stderr.strip().splitlines()[-1]}


def train(task, precision, options, variation=None):
    """Figures of one training run and of its test, or why there is none. What
    --split or --train-per-class leaves out is the test that eval finds by
    itself. `variation`: one of VARIATIONS."""
    WORK.mkdir(parents=True, exist_ok=True)
    adapter = WORK / "methods.safetensors"
    model = task.model(precision)
    args = ["train", model, *options, "--precision", precision,
            "--epochs", task.epochs, "--out", adapter]
    variation = variation or {}
    dtype, when = variation.get("adapter_dtype"), variation.get("quantized")
    if when == "while training":
        args += ["--adapter-dtype", dtype]
    if "optimizer" in variation:
        args += ["--optimizer", variation["optimizer"]]
    done = cli.run(*args, "--json")
    if done.returncode != 0:
        return refused(done)
    fields = json.loads(done.stdout)
    row = {name: fields[name] for name in [
        "trainable", "adapter_bytes", "arena_bytes", "persistent_bytes",
        "scratch_bytes", "ram_bytes", "step_ms"]}
    if when == "after training":
        smaller = WORK / "methods_stored.safetensors"
        made = cli.run_json("export", adapter, "--to", "fieldtune", "--out",
                            smaller, "--adapter-dtype", dtype)
        adapter, row["adapter_bytes"] = smaller, made["adapter_bytes"]
    tested = cli.run_json("eval", model, "--adapter", adapter,
                          *([] if "--split" in options else task.test))
    return {**row, task.metric: tested[task.metric], "loss": tested["loss"]}


def best_rate(runs, task, method):
    """Of `RATES` the one that does best on the tuning data."""
    def score(rate):
        options = [*task.tune, *choice(method), "--lr", rate, "--seed", 0]
        key = f"tuning {task.name} {method} {rate} {task.epochs}"
        row = runs.get(key, lambda: train(task, "f32", options), keep=True)
        if "refused" in row:
            return ()
        # Few samples often tie in accuracy. Of a forecast the loss is the error.
        return row.get("accuracy", 0), -row["loss"]

    return max(RATES, key=score)


def measure(runs, task, method, precision, seed, variation=None):
    rate = best_rate(runs, task, method)
    options = [*task.train, *choice(method), "--lr", rate, "--seed", seed]
    key = f"{task.name} {method} {precision} {seed} {rate} {task.epochs}"
    row = runs.get(" ".join([key, *(variation or {}).values()]),
                   lambda: train(task, precision, options, variation))
    return {"task": task.name, "method": method, "precision": precision,
            "seed": seed, "lr": rate, **row, **(variation or {})}


def wanted(methods):
    """(method, precision, variation) of every row."""
    rows = [(m, p, None) for m in methods for p in PRECISIONS]
    if "lora" in methods:
        rows += [("lora", "mixed", variation) for variation in VARIATIONS]
    return rows


def known_methods():
    names = [m["name"] for m in cli.run_json("methods")["methods"]]
    return names + list(VARIANTS)


def choice(method):
    """The options that choose it."""
    return VARIANTS.get(method, ["--method", method])


def base_parameters(task, precision):
    return cli.run_json("inspect", task.model(precision))["parameters"]


def summary(rows):
    """One row a task, method and precision, mean and spread over seeds."""
    groups = {}
    for row in rows:
        key = (row["task"], row["method"], row["precision"],
               row.get("adapter_dtype"), row.get("quantized"),
               row.get("optimizer"))
        groups.setdefault(key, []).append(row)
    table = []
    for group in groups.values():
        metric = "mse" if "mse" in group[0] else "accuracy"
        values = [row[metric] for row in group]
        out = {k: v for k, v in group[0].items()
               if k not in ("seed", "version", "loss", metric)}
        out[metric] = round(statistics.mean(values), 5)
        spread = statistics.stdev(values) if len(values) > 1 else 0.0
        out[metric + "_sd"] = round(spread, 5)
        # Other work on the machine only ever adds time.
        out["step_ms"] = round(min(row["step_ms"] for row in group), 4)
        table.append({**out, "seeds": len(group),
                      "builds": " ".join(sorted({r["version"][:8]
                                                 for r in group}))})
    return table


def save(measured, chosen):
    rows = [r for r in measured if "refused" not in r]
    table = summary(rows)
    sizes = {(t.name, p): base_parameters(t, p) for t in chosen
             for p in PRECISIONS}
    for row in table:
        row["base_parameters"] = sizes[row["task"], row["precision"]]
    order = [t.name for t in chosen]
    table.sort(key=lambda row: order.index(row["task"]))
    cli.save_rows(TABLE, table)
    refusals = {(r["task"], r["method"], r["precision"]): r["refused"]
                for r in measured if "refused" in r}
    cli.save_rows(SKIPPED, [
        {"task": t, "method": m, "precision": p, "why": why}
        for (t, m, p), why in refusals.items()])


def report(row):
    value = row.get("refused") or row.get("accuracy", row.get("mse"))
    print(row["task"], row["method"], row["precision"], row["seed"],
          row["lr"], row.get("adapter_dtype", ""), row.get("quantized", ""),
          row.get("optimizer", ""), value, flush=True)


def repeat_lora(runs, chosen):
    """LoRA's rows again over MANY_SEEDS, for the bars between precisions."""
    rows = [measure(runs, task, "lora", precision, seed) for task in chosen
            for precision in PRECISIONS for seed in MANY_SEEDS]
    cli.save_rows(MANY, summary(rows))


def main():
    names = known_methods()
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one seed")
    parser.add_argument("--keep", action="store_true",
                        help="runs of other builds of the command")
    parser.add_argument("--methods", nargs="+", default=names, choices=names)
    parser.add_argument("--tasks", nargs="+")
    args = parser.parse_args()
    if not cli.SHARED.is_dir():
        print(f"methods table: real inputs are absent: no folder {cli.SHARED}")
        return 0
    make_bases()
    chosen = [t for t in tasks() if not args.tasks or t.name in args.tasks]
    runs, measured = Runs(args.keep), []
    for seed in SEEDS[:1] if args.quick else SEEDS:
        for task in chosen:
            for method, precision, stored in wanted(args.methods):
                row = measure(runs, task, method, precision, seed, stored)
                measured.append(row)
                report(row)
            save(measured, chosen)
    if "lora" in args.methods and not args.quick:
        repeat_lora(runs, chosen)
    return 0


if __name__ == "__main__":
    sys.exit(main())
