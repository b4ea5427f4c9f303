"""Runs what `fieldtune compile` printed: on a target's emulated board, or here.

The data are random: instructions do not depend on them, and equal bits are
equal for any.
"""

import dataclasses
import hashlib
import random
import struct
import subprocess
import tempfile
from pathlib import Path

from .build import FLAGS, build
from .run import run
from .target import ROOT

DRIVER = ROOT / "tests" / "mcu" / "model_driver.c"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
DRIVER_STACK = 512  # of main and of writing its files


@dataclasses.dataclass(frozen=True)
class ModelRun:
    adapter_sha256: str
    answer_sha256: str
    train_instructions: int = 0  # of the last step
    infer_instructions: int = 0
    slice_instructions: int = 0  # of the longest slice of a step
    sliced_instructions: int = 0  # of all slices of the last step
    stack_bytes: int = 0
    model_bytes: int = 0  # of ft_model as linked
    flash_bytes: int = 0
    sections: list = dataclasses.field(default_factory=list)  # Run.all_sections


def samples_header(compiled, steps, count=8, seed=1):
    """`compiled`: the JSON of the command."""
    rng = random.Random(seed)

    def values(dtype, num_bytes, labels=False):
        if labels:
            return struct.pack("<i", rng.randrange(compiled["classes"])) * (
                num_bytes // 4)
        if dtype == "float32":
            return b"".join(struct.pack("<f", rng.uniform(-1, 1))
                            for _ in range(num_bytes // 4))
        if dtype == "int32":
            return b"".join(struct.pack("<i", rng.randrange(-1000, 1000))
                            for _ in range(num_bytes // 4))
        return rng.randbytes(num_bytes)

    def array(name, rows):
        body = ",\n".join("{" + ",".join(map(str, row)) + "}" for row in rows)
        return (f"static const unsigned char {name}[{len(rows)}]"
                f"[{len(rows[0])}] = {{\n{body}}};\n")

    inputs = [values(compiled["input_dtype"], compiled["input_bytes"])
              for _ in range(count)]
    lines = [f"#define STEPS {steps}", f"#define SAMPLES {count}",
             f"#define INPUT_BYTES {compiled['input_bytes']}",
             f"#define ANSWER_BYTES {compiled['answer_bytes']}",
             f"#define ANSWER {compiled['answer']}"]
    text = "\n".join(lines) + "\n" + array("inputs", inputs)
    if steps:
        targets = [values(compiled["target_dtype"], compiled["target_bytes"],
                          compiled["classes"] > 0) for _ in range(count)]
        text += f"#define TARGET_BYTES {compiled['target_bytes']}\n"
        text += array("targets", targets)
    return text


def digest(path):
    return (hashlib.sha256(path.read_bytes()).hexdigest()
            if path.exists() else "")


def run_model(compiled, steps, target=None, *, optimize="-O2", time_limit=600,
              compiler="cc", emulator=(), count=True):
    """Trains `steps` steps, then infers. `target` None: this machine, or another
    that `compiler` compiles for and the command `emulator` runs; nothing but
    C99 can have been compiled for it. `count`: see mcu.run."""
    folder = Path(compiled["out"])
    sources = [DRIVER, *sorted(folder.glob("*.c")),
               *sorted(folder.glob("kernels/*/*.c"))]
    with tempfile.TemporaryDirectory(prefix="ft-model-") as name:
        scratch = Path(name)
        (scratch / "samples.h").write_text(samples_header(compiled, steps))
        if target is None:
            subprocess.run([compiler, *FLAGS, *WARNINGS, optimize, "-static",
                            "-DFT_HOST", "-I", scratch, "-I", folder, *sources,
                            "-o", scratch / "driver", "-lm"], check=True)
            subprocess.run([*emulator, scratch / "driver"], cwd=scratch,
                           check=True)
            figures = {}
        else:
            # No more stack than planned, but for the driver itself.
            image = build(target, sources, scratch, includes=[scratch, folder],
                          optimize=optimize, flags=WARNINGS,
                          stack_bytes=compiled["stack_bytes"] + DRIVER_STACK,
                          linker_scripts=[folder / "ft_ram.ld"])
            done = run(image, folder=scratch, time_limit=time_limit,
                       count=count)
            assert done.exit == 0, done.output
            figures = {f"{n}_instructions": s.instructions
                       for n, s in done.sections.items()
                       if n in ("train", "infer")}
            slices = [s.instructions for n, s in done.all_sections
                      if n == "slice"]
            figures["slice_instructions"] = max(slices, default=0)
            # Every step has as many.
            figures["sliced_instructions"] = sum(
                slices[len(slices) - len(slices) // max(steps, 1):])
            figures |= {
                "sections": done.all_sections,
                "stack_bytes": max(s.stack_bytes
                                   for s in done.sections.values()),
                "flash_bytes": image.flash_bytes,
                "model_bytes": image.sizes["model"]}
        return ModelRun(adapter_sha256=digest(scratch / "adapter.bin"),
                        answer_sha256=digest(scratch / "answer.bin"), **figures)
