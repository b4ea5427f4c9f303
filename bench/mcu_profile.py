"""Instructions of each call of a printed model on an emulated board.

    python bench/mcu_profile.py vww_96_int8 cortex-m55 [compile options]

Marks around the calls of ft_infer() and ft_train_step(), which take part in the
counts of neither. Options are those of `fieldtune compile`; without any, it is
inference.
"""

import re
import shutil
import sys
from pathlib import Path

from session import ROOT, WORK, cli

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "python")]

import mcu  # noqa: E402
from mcu.model import run_model  # noqa: E402


def mark_calls(source):
    """`source` with marks; {mark: what the call computes}."""
    text = source.read_text()
    names = {m[2]: m[1] for m in
             re.finditer(r"/\* (.*) \*/\n(?:FT_CALL )?static void (\w+)\(ft_model \*m\)",
                         text)}
    text = re.sub(r"^( +)(\w+)\(m\);$",
                  lambda m: (f'{m[1]}ft_mark_begin("{m[2]}"); {m[2]}(m); '
                             "ft_mark_end();" if m[2] in names else m[0]),
                  text, flags=re.MULTILINE)
    source.write_text('#include "boards/board.h"\n' + text)
    return names


def main():
    model, target, *options = sys.argv[1:]
    folder = WORK / "mcu_profile"
    shutil.rmtree(folder, ignore_errors=True)
    options = options or ["--program", "infer"]
    plan = cli.run_json("compile", cli.MODELS / f"{model}.tflite", "--out",
                        folder, "--target", target, *options)
    names = mark_calls(Path(folder) / "ft_model.c")
    steps = 0 if "infer" in options else 1
    run = run_model(plan, steps, mcu.load_target(target))
    counts = {}  # the first of a name: the driver's own mark ends with the last
    for name, section in run.sections:
        counts.setdefault(name, section.instructions)
    for name, count in counts.items():
        print(f"{count:12,}  {names[name]}")
    print(f"{sum(counts.values()):12,}  all")


if __name__ == "__main__":
    main()
