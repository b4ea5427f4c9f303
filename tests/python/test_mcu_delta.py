"""Deltas on emulated boards: the bytes that the host has, in less than 1 KB of
RAM with the stack.
"""

import numpy as np
import pytest

from fieldtune_cli import run_json
from mcu_boards import ROOT, boards, mcu, target_or_skip
from small_models import CLASSES, conv_net

DELTA = sorted((ROOT / "runtime_mcu" / "delta").glob("*.c"))
CRC = ROOT / "runtime_mcu" / "flash" / "ft_crc32.c"
EXPECTED = """\
apply: ok
byte by byte: ok
truncated: the delta ends too early
padded: bytes follow after the delta's end
"""
RAM_BYTES = 1024


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """Folders with old.bin, new.bin and x.delta."""
    folder = tmp_path_factory.mktemp("delta")
    base = folder / "base.tflite"
    base.write_bytes(conv_net())
    shape = run_json("inspect", base)["inputs"][0]["shape"]
    rng = np.random.default_rng(1)
    np.save(folder / "x.npy", rng.normal(size=(12, *shape[1:])).astype("f4"))
    np.save(folder / "y.npy", rng.integers(0, CLASSES, 12).astype("i4"))
    train = ["train", base, "--data", folder / "x.npy", "--labels",
             folder / "y.npy", "--precision", "f32"]  # fmt: skip
    cases = {}
    for name, dtype, bits in [("int8", "int8", None), ("int4", "int4", None),
                              ("f32", "f32", None), ("lossy", "f32", 8),
                              ("lossy16", "f16", 4)]:
        here = folder / name
        here.mkdir()
        old, new = here / "old.bin", here / "new.bin"
        run_json(*train, "--adapter-dtype", dtype, "--epochs", 2, "--out", old)
        run_json(*train, "--adapter-dtype", dtype, "--epochs", 1,
                 "--init-adapter", old, "--out", new)  # fmt: skip
        lossy = ["--bits", bits, "--result", here / "there.bin"] if bits else []
        run_json("delta", "make", old, new, "-o", here / "x.delta", *lossy)
        if bits:
            (here / "there.bin").replace(new)
        cases[name] = here
    return cases


@boards
def test_a_board_gets_the_same_bytes(board, versions):
    target = target_or_skip(board)
    for name, folder in versions.items():
        run = mcu.build_and_run(
            target, [ROOT / "tests" / "mcu" / "delta_apply.c", *DELTA, CRC],
            includes=[ROOT / "runtime_mcu" / "delta",
                      ROOT / "runtime_mcu" / "flash"],
            folder=folder, optimize="-Os")  # fmt: skip
        assert run.output.startswith(EXPECTED), (name, run.output)
        assert run.output.endswith(
            "other precursor: made for another precursor\n")
        state = run.image.sizes["delta"]
        apply = run.sections["apply"]
        print(f"{board} {name}: {state} bytes of state, {apply.stack_bytes} of "
              f"stack, {apply.instructions:,} instructions for "
              f"{(folder / 'new.bin').stat().st_size} bytes")
        assert state + apply.stack_bytes < RAM_BYTES, (name, board)
