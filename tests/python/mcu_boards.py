"""Where the Python tests find tools/mcu, and which boards this machine can run.

`boards` parametrizes a test over all targets; one whose compiler or emulator is
absent is skipped with the line that says which.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import mcu  # noqa: E402


def target_or_skip(name):
    target = mcu.load_target(name)
    missing = target.missing_programs()
    if missing:
        pytest.skip(f"{name}: {', '.join(missing)} not installed "
                    "(tools/install_packages.sh mcu)")
    return target


def run_undefined_free(compiler, sources, includes, folder):
    """Builds `sources` for this machine without a warning, under UBSan, and runs
    them in `folder`."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} not installed")
    built = subprocess.run(
        [compiler, "-std=c99", "-O1", "-g", "-Wall", "-Wextra", "-Wpedantic",
         "-Wconversion", "-Werror", "-ffp-contract=off",
         "-fsanitize=undefined", "-fno-sanitize-recover=all", "-DFT_HOST",
         *(part for path in includes for part in ("-I", path)), *sources,
         "-lm", "-o", folder / "driver"], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    subprocess.run([folder / "driver"], cwd=folder, check=True)


boards = pytest.mark.parametrize("board", mcu.target_names())
