#!/usr/bin/env python3
"""Proves that the kernels of an integer training step hold no floating point.

Compiles every source of tools/integer_kernels.txt twice with -O2: for x86-64
without any floating-point unit, where each float operation becomes a call of
the run-time library that `nm` shows; and as usual, where the disassembly must
hold no floating-point instruction. The listed symbols must be defined there.
Usage: tools/check_no_float.py [ROOT]
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ALLOWED_CALLS = {"memcpy", "memset", "memmove", "__stack_chk_fail"}
# Scalar and packed float arithmetic, comparison and conversion; x87.
FLOAT_INSTRUCTION = re.compile(
    r"\tv?(?:(?:add|sub|mul|div|sqrt|min|max|cmp\w*|u?comi|rcp|rsqrt|round)"
    r"[sp][sd]|cvt\w+|fn?m(?:add|sub)\w+|f(?:ld|st|add|mul|sub|div|com|ild|ist)"
    r"\w*)\s")


def read_list(path):
    """Yields (source, symbols) of the list's lines."""
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            source, symbols = line.split(":")
            yield source, symbols.split()


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True,
                          text=True).stdout


def check(root, source, symbols, folder):
    """Yields a sentence for each thing that is wrong with one source."""
    compile_ = ["gcc", "-std=c99", "-O2", "-ffp-contract=off",
                f"-I{root / 'src'}", "-c", str(root / source)]
    soft, plain = folder / "soft.o", folder / "plain.o"
    subprocess.run(compile_ + ["-mno-sse", "-mno-mmx", "-mno-80387",
                               "-msoft-float", "-o", str(soft)], check=True)
    subprocess.run(compile_ + ["-o", str(plain)], check=True)
    names = [line.split() for line in output_of("nm", str(soft)).splitlines()]
    called = {words[-1] for words in names if words[-2] == "U"}
    defined = {words[-1] for words in names if words[-2] == "T"}
    for name in sorted(called - ALLOWED_CALLS):
        yield f"{source} calls {name}"
    for name in symbols:
        if name not in defined:
            yield f"{source} does not define {name}"
    for line in output_of("objdump", "-d", "--no-show-raw-insn",
                          str(plain)).splitlines():
        if FLOAT_INSTRUCTION.search(line + " "):
            yield f"{source}: floating-point instruction{line}"


def main(root):
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        kernels = list(read_list(root / "tools/integer_kernels.txt"))
        for source, symbols in kernels:
            failures += check(root, source, symbols, pathlib.Path(folder))
    for failure in failures:
        print("error:", failure)
    if not failures:
        print(f"no floating point in {len(kernels)} sources")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(*sys.argv[1:2])))
