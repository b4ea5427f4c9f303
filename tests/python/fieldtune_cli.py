"""How Python tests and benchmarks call the built command, and where they leave
figures for docs/results.

FT_BUILD_DIR and FT_SHARED name other folders than build/release and ../shared,
as in conftest.py, which scripts outside pytest cannot use.
"""

import json
import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("FT_SHARED", ROOT.parent / "shared"))
MODELS = SHARED / "models" / "mlperf_tiny"
FSDD = SHARED / "data" / "fsdd"
BINARY = ROOT / os.environ.get("FT_BUILD_DIR", "build/release") / "fieldtune"
FSDD_ARGS = ["--label-from", "{label}_{speaker}_{take}",
             "--front-end", "mlperf-kws"]  # fmt: skip


def run(*args, prefix=(), timeout=600):
    """The finished process; `prefix` goes before the command (taskset ...)."""
    return subprocess.run(
        [*prefix, str(BINARY), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def run_json(*args, **kwargs):
    """The JSON object of a run that must succeed."""
    done = run(*args, "--json", **kwargs)
    assert done.returncode == 0, (
        f"exit {done.returncode} of {' '.join(map(str, args))}:\n{done.stderr}"
    )
    return json.loads(done.stdout)


def module_names(model):
    """Adaptable layers in the order of the file."""
    return [m["name"] for m in run_json("inspect", model)["adaptable_modules"]]


def save_rows(path, rows):
    """A flat list of objects, one a line, for tables and diffs."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in rows)
    path.write_text(f"[\n{lines}\n]\n")
