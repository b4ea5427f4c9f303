"""Runs a front end that `fieldtune compile --front-end` printed over recordings:
on a target's emulated board, or here."""

import dataclasses
import subprocess
import tempfile
from pathlib import Path

from .build import FLAGS, build
from .model import DRIVER_STACK
from .run import run
from .target import ROOT

DRIVER = ROOT / "tests" / "mcu" / "front_end_driver.c"


@dataclasses.dataclass(frozen=True)
class FrontEndRun:
    inputs: bytes  # of the model, one clip after the other
    push_instructions: int = 0  # the most of any hop
    input_instructions: int = 0
    stack_bytes: int = 0
    flash_bytes: int = 0  # of the whole image


def run_front_end(compiled, clips, target=None, *, optimize="-O2",
                  time_limit=600):
    """`compiled`: the JSON of the command. `clips`: bytes of 16-bit samples,
    each as long as an input. `target` None: this machine."""
    folder = Path(compiled["out"])
    sources = [DRIVER, *sorted(folder.glob("*.c")),
               *sorted(folder.glob("kernels/*/*.c"))]
    with tempfile.TemporaryDirectory(prefix="ft-front-end-") as name:
        scratch = Path(name)
        (scratch / "clips.h").write_text(
            f"#define CLIPS {len(clips)}\n"
            f"#define INPUT_BYTES {compiled['input_bytes']}\n")
        (scratch / "audio.raw").write_bytes(b"".join(clips))
        figures = {}
        if target is None:
            subprocess.run(["cc", *FLAGS, optimize, "-DFT_HOST", "-I", scratch,
                            "-I", folder, *sources, "-o", scratch / "driver",
                            "-lm"], check=True)
            subprocess.run([scratch / "driver"], cwd=scratch, check=True)
        else:
            # No more stack than planned, but for the driver itself.
            image = build(target, sources, scratch, includes=[scratch, folder],
                          optimize=optimize,
                          stack_bytes=compiled["stack_bytes"] + DRIVER_STACK,
                          linker_scripts=[folder / "ft_ram.ld"])
            done = run(image, folder=scratch, time_limit=time_limit)
            assert done.exit == 0, done.output
            most = lambda wanted, what: max(
                getattr(s, what) for n, s in done.all_sections if n in wanted)
            figures = {
                "push_instructions": most(["push"], "instructions"),
                "input_instructions": most(["input"], "instructions"),
                "stack_bytes": most(["push", "input"], "stack_bytes"),
                "flash_bytes": image.flash_bytes}
        return FrontEndRun(inputs=(scratch / "inputs.bin").read_bytes(),
                           **figures)
