"""Writes docs/results/planner.md and planner.json from what bench/planner.py left.

    python bench/planner_page.py FOLDER

A section is a function that returns its lines and its rows; `SECTIONS` lists
them in the order of the page. Rows of all sections go into one file of flat
objects, each with the name of its section as `part`.
"""

import sys
from pathlib import Path

from cost_page import SECTIONS as COSTS
from cost_page import draw
from pages import head, read, table, write
from session import RESULTS, verdict

BAR = 1.02


def bars(rows):
    """Which bars are met; one line each, in front of all tables."""
    worst = max(rows, key=lambda r: r["arena_over_lower_bound"])
    proven = sum(r.get("arena_is_optimal", False) for r in rows)
    ratio = worst["arena_over_lower_bound"]
    gains = [r["arena_bytes"] / r["given_order_arena_bytes"] for r in rows
             if r["arena_bytes"] < r["given_order_arena_bytes"]]  # fmt: skip
    return [
        f"- {len(rows)} plans: worst arena over lower bound {ratio} "
        f"({worst['model']}, {worst['method']}, {worst['precision']}), bar {BAR}: "
        f"{verdict(ratio, BAR, at_least=False)}",
        f"- proven optimal for the order of their calls: {proven} of {len(rows)}",
        f"- smaller than in the given order of calls: {len(gains)}; of these, mean "
        f"{sum(gains) / max(1, len(gains)):.3f} of it, least "
        f"{min(gains, default=1):.3f}",
    ]


def placement():
    rows = read(RESULTS / "planner_methods.json")
    lines = [
        "## Arena of every method",
        "",
        "The arena of a training step (batch 1, `--recompute auto` without a "
        "budget: everything is kept) against the most bytes that are alive at "
        "one call, all but one of the buffers there in whole units of the "
        "alignment (16 bytes), which no placement can go below. Where "
        "`arena is optimal`, branch and bound or that bound prove that no "
        "placement at the same alignment saves a whole unit of it. "
        "`given order arena bytes`: with `--keep-order`. "
        "Pairs of model and method that are missing are refused by name: "
        "`norm` without normalization layers, `prompt` and `prefix` without "
        "tokens, `bitfit` without biases.",
        "",
        *bars(rows),
        "",
        *table(rows),
    ]
    return lines, rows


def section(title, figures, text):
    rows = read(RESULTS / figures)
    return [f"## {title}", "", text, "", *table(rows)], rows


def random_sets():
    return section(
        "Random sets of buffers", "planner_random.json",
        "20 to 80 buffers of 16 bytes to 16 KB over as many steps; every plan is "
        "checked pair by pair (`build/release/plan_test "
        "--gtest_filter='Placement.*'`, 200 rounds of search each).")  # fmt: skip


def plan_time():
    return section(
        "Time of a plan", "planner_time.json",
        "`fieldtune plan` as a whole, reading the model included: LoRA of every "
        "layer of decoders of 12 and 115 blocks, 128 tokens. Seconds of one "
        "processor core, which others use too.")  # fmt: skip


def recompute():
    return section(
        "Activations that are computed twice", "planner_recompute.json",
        "LoRA of rank 4 on every layer. `never` keeps everything; `always` drops "
        "what a method marks, `all` everything that is large; `limit` searches "
        "for the least RAM within so many times the multiply-accumulates of "
        "`never` (`fieldtune plan --recompute-limit`).")  # fmt: skip


def optimum():
    return section(
        "Against brute force", "planner_optimum.json",
        "Small problems of which all placements, orders, assignments or subsets "
        "were tried; recompute at a limit of 1.3 times the compute on chains of "
        "nine activations, against all 512 subsets.")  # fmt: skip


def patches():
    return section(
        "The first convolutions in stripes", "planner_patches.json",
        "Printed inference (`fieldtune compile --program infer --patches auto`): the "
        "stripes of rows that need the least RAM for at most 1.3 times the "
        "multiply-accumulates; 0: none need less.")  # fmt: skip


def regions():
    return section(
        "Several memories", "planner_regions.json",
        "Integer LoRA steps on a Cortex-M7 with tightly coupled memory, SRAM and "
        "external SDRAM: cycles that moving the arena's bytes takes, each operand "
        "once, and the bound of any assignment "
        "(`fieldtune plan --target cortex-m7 --place-regions`).")  # fmt: skip


def searched():
    return section(
        "Searched plans against fixed choices", "planner_search.json",
        "Accuracy on test samples that neither the search nor the trainings saw, "
        "of the plan that `fieldtune plan --search --target cortex-m7` chooses "
        "in a budget (stack included), and of choices one would make without it, "
        "each in the precision and with the optimizer and rate that are best under "
        "the task's tuning options, as in the table of methods. Means of five "
        "seeds, the same for all (`bench/planner_search.py`). `held back` is what "
        "the search itself expects. `met`: the searched plan is best or within half "
        "a point.")  # fmt: skip


def all_plans():
    return section(
        "All plans of a small model", "planner_front.json",
        "Every set of layers of a network of three, LoRA of every power of two as "
        "rank, biases and gains, two optimizers and three rates, each trained in "
        "full: at the RAM of each plan of their front, the test accuracy of the "
        "best of all (picked by 3,000 test samples) and of the plan that `fieldtune "
        "plan --search --ram` finds from 48 training samples. `noise`: the standard "
        "error of an accuracy that 48 samples tell; `met`: no further behind than "
        "that (`bench/planner_small.py front`).")  # fmt: skip


def personal():
    return section(
        "Two models in their budgets", "planner_personal.json",
        "MLPerf Tiny's keyword model on one speaker in 64 KB, stack included, "
        "against the best of all methods without a budget (10 seeds, "
        "`bench/methods_table.py`); its person detector (96x96) in 256 KB, learning "
        "two handwritten digits from twenty of each (`bench/planner_small.py`).")  # fmt: skip


SECTIONS = {"searched": searched, "all_plans": all_plans, "personal": personal,
            "placement": placement, "random_sets": random_sets,
            "optimum": optimum, "recompute": recompute, "patches": patches,
            "regions": regions,
            "plan_time": plan_time, **COSTS}  # fmt: skip


def main():
    lines = head("The planner", "planner", "planner_page.py")
    lines += ["", "Made by `make bench-planner`."]
    all_rows = []
    for part, section in SECTIONS.items():
        text, rows = section()
        if not rows:
            print(f"no figures of {part} yet")
            continue
        lines += ["", *text]
        all_rows += [{"part": part, **row} for row in rows]
    write(Path(sys.argv[1]), "planner", lines, all_rows)
    draw(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
