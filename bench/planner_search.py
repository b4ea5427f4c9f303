"""Plans that `fieldtune plan --search` chooses against fixed choices, at several RAM
budgets, on tasks of bench/methods_tasks.py: accuracy on samples that neither saw.

    python bench/planner_search.py            fsdd and cwru, 64 to 256 KB
    python bench/planner_search.py fsdd 64 96 --binary build/release/fieldtune

A search sees the training samples only. The settings of a fixed choice are those
that are best under the task's tuning options (another speaker, or a part of the
training samples), as in the table of methods. Plans and choices are then trained
on the same samples for the same epochs with the same seeds. Figures are written
as they come; those of budgets that are asked for again are replaced.
"""

import argparse
import json
from pathlib import Path
from statistics import mean

from methods_tasks import make_bases, tasks
from pages import read
from session import RESULTS, WORK, cli, save

BUDGETS = [64, 96, 128, 192, 256]  # KB
TARGET, STACK = "cortex-m7", 4096
MARGIN = 0.005  # of accuracy that a fixed choice may be better
SEEDS = range(1, 6)
# What one would take without a search; sparse: a tenth of the last layers.
FIXED = {
    "uniform LoRA r=4": ["--method", "lora", "--rank", 4],
    "last layer only": ["--method", "head"],
    "biases only": ["--method", "bitfit"],
    "sparse list by hand": ["--method", "sparse", "--density", 0.1],
}
PRECISIONS, OPTIMIZERS = ["mixed", "integer"], ["adamw", "sgd"]
RATES = [0.001, 0.003, 0.01]
SEARCHED = "searched"


def run(*args):
    """The JSON object, or the sentence of a command that says what is wrong."""
    done = cli.run(*args, "--json", timeout=3600)
    if done.returncode == 0:
        return json.loads(done.stdout)
    assert done.returncode in (2, 3, 4), (args, done.stderr)
    return {"refused": done.stderr.strip().splitlines()[-1]}


def accuracy(task, data, options, seed):
    """On the task's test, or on what `data` leaves out of training; None where
    training is refused."""
    adapter = WORK / f"search-{task.name}.safetensors"
    figures = run("train", task.int8_model, *data, *options, "--seed", seed,
                  "--out", adapter)
    if "refused" in figures:
        return None
    if data is task.tune or not task.test:
        return figures["accuracy_after"]
    return run("eval", task.int8_model, "--adapter", adapter,
               *task.test)["accuracy"]  # fmt: skip


class Choices:
    """The fixed choices on one task. No training depends on a budget (computing
    values again gives the same bits), so each is made once and its accuracy kept
    in build/bench: delete that to make them again."""

    def __init__(self, task):
        self.task = task
        self.file = WORK / f"search-{task.name}-choices.json"
        self.known = json.loads(self.file.read_text()) if self.file.exists() else {}
        last = cli.module_names(task.int8_model)[-4:-1]
        self.options = {n: list(o) for n, o in FIXED.items()}
        self.options["sparse list by hand"] += ["--target-modules", ",".join(last)]

    def settings(self, name):
        for precision in PRECISIONS:
            for optimizer in OPTIMIZERS:
                yield [*self.options[name], "--precision", precision,
                       "--optimizer", optimizer]  # fmt: skip

    def accuracy(self, data, options, seed):
        key = " ".join(map(str, [*options, "tune" if data is self.task.tune else "", seed]))
        if key not in self.known:
            self.known[key] = accuracy(self.task, data, options, seed)
            self.file.write_text(json.dumps(self.known))
        return self.known[key]

    def best_rate(self, options):
        """(accuracy under the tuning options, rate)"""
        tries = [(self.accuracy(self.task.tune, [*options, "--lr", rate, "--epochs",
                                                 self.task.epochs], 0) or 0, rate)
                 for rate in RATES]  # fmt: skip
        return max(tries)

    def test(self, options):
        return [self.accuracy(self.task.train, options, seed) for seed in SEEDS]

    def row(self, name, budget, classes):
        """The setting that fits and is best under the tuning options."""
        fitting = []
        for options in self.settings(name):
            plan = run("plan", self.task.int8_model, *options, *classes, "--target",
                       TARGET, "--ram", budget * 1024 - STACK)  # fmt: skip
            if "refused" not in plan:
                fitting.append((*self.best_rate(options), options, plan))
        if not fitting:
            return {"choice": name, "plan": "does not fit"}
        _, rate, options, plan = max(fitting, key=lambda f: f[0])
        scores = self.test([*options, "--lr", rate, "--epochs", self.task.epochs])
        return {"choice": name, **over_seeds(scores),
                "ram_bytes": plan["ram_bytes"] + STACK,
                "plan": f"{options[-3]}, {options[-1]}, lr {rate:g}"}


def over_seeds(scores):
    return {"accuracy": round(mean(scores), 4), "worst_seed": round(min(scores), 4)}


def searched_row(task, budget):
    plan = WORK / f"search-{task.name}-{budget}.toml"
    found = run("plan", task.int8_model, *task.train, "--search", "--target",
                TARGET, "--ram", f"{budget}K", "--epochs", task.epochs,
                "--seed", 1, "--out", plan)  # fmt: skip
    if "refused" in found:
        return {"choice": SEARCHED, "plan": found["refused"]}
    data = [o for o in task.train if o != "--new-head"]  # the plan says it
    scores = [accuracy(task, data, ["--plan", plan], s) for s in SEEDS]
    return {"choice": SEARCHED, **over_seeds(scores),
            "ram_bytes": found["ram_bytes"], "plan": found["plan"],
            "held_back_accuracy": round(found["accuracy"], 4)}  # fmt: skip


def group(choices, budget, classes):
    searched = searched_row(choices.task, budget)
    fixed = [choices.row(name, budget, classes) for name in FIXED]
    best = max(r.get("accuracy", 0) for r in fixed)
    searched["met"] = searched.get("accuracy", 0) >= best - MARGIN
    return [{"task": choices.task.name, "budget_bytes": budget * 1024, **row}
            for row in [searched, *fixed]]  # fmt: skip


def keep(rows):
    """In the place of earlier rows of the same task and budget."""
    key = lambda row: (row["task"], row["budget_bytes"])
    others = [r for r in read(RESULTS / "planner_search.json")
              if key(r) != key(rows[0])]  # fmt: skip
    save("planner_search", sorted(others + rows, key=key))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wanted", nargs="*", help="tasks and budgets in KB")
    parser.add_argument("--binary", type=Path, default=cli.BINARY)
    args = parser.parse_args()
    cli.BINARY = args.binary
    names = [w for w in args.wanted if not w.isdigit()] or ["fsdd", "cwru"]
    budgets = [int(w) for w in args.wanted if w.isdigit()] or BUDGETS
    make_bases()
    WORK.mkdir(parents=True, exist_ok=True)
    for task in tasks():
        if task.name not in names:
            continue
        choices = Choices(task)
        classes = ["--classes", 10] if "--new-head" in task.train else []
        for budget in budgets:
            rows = group(choices, budget, classes)
            print(*rows, sep="\n", flush=True)
            keep(rows)


if __name__ == "__main__":
    main()
