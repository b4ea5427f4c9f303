"""targets/*.toml: what a device is, as its compiler and emulator need it."""

import dataclasses
import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ROOT / "targets"


@dataclasses.dataclass(frozen=True)
class Region:
    origin: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    family: str  # "arm" or "riscv"
    arch: str  # "armv7e-m"
    kernels: list[str]  # instruction sets of kernel rows, best first
    has_fpu: bool
    clock_hz: int  # of the timer
    icount_shift: int  # 2^this ns for each instruction
    memory: dict[str, Region]  # those that code is linked to: "flash", "ram"
    prefix: str
    flags: list[str]
    program: str
    machine: list[str]
    defines: list[str]

    def missing_programs(self):
        """Names of programs that this machine lacks to build and run."""
        wanted = [self.prefix + "gcc", self.prefix + "nm", self.program]
        return [name for name in wanted if shutil.which(name) is None]


def target_names():
    return sorted(path.stem for path in TARGETS.glob("*.toml")
                  if "emulator" in tomllib.loads(path.read_text()))


def load_target(name):
    """The target of targets/<name>.toml; ValueError names those there are."""
    path = TARGETS / f"{name}.toml"
    if not path.is_file():
        raise ValueError(f"no target {name!r}; there are "
                         f"{', '.join(target_names())}")
    t = tomllib.loads(path.read_text())
    return Target(
        name=t["name"], family=t["isa"]["family"], arch=t["isa"]["arch"],
        kernels=t["isa"]["kernels"],
        has_fpu=t["fpu"]["single"], clock_hz=t["clock"]["hz"],
        icount_shift=t["emulator"]["icount_shift"],
        memory={m["name"]: Region(m["origin"], m["bytes"])
                for m in t["memory"] if "origin" in m},
        prefix=t["compiler"]["prefix"], flags=t["compiler"]["flags"],
        program=t["emulator"]["program"], machine=t["emulator"]["machine"],
        defines=t["emulator"]["defines"])
