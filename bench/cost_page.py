"""Sections of docs/results/planner.md about costs, from what bench/cost_model.py
and bench/cost_host.py left."""

from pages import read, table
from pictures import scatter
from session import RESULTS, verdict

CLASS_BAR, TOTAL_BAR, HOST_BAR = 20, 10, 25
# A class with less than this of its program's instructions has no bar of its
# own: its error is within the total's.
SHARE = 0.02


def with_share(rows):
    totals = {(r["model"], r["target"], r["precision"], r["program"]):
              r["measured_instructions"] for r in rows if r["class"] == "all"}
    for row in rows:
        key = row["model"], row["target"], row["precision"], row["program"]
        row["share"] = round(row["measured_instructions"] / totals[key], 4)
    return rows


def bars(rows, what, bar):
    """The worst of `rows` against `bar` percent."""
    worst = max(rows, key=lambda r: abs(r["error_percent"]))
    met = sum(abs(r["error_percent"]) <= bar for r in rows)
    name = " ".join(worst[k] for k in ("model", "precision", "program", "class",
                                       "target") if k in worst)
    result = verdict(abs(worst["error_percent"]), bar, at_least=False)
    return (f"- {what}: {met} of {len(rows)} within {bar} %; worst "
            f"{worst['error_percent']:+} % ({name}): {result}")


def cost_model():
    rows = with_share(read(RESULTS / "cost_model.json"))
    if not rows:
        return [], []
    classes = [r for r in rows if r["class"] != "all" and r["share"] >= SHARE]
    totals = [r for r in rows if r["class"] == "all"]
    lines = [
        "## Cost model against counted instructions",
        "",
        "Instructions of MLPerf Tiny's models under QEMU (`python "
        "bench/cost_model.py`) against what `fieldtune plan --target T --costs` "
        "predicts from rows that were fitted to other networks "
        "(`make calibrate-targets`). `step` is one LoRA training step of rank 4, "
        "`infer` inference with the adapter beside the base, `merged infer` "
        f"without. Classes below {SHARE:.0%} of a program are in the data only.",
        "",
        bars(totals, "whole programs", TOTAL_BAR),
        bars(classes, "classes of ops", CLASS_BAR),
        "",
        "![Predicted over counted instructions of whole programs](planner-costs.svg)",
        "",
        *table(totals),
        "",
        "By class of op:",
        "",
        *table(classes),
    ]
    return lines, rows


def cost_host():
    rows = read(RESULTS / "cost_host.json")
    if not rows:
        return [], []
    lines = [
        "## Predicted time on this machine",
        "",
        "`fieldtune plan --target host` after `fieldtune bench --calibrate`, which "
        "knows none of these models, against the median of `fieldtune bench "
        "--train` (`python bench/cost_host.py`).",
        "",
        bars(rows, "steps and inferences", HOST_BAR),
        "",
        *table(rows),
    ]
    return lines, rows


def cost_ranks():
    rows = read(RESULTS / "cost_ranks.json")
    if not rows:
        return [], []
    lines = [
        "## Ranks that fill a tile",
        "",
        "A LoRA step of all layers on this machine, whose fastest rows work on 16 "
        "ranks at once: multiples of 16 against one less and one more (`python "
        "bench/cost_ranks.py`). The search offers multiples of the tile, and parts of "
        "one where RAM is short.",
        "",
        "![Time of a step over the rank](planner-ranks.svg)",
        "",
        *table(rows),
    ]
    return lines, rows


def draw(folder):
    """Pictures that the sections name."""
    rows = [r for r in read(RESULTS / "cost_model.json") if r["class"] == "all"]
    if rows:
        series = {}
        for r in rows:
            series.setdefault(r["target"], []).append(
                (r["measured_instructions"], r["predicted_instructions"],
                 " ".join([r["model"], r["precision"], r["program"]])))  # fmt: skip
        scatter(folder / "planner-costs.svg", series, "instructions, counted",
                "instructions, predicted", log=True, diagonal=True)  # fmt: skip
    series = {}
    for r in read(RESULTS / "cost_ranks.json"):
        series.setdefault(r["model"], []).append(
            (r["rank"], r["step_us"], f"rank {r['rank']}: {r['step_us']} us"))
    if series:
        scatter(folder / "planner-ranks.svg", series, "rank of all layers",
                "time of a step in us", lines=True)  # fmt: skip


SECTIONS = {"cost_model": cost_model, "cost_host": cost_host, "cost_ranks": cost_ranks}
