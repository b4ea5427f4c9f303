"""Compiles and links an image for a target's board."""

import dataclasses
import hashlib
import shutil
import subprocess
from pathlib import Path

from .target import ROOT, Target

BOARDS = ROOT / "runtime_mcu" / "boards"
START_UP = {"arm": ["arm_start.S", "arm_fault.c"], "riscv": ["riscv_start.S"]}
# Bits must not depend on the machine; the rest keeps images small.
FLAGS = ["-std=c99", "-ffp-contract=off", "-fno-math-errno",
         "-fno-trapping-math", "-ffunction-sections", "-fdata-sections",
         "-fno-common"]


class BuildError(RuntimeError):
    """The compiler or linker refused; the text is what it said."""


@dataclasses.dataclass(frozen=True)
class Image:
    target: Target
    elf: Path
    ram_bytes: int  # stack + data + bss with the alignment between: all of it
    stack_bytes: int  # reserved
    static_bytes: int  # data + bss
    flash_bytes: int  # code, constants, initial data
    symbols: dict[str, int]  # addresses, or values
    sizes: dict[str, int]  # of those that have one


def call(command):
    done = subprocess.run([str(c) for c in command], capture_output=True,
                          text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{Path(command[0]).name} failed:\n{done.stderr}")
    return done.stdout


def compile_one(target, source, folder, flags):
    # Two sources may have one name.
    tag = hashlib.sha256(str(Path(source).resolve()).encode()).hexdigest()[:8]
    out = folder / f"{Path(source).stem}-{tag}.o"
    ccache = [shutil.which("ccache")] if shutil.which("ccache") else []
    call([*ccache, target.prefix + "gcc", *target.flags, *FLAGS, *flags, "-c",
          source, "-o", out])
    return out


def symbols_of(target, elf):
    """({name: address}, {name: bytes})"""
    table, sizes = {}, {}
    for line in call([target.prefix + "nm", "-S", elf]).splitlines():
        parts = line.split()
        if len(parts) >= 3:
            table[parts[-1]] = int(parts[0], 16)
        if len(parts) == 4:
            sizes[parts[-1]] = int(parts[1], 16)
    return table, sizes


def regions(target):
    """The memory of a target, as board.ld includes it."""
    lines = [f"  {name} ({'rwx' if name == 'ram' else 'rx'}) : "
             f"ORIGIN = {r.origin:#x}, LENGTH = {r.bytes:#x}"
             for name, r in target.memory.items()]
    alias = ([] if "boot" in target.memory
             else ['REGION_ALIAS("boot", flash)'])
    return "\n".join(["MEMORY {", *lines, "}", *alias, ""])


def build(target, sources, folder, *, defines=(), includes=(),
          optimize="-O2", flags=(), stack_bytes=16384, ram_limit=None,
          linker_scripts=()):
    """An Image in `folder`, linked from C and assembly `sources`.

    `defines`: "NAME" or "NAME=value". `ram_limit`: bytes that stack and static
    memory may take together (all of the RAM region). BuildError otherwise.
    `linker_scripts`: beside the board's, such as a printed ft_ram.ld.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    common = [f"-D{d}" for d in [*target.defines, *defines]]
    common += ["-I", ROOT / "src", "-I", ROOT / "runtime_mcu"]
    common += [part for path in includes for part in ("-I", path)]
    common += [optimize, *flags]
    start_up = [BOARDS / name for name in
                [*START_UP[target.family], "board.c", "semihosting.c"]]
    objects = [compile_one(target, source, folder, common)
               for source in [*sources, *start_up]]
    elf = folder / "image.elf"
    (folder / "regions.ld").write_text(regions(target))
    ram = target.memory["ram"].bytes
    places = {"FT_STACK_BYTES": stack_bytes,
              "FT_RAM_LIMIT": ram if ram_limit is None else ram_limit}
    call([target.prefix + "gcc", *target.flags, "-nostartfiles", "-nostdlib",
          *(f"-Wl,--defsym={k}={v}" for k, v in places.items()),
          "-Wl,--gc-sections", f"-Wl,-Map={folder / 'image.map'}",
          "-L", folder, "-T", BOARDS / "board.ld", *linker_scripts, *objects, "-o", elf,
          "-Wl,--start-group", "-lc", "-lm", "-lgcc", "-Wl,--end-group"])
    symbols, sizes = symbols_of(target, elf)
    return Image(target=target, elf=elf, ram_bytes=symbols["__ft_ram_bytes"],
                 stack_bytes=symbols["__ft_stack_bytes"],
                 static_bytes=symbols["__ft_static_bytes"],
                 flash_bytes=symbols["__ft_flash_used"], symbols=symbols,
                 sizes=sizes)
