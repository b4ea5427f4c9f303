"""Kernel rows on emulated boards: cases from the host, sources by symbol."""

import re
import subprocess

from mcu_boards import ROOT, mcu

KERNELS = ROOT / "src" / "kernels"
RUNNER = ROOT / "tests" / "mcu" / "kernel_cases.c"
ARENA_BYTES = 200_000


class Sources:
    """Which C files of src/kernels a set of kernels needs, by the symbols of the
    host's library (`library`: libft_kernels.a). Rows that only devices have are
    one file each, named after the symbol."""

    def __init__(self, library):
        self.files = {path.name: path for path in KERNELS.rglob("*.c")}
        self.defined_in, self.wants = {}, {}
        listing = subprocess.run(["nm", library], capture_output=True,
                                 text=True, check=True).stdout
        for member in listing.split("\n\n"):
            name = member.strip().split(":")[0].removesuffix(".o")
            if name not in self.files:
                continue
            self.wants[name] = re.findall(r" U (\w+)$", member, re.MULTILINE)
            for symbol in re.findall(r" [TDR] (\w+)$", member, re.MULTILINE):
                self.defined_in[symbol] = name

    def of(self, symbols):
        todo, found = [], set()
        for symbol in symbols:
            todo.append(self.defined_in.get(symbol, symbol[3:] + ".c"))
        while todo:
            name = todo.pop()
            if name in found:
                continue
            found.add(name)
            todo += [self.defined_in[s] for s in self.wants.get(name, [])
                     if s in self.defined_in]
        return sorted(self.files[name] for name in found)


def print_cases(program, out, isa, signatures, ops=(), seed=1):
    """Writes the cases as C; the symbols that they call."""
    done = subprocess.run([program, out, str(seed), isa, signatures, *ops],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def run_cases(target, cases, symbols, library, **options):
    sources = Sources(library).of(symbols)
    return mcu.build_and_run(
        target, [cases, RUNNER, *sources],
        includes=[ROOT / "tests"],
        defines=[f"FT_CASE_ARENA={ARENA_BYTES}"], **options)
