"""Writes docs/results/methods.md from what bench/methods_table.py measured.

    python bench/methods_page.py FOLDER

Bars are printed with their figures, met or missed. An error (mse) is compared
as the ratio of the two errors where a bar speaks of per cent, and in points of
explained variance, 100 (1 - mse / variance of the test), where it speaks of
points.
"""

import sys
from pathlib import Path

import methods_tasks
from pages import head, read, table, write
from session import RESULTS, verdict

# Kilobytes per million base parameters, by the field's rules of thumb.
THUMB = {"lora": (1, 10), "bottleneck": (10, 30), "prompt-tuning": (0.1, 0.1),
         "sparse": (5, 20)}


class Table:
    """Rows by (task, method, precision)."""

    def __init__(self, rows):
        by_key = lambda some: {(r["task"], r["method"], r["precision"]): r
                               for r in some}
        self.deployed = [r for r in rows if "adapter_dtype" in r]
        self.small_moments = by_key(r for r in rows if "optimizer" in r)
        self.plain = by_key(r for r in rows if "adapter_dtype" not in r
                            and "optimizer" not in r)
        self.many_seeds = by_key(read(RESULTS / "methods_many_seeds.json"))

    def get(self, task, method, precision="f32"):
        return self.plain.get((task, method, precision))

    def of(self, task, precision="f32"):
        return [r for (t, _, p), r in self.plain.items()
                if (t, p) == (task, precision)]


def share(row, reference):
    """How good `row` is, as a part of `reference`."""
    if "mse" in row:
        return reference["mse"] / row["mse"]
    return row["accuracy"] / reference["accuracy"]


def points_lost(row, reference, variance):
    if "mse" in row:
        return 100 * (row["mse"] - reference["mse"]) / variance
    return 100 * (reference["accuracy"] - row["accuracy"])


def check(task, what, value, bar, at_least=True, note=""):
    # Nine decimals: a difference of shares of samples is not exact.
    value = round(value, 9)
    return {"task": task, "check": what, "value": round(value, 4), "bar": bar,
            "verdict": verdict(value, bar, at_least), "note": note}


def training_bytes(row):
    """Without the tables of the host's faster kernels: devices have none."""
    return row["arena_bytes"] + row["persistent_bytes"]


def bars_of(figures, task, variance):
    full, lora = figures.get(task, "full"), figures.get(task, "lora")
    if not full or not lora:
        return []
    out = [check(task, "LoRA over full", share(lora, full), 0.99)]
    small = [r for r in figures.of(task) if r["trainable"] < lora["trainable"]]
    if small:
        best = max(small, key=lambda r: share(r, full))
        out.append(check(task, "best method smaller than LoRA over full",
                         share(best, full), 0.97, note=best["method"]))
    for source in figures.plain, figures.many_seeds:
        out += precision_bars(source, task, variance)
    return out + memory_bars(figures, task, lora)


def precision_bars(rows, task, variance):
    out, f32 = [], rows.get((task, "lora", "f32"))
    for precision, bar in ("mixed", 0.3), ("integer", 1.0):
        row = rows.get((task, "lora", precision))
        if row and f32:
            what = f"LoRA, points that {precision} loses to f32"
            out.append(check(task, what, points_lost(row, f32, variance), bar,
                             False, f"{row['seeds']} seeds"))
    return out


def memory_bars(figures, task, lora):
    mixed = figures.get(task, "lora", "mixed")
    if not mixed:
        return []
    arena = 1 - mixed["arena_bytes"] / lora["arena_bytes"]
    out = [check(task, "LoRA, part of the step's peak bytes (arena) that mixed "
                 "saves", arena, 0.30)]
    for note, row in (("AdamW's moments in f32 in both", mixed),
                      ("8-bit AdamW in mixed",
                       figures.small_moments.get((task, "lora", "mixed")))):
        if row:
            saved = 1 - training_bytes(row) / training_bytes(lora)
            out.append(check(task, "LoRA, part of arena + persistent that "
                             "mixed saves", saved, 0.30, note=note))
    return out


def stored_bars(figures, task, variance):
    out = []
    for row in figures.deployed:
        same = figures.get(task, row["method"], row["precision"])
        if row["task"] == task and row["adapter_dtype"] == "int8" and same:
            trained = row["quantized"] == "while training"
            lost = check(task, f"LoRA in int8, quantized {row['quantized']}, "
                         "points that it loses to f32",
                         points_lost(row, same, variance), 0.3, False)
            # The other one is there to compare.
            out.append(lost if trained else lost | {"bar": "", "verdict": ""})
    return out


def sizes(figures, tasks):
    """Adapter bytes per million base parameters."""
    out = []
    for method, (low, high) in THUMB.items():
        for task in tasks:
            row = figures.get(task, method, "mixed")
            if row:
                per = row["adapter_bytes"] / row["base_parameters"] * 1e3
                out.append({
                    "task": task, "method": method,
                    "base_parameters": row["base_parameters"],
                    "adapter_bytes": row["adapter_bytes"],
                    "KB_per_million": round(per, 1),
                    "rule_of_thumb_KB": f"{low} to {high}",
                    "verdict": verdict(per, high, at_least=False)})
    return out


def answer(row):
    metric = "mse" if "mse" in row else "accuracy"
    if row["seeds"] == 1:
        return f"{row[metric]:.4f} (one seed)"
    return f"{row[metric]:.4f} ± {row[metric + '_sd']:.4f}"


def method_lines(figures, task):
    """One line a method; sizes and times of `mixed` where there is one."""
    lines = []
    for method in dict.fromkeys(m for t, m, _ in figures.plain if t == task):
        rows = {p: figures.get(task, method, p)
                for p in ("f32", "mixed", "integer")}
        shown = rows["mixed"] or rows["f32"] or rows["integer"]
        line = {"method": method}
        line |= {p: answer(r) if r else "–" for p, r in rows.items()}
        line |= {name: shown[name] for name in
                 ("lr", "trainable", "adapter_bytes", "arena_bytes",
                  "persistent_bytes")}
        line |= {f"step_ms_{p}": f"{r['step_ms']:.3f}" if r else "–"
                 for p, r in rows.items()}
        lines.append(line)
    return lines


def deployed_lines(figures):
    lines = []
    for row in figures.deployed:
        same = figures.get(row["task"], row["method"], row["precision"])
        lines.append({"task": row["task"], "method": row["method"],
                      "precision": row["precision"],
                      "adapter_dtype": row["adapter_dtype"],
                      "quantized": row["quantized"],
                      "result": answer(row),
                      "adapter_bytes": row["adapter_bytes"],
                      "in_float32": answer(same) if same else "–"})
    return lines


def moment_lines(figures):
    """LoRA with moments of a byte beside the same with float32 moments."""
    lines = []
    for (task, method, precision), row in figures.small_moments.items():
        same = figures.get(task, method, precision)
        lines.append({"task": task, "precision": precision,
                      "8_bit_adamw": answer(row), "adamw": answer(same),
                      "persistent_bytes_8_bit": row["persistent_bytes"],
                      "persistent_bytes": same["persistent_bytes"]})
    return lines


def seeds_line(rows):
    counts = sorted({r["seeds"] for r in rows})
    return (f"Mean ± standard deviation over {counts[-1]} seeds"
            + (f" (where no spread stands, so far over fewer)" if len(counts) > 1
               else "") + ". Learning rates are chosen for each method on data "
            "that the test does not see (bench/methods_table.py); everything "
            "else is the command's default. Adapter, arena and persistent bytes "
            "are those of `mixed` where the method trains there. Step times are "
            "the best of the seeds, on a machine that others use too. The rows "
            f"were measured by {builds(rows)} builds of the command (`builds` "
            "in the data).")


def builds(rows):
    return len({b for row in rows for b in row.get("builds", "").split()})


def variances():
    import domain_data

    _, y = domain_data.ett_windows(domain_data.WINTER_TEST, 3)
    return {"ett": float(y.var())}


def main():
    folder = Path(sys.argv[1])
    rows = read(folder / "methods.json")
    lines = head("Every method on every task", "methods", "methods_page.py")
    lines += ["", "Made by `make table`.", ""]
    if not rows:
        write(folder, "methods", [*lines, "Not measured yet."], rows)
        return
    figures, tasks = Table(rows), methods_tasks.tasks()
    tasks = [t for t in tasks if figures.of(t.name)]
    lines += [seeds_line(rows), "", "## Bars", ""]
    spread = variances()
    lines += table([bar for task in tasks for bars in (bars_of, stored_bars)
                    for bar in bars(figures, task.name, spread.get(task.name))])
    for task in tasks:
        lines += ["", f"## {task.name}", "", task.what[0].upper()
                  + task.what[1:] + f". {task.epochs} epochs, batch 1; "
                  f"{task.metric}.", ""]
        lines += table(method_lines(figures, task.name))
    if figures.deployed:
        lines += ["", "## Adapters deployed in fewer bits", ""]
        lines += table(deployed_lines(figures))
    if figures.small_moments:
        lines += ["", "## LoRA with 8-bit AdamW", ""]
        lines += table(moment_lines(figures))
    lines += ["", "## Adapter bytes per million base parameters", "",
              "The rules of thumb are about models of 100 M parameters and "
              "more: an adapter grows with the width of a layer, the layer with "
              "its square, so small models pay more by parameter.", ""]
    lines += table(sizes(figures, [t.name for t in tasks]))
    refusals = read(RESULTS / "methods_skipped.json")
    if refusals:
        lines += ["", "## What is refused, in the command's own words", ""]
        lines += table(refusals)
    write(folder, "methods", lines, rows)


if __name__ == "__main__":
    main()
