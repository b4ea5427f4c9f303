"""Writes docs/results/sparsity.md and sparsity.json from what bench/sparsity.py
left.

    python bench/sparsity_page.py FOLDER
"""

import sys
from pathlib import Path

import session
from pages import head, read, table, write

WHAT = (
    "Bottleneck adapters of the keyword model of MLPerf Tiny, behind each of its "
    "four blocks (64 channels; a reduction factor of 16, 4 and 1 makes 4, 16 and 64 "
    "hidden values of each pixel), that have learned three takes of each digit of "
    "one speaker for 40 epochs. `zeros` is the share of hidden values that the ReLU "
    "then makes 0. Instructions are those of one whole training step (batch 10) and "
    "of one inference, base model included, in all kernel calls, counted by "
    "callgrind, which shows programs a processor with AVX2; `dense` is the same "
    "command with every kernel that skips zeros left out by `--without-kernel`. "
    "Times are the best of rounds on one core, dense and skipping turn by turn, on "
    "a machine that others use too. `equal bits`: both trained adapters of the "
    "same values, bit for bit.",
    "Portable C99 kernels skip wherever zeros come from a ReLU. Vector kernels must "
    "first list what is not 0 of a row, which the saved products have to repay. So "
    "by default vectors skip in gradients behind the ReLU whose sums are of 16 "
    "products or more, and in the up-projection from 64 hidden values on; "
    "narrower ones, and the gradient of the up-projection's weights, stay dense, "
    "because skipping was slower there (src/ops/skip_zeros.h). At the default "
    "reduction factor, 16, an inference thus skips nothing by default, and a step "
    "gains next to nothing: skipping pays without vectors, as on small devices.",
)


def main():
    rows = read(session.RESULTS / "sparsity.json")
    lines = head("Zeros that are skipped", "sparsity", "sparsity_page.py")
    for text in WHAT:
        lines += ["", text]
    lines += ["", "Made by `python bench/sparsity.py`.", ""]
    lines += table(rows)
    if len(rows) < 7:
        lines += ["", f"Only {len(rows)} of 7 cases measured yet."]
    write(Path(sys.argv[1]), "sparsity", lines, rows)


if __name__ == "__main__":
    main()
