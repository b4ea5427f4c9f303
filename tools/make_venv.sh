#!/bin/sh
# Usage: tools/make_venv.sh FOLDER
# Makes the Python environment of the tests: Debian's python3 and the pinned
# oracles of tests/python/requirements*.txt. Nothing is resolved: each list is
# complete, so no package comes in that is not named there.
set -eu
venv=$1
here=$(dirname "$0")/../tests/python
cpu_index=https://download.pytorch.org/whl/cpu/torch/

[ -x "$venv/bin/python" ] || /usr/bin/python3 -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

# PyTorch first and alone. Its CPU build (version +cpu, found through the link
# below or PIP_FIND_LINKS) is preferred to the index's own, which needs GPU
# libraries on x86-64; an unreachable link costs a warning. Where somebody has
# said where to look, only that place is asked.
if [ -n "${PIP_FIND_LINKS:-}" ]; then
  pip install --quiet --no-deps -r "$here/requirements-torch.txt"
else
  pip install --quiet --no-deps --find-links "$cpu_index" \
    -r "$here/requirements-torch.txt"
fi
pip install --quiet --no-deps -r "$here/requirements.txt"

# AdapterHub's library beside the rest, seen only by the process that asks for
# it (tests/python/test_adapterhub.py).
rm -rf "$venv/adapterhub"
pip install --quiet --no-deps --target "$venv/adapterhub" \
  -r "$here/requirements-adapterhub.txt"

if ! "$venv/bin/python" -c 'import torch' 2>/dev/null; then
  echo "make_venv: only PyTorch's GPU build is reachable;" \
    "fetching the libraries that it needs to load" >&2
  pip install --quiet -r "$here/requirements-torch.txt"
fi
"$venv/bin/python" -c 'import ai_edge_litert, peft, torch'
