"""Builds C99 for a microcontroller and runs it under QEMU.

    from mcu import build_and_run, load_target
    run = build_and_run(load_target("cortex-m4"), ["main.c"])
    run.output, run.instructions, run.stack_bytes, run.sections["conv"]

A target is a file of targets/; start-up and linker script are those of
runtime_mcu/boards/. Counts are exact and repeatable: QEMU runs with -icount, so
that a timer of the board advances by a known part for each instruction. QEMU
models no caches and no wait states: these are instructions, never time.
"""

from .build import BuildError, Image, build
from .run import Run, RunError, Section, build_and_run, run
from .target import Target, load_target, target_names

__all__ = ["BuildError", "Image", "Run", "RunError", "Section", "Target",
           "build", "build_and_run", "load_target", "run", "target_names"]
