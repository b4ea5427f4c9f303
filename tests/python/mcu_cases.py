"""Kernel rows on emulated boards: cases from the host, sources by symbol."""

import subprocess

from mcu_boards import ROOT, mcu

import embed_kernels  # of tools/, which mcu_boards puts on the path

RUNNER = ROOT / "tests" / "mcu" / "kernel_cases.c"
ARENA_BYTES = 200_000


def sources_of(symbols, library):
    """The C files of src/kernels that define the kernels `symbols` and all that
    they call, by the table that printed code is made from too. `library`:
    libft_kernels.a of the host."""
    texts = embed_kernels.sources(ROOT / "src")
    functions = embed_kernels.symbols_of_archives("nm", [library], texts)
    embed_kernels.add_device_rows(texts, functions)
    defined_in = {name: path for path, (defines, _) in functions.items()
                  for name in defines}
    left, found = [defined_in[symbol] for symbol in symbols], set()
    while left:
        path = left.pop()
        if path not in found:
            found.add(path)
            left += [defined_in[name] for name in functions[path][1]
                     if name in defined_in]
    return [ROOT / "src" / path for path in sorted(found)]


def print_cases(program, out, isa, signatures, ops=(), seed=1):
    """Writes the cases as C; the symbols that they call."""
    done = subprocess.run([program, out, str(seed), isa, signatures, *ops],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def run_cases(target, cases, symbols, library, **options):
    return mcu.build_and_run(
        target, [cases, RUNNER, *sources_of(symbols, library)],
        includes=[ROOT / "tests"],
        defines=[f"FT_CASE_ARENA={ARENA_BYTES}"], **options)
