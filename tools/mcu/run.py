"""Runs an image under QEMU and reads its reports."""

import dataclasses
import re
import subprocess
import tempfile
from pathlib import Path

from .build import Image, build

REPORT = re.compile(r"^@(.+) (\d+) (\d+)\n", re.MULTILINE)


class RunError(RuntimeError):
    """The program did not come to its end; the sentence says how."""


@dataclasses.dataclass(frozen=True)
class Section:
    instructions: int
    stack_bytes: int


@dataclasses.dataclass(frozen=True)
class Run:
    image: Image
    exit: int
    output: str  # without the reports
    instructions: int  # from the call of main() on
    stack_bytes: int  # deepest, of the whole program
    sections: dict[str, Section]  # of ft_mark_begin(name); the last of a name
    all_sections: list[tuple[str, Section]]  # in order


def instructions_of(target, ticks):
    """QEMU lets 2^icount_shift ns of the board's time pass for each."""
    return round(ticks * 1e9 / target.clock_hz / (1 << target.icount_shift))


def run(image, *, time_limit=60, folder=".", count=True):
    """Runs until the program exits. Files that it names lie in `folder`. Without
    `count` it is several times as fast, and counts mean nothing.

    RunError with one sentence for a fault, a failed assertion, a program that
    takes longer than `time_limit` seconds, or an emulator that gives up.
    """
    target = image.target
    command = [target.program, *target.machine, "-display", "none",
               "-monitor", "none", "-serial", "none", "-nodefaults",
               *(["-icount", f"shift={target.icount_shift},sleep=off"]
                 if count else []),
               "-chardev", "stdio,id=host",
               "-semihosting-config", "enable=on,target=native,chardev=host",
               "-kernel", str(Path(image.elf).resolve())]
    try:
        done = subprocess.run(command, capture_output=True, cwd=folder,
                              stdin=subprocess.DEVNULL, timeout=time_limit,
                              check=False)
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode(errors="replace")[-200:]
        raise RunError(f"{target.name}: no end within {time_limit} s; the last "
                       f"it wrote: {said!r}") from None
    text = done.stdout.decode(errors="replace")
    for start in ("fault: ", "failed: "):
        found = re.search(rf"^{start}.*$", text, re.MULTILINE)
        if found:
            raise RunError(f"{target.name}: {found.group()}")
    reports = [(name, int(ticks), int(stack))
               for name, ticks, stack in REPORT.findall(text)]
    if not reports or reports[-1][0] != "total":
        said = (done.stderr.decode(errors="replace") or text).strip()[-300:]
        raise RunError(f"{target.name}: {target.program} ended with "
                       f"{done.returncode}: {said}")
    return parsed(image, done.returncode, REPORT.sub("", text), reports)


def parsed(image, status, output, reports):
    count = lambda ticks: instructions_of(image.target, ticks)
    overhead = count(reports[0][1])  # the first section is empty
    sections = [(name, Section(count(ticks) - overhead, stack))
                for name, ticks, stack in reports[1:-1]]
    return Run(image=image, exit=status, output=output,
               instructions=count(reports[-1][1]), stack_bytes=reports[-1][2],
               sections=dict(sections), all_sections=sections)


def build_and_run(target, sources, *, time_limit=60, folder=".", **options):
    """build() in a temporary folder, then run(); options are build()'s."""
    with tempfile.TemporaryDirectory(prefix="ft-mcu-") as scratch:
        image = build(target, sources, scratch, **options)
        return run(image, time_limit=time_limit, folder=folder)
