"""What the benchmarks share: one pinned core, rounds that alternate between
fieldtune and its peer, medians, and where figures go.

Not for tests: nothing here fails because a machine is slow; bars are printed
with what was measured.
"""

import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "python"))

import fieldtune_cli as cli  # noqa: E402

RESULTS = ROOT / "bench" / "results"
WORK = ROOT / "build" / "bench"


def pinned():
    """Command prefix that binds to one core: the last that we may use."""
    return ["taskset", "-c", str(max(os.sched_getaffinity(0)))]


def pin_this_process():
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def spread(values):
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)


def peak_rss_bytes():
    """Of this process. Not getrusage(): its peak includes what the parent had
    resident when it started us."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return None


def cpu_name():
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    for line in text.splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def commit():
    done = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or "unknown"


def save(name, rows):
    cli.save_rows(RESULTS / f"{name}.json", rows)


def verdict(value, bar, at_least=True):
    """'met', or by how much it is missed."""
    met = value >= bar if at_least else value <= bar
    sign = ">=" if at_least else "<="
    return "met" if met else f"missed (bar {sign} {bar:g})"
