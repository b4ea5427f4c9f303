"""Writes docs/results/stories.md and stories.json: the loss of 364 LoRA steps on
stories260k next to PyTorch's, from what bench/stories.py measured.

    python bench/stories_page.py FOLDER
"""

import sys
from pathlib import Path

import session
from pages import head, read, table, write

MADE_BY = "python bench/stories.py"
WHAT = (
    "LoRA (r 8, alpha 16) on all seven projections of every layer of "
    "stories260k, AdamW 1e-3 with weight decay 0.01, windows of 128 tokens "
    "every 64 over the first 40 kB of tinyshakespeare, in order, batch 1, "
    "float32, one thread. Both sides start from the same adapter values. The "
    "running loss at a step is the mean of the losses of all steps up to it."
)


def main():
    run = read(session.RESULTS / "stories.json")
    points = read(session.RESULTS / "stories_loss.json")
    lines = head("stories260k on Shakespeare", "stories", "stories_page.py")
    lines += ["", WHAT, "", f"Made by `{MADE_BY}`.", ""]
    rows = []
    if run and points:
        for p in points:
            difference = abs(p["running_loss"] - p["torch_running_loss"])
            rows.append({**p, "difference": difference})
        lines += summary(run[0])
        lines += ["", "## Running loss at every tenth step", ""]
        lines += table([rounded(row) for row in rows])
    else:
        lines.append("Not measured yet: run the command above.")
    data = [{"part": "run", **r} for r in run]
    data += [{"part": "loss", **r} for r in rows]
    write(Path(sys.argv[1]), "stories", lines, data)


def summary(run):
    worst, bar = run["loss_difference"], run["loss_difference_bar"]
    said = session.verdict(worst, bar, at_least=False)
    figures = [{"figure": k, "value": v} for k, v in run.items()]
    return [
        f"Largest difference at a tenth step: {worst:.1e}, bar {bar:g}: "
        f"**{said}**. Running loss after {run['steps']} steps: "
        f"{run['running_loss']:.4f}, PyTorch {run['torch_running_loss']:.4f}.",
        "",
        *table(figures),
    ]


def rounded(row):
    """Losses to read; the data file has all their digits."""
    return {
        k: round(v, 6) if k.endswith("running_loss") else v
        for k, v in row.items()
    }


if __name__ == "__main__":
    main()
