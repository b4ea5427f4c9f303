"""Plans that `fieldtune plan --search` chooses against fixed choices, at several RAM
budgets, on tasks of bench/methods_tasks.py: accuracy on samples that neither saw.

    python bench/planner_search.py            fsdd and cwru, 64 to 256 KB
    python bench/planner_search.py fsdd 64 96
"""

import json
import sys

from methods_tasks import make_bases, tasks
from session import WORK, cli, save

BUDGETS = [64, 96, 128, 192, 256]  # KB
STACK = 4096
MARGIN = 0.005  # of accuracy that a fixed choice may be better
# What one would take without a search; sparse: a tenth of the last layers.
FIXED = {
    "uniform LoRA r=4": ["--method", "lora", "--rank", 4],
    "last layer only": ["--method", "head"],
    "biases only": ["--method", "bitfit"],
    "sparse list by hand": ["--method", "sparse", "--density", 0.1],
}
RATES = [0.001, 0.003, 0.01]
SEARCHED = "searched"


def run(*args):
    """The JSON object, or the sentence of a command that says what is wrong."""
    done = cli.run(*args, "--json", timeout=3600)
    if done.returncode == 0:
        return json.loads(done.stdout)
    assert done.returncode in (2, 3, 4), (args, done.stderr)
    return {"refused": done.stderr.strip().splitlines()[-1]}


def accuracy(task, model, options, has_plan=False):
    """On the task's test, and what training says of itself."""
    adapter = WORK / "search.safetensors"
    data = [o for o in task.train if not (has_plan and o == "--new-head")]
    figures = run("train", model, *data, *options, "--seed", 1, "--out", adapter)
    if "refused" in figures:
        return figures, None
    tested = run("eval", model, "--adapter", adapter, *task.test)
    return figures, tested["accuracy"]


def last_layers(model):
    return ",".join(cli.module_names(model)[-4:-1])


def fixed_rows(task, budget):
    """Each choice at its best rate, in the precision that is more accurate."""
    for name, options in FIXED.items():
        if name.startswith("sparse"):
            options = [*options, "--target-modules", last_layers(task.int8_model)]
        best = None
        for precision in ("mixed", "integer"):
            for optimizer in ("adamw", "sgd"):
                for rate in RATES:
                    figures, score = accuracy(
                        task, task.int8_model,
                        [*options, "--precision", precision, "--lr", rate,
                         "--optimizer", optimizer, "--epochs", task.epochs,
                         "--ram", budget * 1024 - STACK])  # fmt: skip
                    if score is not None and (not best or score > best["accuracy"]):
                        best = {"accuracy": score, "ram_bytes": figures["ram_bytes"] + STACK,
                                "plan": f"{precision}, {optimizer}, lr {rate:g}"}
        yield {"choice": name, **(best or {"plan": "does not fit"})}


def searched_row(task, budget):
    plan = WORK / "search.toml"
    found = run("plan", task.int8_model, *task.train, "--search", "--target", "cortex-m7",
                "--ram", f"{budget}K", "--epochs", task.epochs, "--seed", 1,
                "--out", plan)  # fmt: skip
    if "refused" in found:
        return {"choice": SEARCHED, "plan": found["refused"]}
    _, score = accuracy(task, task.int8_model, ["--plan", plan], True)
    return {"choice": SEARCHED, "accuracy": score, "ram_bytes": found["ram_bytes"],
            "plan": found["plan"]}  # fmt: skip


def main():
    wanted = sys.argv[1:]
    names = [w for w in wanted if not w.isdigit()] or ["fsdd", "cwru"]
    budgets = [int(w) for w in wanted if w.isdigit()] or BUDGETS
    make_bases()
    rows = []
    for task in tasks():
        if task.name not in names:
            continue
        for budget in budgets:
            searched = searched_row(task, budget)
            group = [searched, *fixed_rows(task, budget)]
            best = max(r.get("accuracy", 0) for r in group[1:])
            searched["met"] = searched.get("accuracy", 0) >= best - MARGIN
            rows += [{"task": task.name, "budget_bytes": budget * 1024, **r}
                     for r in group]  # fmt: skip
            print(*group, sep="\n")
            save("planner_search", rows)


if __name__ == "__main__":
    main()
