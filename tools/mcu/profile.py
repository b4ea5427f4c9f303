"""Instructions of each call of a printed model on an emulated board."""

import re
import shutil
from pathlib import Path

from .model import run_model

_CALL = re.compile(r"^( +)((infer|train)_(\d+)_\w+)\(m\);$", re.MULTILINE)
_NAMES = re.compile(
    r"/\* (.*) \*/\n(?:FT_CALL )?static void (\w+)\(ft_model \*m\)")


def mark_calls(source):
    """Puts marks around the calls of ft_infer() and ft_train_step(), which take
    part in the counts of neither; {function: what the call computes}."""
    text = source.read_text()
    names = {m[2]: m[1] for m in _NAMES.finditer(text)}
    text = _CALL.sub(
        lambda m: (f'{m[1]}ft_mark_begin("{m[2]}"); {m[2]}(m); '
                   "ft_mark_end();" if m[2] in names else m[0]), text)
    source.write_text('#include "boards/board.h"\n' + text)
    return names


def profile(cli, model, target, options, folder, steps=2):
    """The calls of `compile --costs` in order, each with its `instructions`:
    those of the last training step, whose gradients are not zero. `cli`: the
    module that runs the command."""
    shutil.rmtree(folder, ignore_errors=True)
    options = list(options)
    plan = cli.run_json("compile", model, "--out", folder, "--target",
                        target.name, "--costs", *options)
    mark_calls(Path(folder) / "ft_model.c")
    run = run_model(plan, 0 if "infer" in options else steps, target)
    counts = {}
    for name, section in run.sections:
        found = re.match(r"(infer|train)_(\d+)_", name)
        if found:
            counts[found[1], int(found[2])] = section.instructions
    shutil.rmtree(folder, ignore_errors=True)
    return [call | {"instructions": counts[call["program"], call["call"]]}
            for call in plan["calls"]
            if (call["program"], call["call"]) in counts]
