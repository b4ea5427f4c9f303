"""Kernel rows give the host's bits on every emulated board.

Cases are the examples of the ops with random inputs (tests/mcu/device_cases.cc).
FT_EXHAUSTIVE=1 walks every row of every op on every board; without it integer
rows of the ops that the MLPerf Tiny models use, on all boards, and their float
rows on one.
"""

import os

import pytest

from mcu_boards import boards, target_or_skip
from mcu_cases import print_cases, run_cases

OPS = ["conv2d", "depthwise_conv2d", "fully_connected", "avg_pool2d",
       "max_pool2d", "softmax", "binary", "pad", "quantize", "dequantize"]  # fmt: skip
EXHAUSTIVE = os.environ.get("FT_EXHAUSTIVE") == "1"


def check(build_dir, tmp_path, board, isa, signatures, ops):
    target = target_or_skip(board)
    cases = tmp_path / "cases.c"
    symbols = print_cases(build_dir / "device_cases", cases, isa, signatures, ops)
    run = run_cases(target, cases, symbols,
                    build_dir / "src" / "kernels" / "libft_kernels.a",
                    time_limit=300)
    assert run.exit == 0, run.output
    assert run.output.endswith("cases right\n")
    assert not run.output.startswith("0 of")


@boards
def test_integer_rows(build_dir, tmp_path, board):
    check(build_dir, tmp_path, board, "c99", "s8", [] if EXHAUSTIVE else OPS)


@boards
def test_float_rows(build_dir, tmp_path, board):
    if board != "cortex-m4" and not EXHAUSTIVE:
        pytest.skip("float rows run on cortex-m4; FT_EXHAUSTIVE=1 runs all")
    check(build_dir, tmp_path, board, "c99", "all", [] if EXHAUSTIVE else OPS)


@pytest.mark.parametrize("board, isa", [
    ("cortex-m4", "armdsp"), ("cortex-m7", "armdsp"), ("cortex-m33", "armdsp"),
    ("cortex-m55", "armdsp"), ("cortex-m55", "helium")])
def test_rows_of_devices(build_dir, tmp_path, board, isa):
    check(build_dir, tmp_path, board, isa, "all", [])
