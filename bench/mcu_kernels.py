"""Instructions per multiply-accumulate (or sum) of int8 rows on emulated boards.

    .venv/bin/python bench/mcu_kernels.py    figures to bench/results

Exact counts of QEMU (tools/mcu), which models no caches: instructions, never
time. Each row's result is compared with the host's C99 row, bit by bit, before
its count is believed. CMSIS-NN's figures were measured by the same emulators
with arm-none-eabi-gcc 12.2. bench/mcu_page.py makes the page.
"""

import sys
import tempfile
from pathlib import Path

from session import ROOT, save, verdict

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "python")]

import mcu  # noqa: E402
from mcu_cases import print_cases, run_cases  # noqa: E402

BUILD = ROOT / "build" / "release"
LAYERS = {  # (op, its layer in device_cases): name, multiply-accumulates
    ("conv2d", 0): ("pointwise 64->64, 25x5", 125 * 64 * 64),
    ("conv2d", 1): ("conv 3x3 64->64, 9x7", 63 * 64 * 64 * 9),
    ("depthwise_conv2d", 0): ("depthwise 3x3x64, 25x5", 125 * 64 * 9),
    ("binary", 0): ("add, 16x16x16", 16 ** 3),
    ("fully_connected", 0): ("fully connected 64->12", 64 * 12),
    ("bfp_conv2d_input_grad", 0): ("integer input gradient", 125 * 64 * 64),
    ("bfp_conv2d_input_grad", 1): ("integer, of 3x3 32->32", 63 * 32 * 32 * 9),
    ("bfp_conv2d_weight_grad", 0): ("integer adapter gradient", 125 * 4 * 64),
    ("bfp_conv2d_weight_grad", 1): ("integer, of 3x3 32->4", 100 * 4 * 32 * 9),
}
BOARDS = [("cortex-m4", "armdsp"), ("cortex-m55", "helium")]
# Instructions per multiply-accumulate.
BARS = {("conv2d", 0): {"armdsp": 2.0, "helium": 0.40},
        ("depthwise_conv2d", 0): {"armdsp": 7.5, "helium": 2.2},
        ("bfp_conv2d_input_grad", 0): {"armdsp": 2.5},
        ("bfp_conv2d_input_grad", 1): {"armdsp": 2.5},
        ("bfp_conv2d_weight_grad", 0): {"armdsp": 2.5},
        ("bfp_conv2d_weight_grad", 1): {"armdsp": 2.5}}
CMSIS_NN = {("conv2d", 0): {"armdsp": 2.09, "helium": 0.40},
            ("depthwise_conv2d", 0): {"armdsp": 8.33, "helium": 2.32},
            ("fully_connected", 0): {"armdsp": 2.9, "helium": 0.9}}


def measure(board, isa):
    """{(op, layer): instructions} of one board."""
    counts = {}
    with tempfile.TemporaryDirectory() as folder:
        for op in sorted({op for op, _ in LAYERS}):
            if isa == "helium" and op.startswith("bfp_"):
                continue  # Cortex-M55 trains with the rows of DSP
            cases = Path(folder) / f"{op}.c"
            symbols = print_cases(BUILD / "device_cases", cases, isa, "s8", [op])
            run = run_cases(mcu.load_target(board), cases, symbols,
                            BUILD / "src" / "kernels" / "libft_kernels.a",
                            time_limit=300)
            if run.exit != 0:
                sys.exit(f"{board}: wrong bits: {run.output}")
            for name, section in run.sections.items():
                row, kind, number = name.split()
                if kind == "layer":
                    counts[op, int(number)] = section.instructions
    return counts


def main():
    rows = []
    for board, isa in BOARDS:
        counts = measure(board, isa)
        for key, (name, macs) in LAYERS.items():
            if key not in counts:
                continue
            rate = round(counts[key] / macs, 3)
            bar = BARS.get(key, {}).get(isa)
            rows.append({"layer": name, "target": board,
                         "instructions": counts[key], "per_mac": rate,
                         "cmsis_nn": CMSIS_NN.get(key, {}).get(isa, ""),
                         "bar": bar or "",
                         "verdict": verdict(rate, bar, False) if bar else ""})
            print(*rows[-1].values(), flush=True)
    save("mcu_kernels", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
