"""Where the Python tests find tools/mcu, and which boards this machine can run.

`boards` parametrizes a test over all targets; one whose compiler or emulator is
absent is skipped with the line that says which.
"""

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


boards = pytest.mark.parametrize("board", mcu.target_names())
