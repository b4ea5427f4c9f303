"""Writes docs/results/main-job.md and main-job.json from the figures that the
benchmarks and tests left behind.

    python bench/main_job_page.py FOLDER

A part whose figures are missing is named as not measured, with the command that
makes them; nothing is ever filled in by hand.
"""

import sys
from pathlib import Path

import session
from pages import head, read, table, write

TESTS = session.ROOT / "build" / "results"
BENCH = session.RESULTS

# Section title, file, command that makes it, what one should know to read it.
PARTS = [
    (
        "int8 answers against LiteRT",
        TESTS / "int8_parity.json",
        "make test-python PYTEST_ARGS='-k import_oracle'",
        "Bytes that differ from LiteRT's reference kernels, and for comparison "
        "how often LiteRT's optimized kernels differ from its own reference.",
    ),
    (
        "Gradients and optimizer steps against PyTorch",
        TESTS / "gradients.json",
        "make test-python PYTEST_ARGS='-k lora_torch'",
        "Largest difference from PyTorch autograd in double precision, over "
        "the largest element of the same tensor; the worst tensor is shown.",
    ),
    (
        "Promises that C++ tests keep",
        BENCH / "tests.json",
        "python bench/checks.py",
        "",
    ),
    (
        "The same run by other paths",
        BENCH / "equal_bits.json",
        "python bench/checks.py",
        "`adapter_sha256` of four epochs on one speaker, LoRA r = 4, `mixed`.",
    ),
    (
        "The real job: bars",
        BENCH / "real_job_checks.json",
        "python bench/real_job.py",
        "",
    ),
    (
        "The real job: accuracy on the 40 takes a digit that were not trained",
        BENCH / "real_job_summary.json",
        "python bench/real_job.py",
        "Means over the seeds. Ten takes a digit train, batch 1, 30 epochs; "
        "`full` is float32, the others train beside the int8 model as deployed "
        "(`mixed`). `int8` is after merging into an int8 file, which keeps the "
        "base's activation ranges: training in `mixed` feels them, `full` in "
        "float leaves them and loses by it.",
    ),
    (
        "The real job: every run",
        BENCH / "real_job.json",
        "python bench/real_job.py",
        "",
    ),
    (
        "Speed and memory of a LoRA step against PyTorch",
        BENCH / "train_step.json",
        "python bench/train_step.py",
        "Float keyword model, LoRA r = 4 on every layer, AdamW, one pinned "
        "core, processes in turn, median of five rounds.",
    ),
    (
        "Where a LoRA step spends its time",
        BENCH / "train_step_profile.json",
        "python bench/train_step.py",
        "",
    ),
    (
        "Inference of int8 models against LiteRT (XNNPACK)",
        BENCH / "inference.json",
        "python bench/inference.py",
        "One pinned core, in turn, median of seven rounds of 300 calls.",
    ),
    (
        "Where inference spends its time",
        BENCH / "inference_profile.json",
        "python bench/inference.py",
        "",
    ),
    (
        "Planned memory of a training step",
        BENCH / "plans.json",
        "python bench/plans.py",
        "The lower bound is the largest sum of buffers that are alive at once: "
        "no placement can be smaller.",
    ),
]


def limits():
    """What limits each speed that misses its bar, from the profiles."""
    lines = []
    profile = read(BENCH / "train_step_profile.json")
    for row in read(BENCH / "train_step.json"):
        if row["speedup"] >= row["speedup_bar"]:
            continue
        top = [k for k in profile if k["batch"] == row["batch"]][:4]
        kernels = ", ".join(f"`{k['kernel']}` {k['share']:.0%}" for k in top)
        lines.append(
            f"- LoRA step at batch {row['batch']}: {row['speedup']}x instead "
            f"of {row['speedup_bar']}x. The step computes "
            f"{row['step_macs'] / 1e6:.1f} M multiply-adds at "
            f"{row['step_gmacs_per_s']} G/s, most of its time in {kernels}. "
            "What PyTorch spends on each operator, whatever its size, is "
            "shared by more samples than at batch 1, so the ratio falls to "
            "that of the kernels themselves."
        )
    profile = read(BENCH / "inference_profile.json")
    for row in read(BENCH / "inference.json"):
        if row["speedup"] >= row["speedup_bar"]:
            continue
        top = [k for k in profile if k["model"] == row["model"]][:3]
        nodes = ", ".join(f"`{k['node']}` {k['share']:.0%}" for k in top)
        lines.append(
            f"- Inference of {row['model']}: {row['speedup']}x. "
            f"{row['infer_gmacs_per_s']} G multiply-adds a second; most of "
            f"the time is in {nodes}, with kernel `{top[0]['kernel']}`."
        )
    if not lines:
        return []
    return ["", "## What limits the figures that miss their bar", "", *lines]


def main():
    lines = head("The main job, measured", "main-job", "main_job_page.py")
    flat = []
    for title, source, command, note in PARTS:
        lines += ["", f"## {title}", ""]
        if note:
            lines += [note, ""]
        lines += [f"Made by `{command}`.", ""]
        rows = read(source)
        if not rows:
            lines.append("Not measured yet: run the command above.")
            continue
        flat += [{"part": title, "command": command, **row} for row in rows]
        lines += table(rows)
    lines += limits()
    write(Path(sys.argv[1]), "main-job", lines, flat)


if __name__ == "__main__":
    main()
