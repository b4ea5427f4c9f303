"""What the Python tests share: where the programs and the real inputs are.

FT_BUILD_DIR names the build whose programs are driven (build/release), FT_SHARED
the folder of real inputs (../shared). Tests of what is not there skip with the
line that says what is missing; a missing program is a failure, never a skip.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def shared():
    """The folder of real models and data, read-only."""
    folder = Path(os.environ.get("FT_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"real inputs are absent: no folder {folder} (FT_SHARED)")
    return folder


@pytest.fixture(scope="session")
def build_dir():
    """Where CMake left the programs."""
    folder = Path(os.environ.get("FT_BUILD_DIR", "build/release"))
    return ROOT / folder


@pytest.fixture(scope="session")
def program(build_dir):
    """program(name) is the path of a program of the build."""

    def find(name):
        path = build_dir / name
        assert path.is_file(), f"{path} is missing: run make build"
        return path

    return find


@pytest.fixture(scope="session")
def fieldtune(program):
    """fieldtune("train", ...) runs the command in the repository's root.

    Returns the finished process (returncode, stdout, stderr as text); the test
    looks at the exit code itself. `timeout` is in seconds.
    """

    def run(*arguments, timeout=600, **options):
        command = [program("fieldtune"), *map(str, arguments)]
        options.setdefault("cwd", ROOT)
        return subprocess.run(command, capture_output=True, text=True,
                              timeout=timeout, check=False, **options)

    return run
