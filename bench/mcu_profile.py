"""Instructions of each call of a printed model on an emulated board.

    python bench/mcu_profile.py vww_96_int8 cortex-m55 [compile options]

Marks around the calls of ft_infer() and ft_train_step(), which take part in the
counts of neither. Options are those of `fieldtune compile`; without any, it is
inference.
"""

import sys
from pathlib import Path

from session import ROOT, WORK, cli

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "python")]

import mcu  # noqa: E402
from mcu.profile import profile  # noqa: E402


def main():
    model, target, *options = sys.argv[1:]
    path = Path(model) if Path(model).is_file() else cli.MODELS / f"{model}.tflite"
    calls = profile(cli, path, mcu.load_target(target),
                    options or ["--program", "infer"], WORK / "mcu_profile")
    for call in calls:
        print(f"{call['instructions']:12,}  {call['program']} {call['op']} "
              f"{call['node']} {call['kernel']}")
    print(f"{sum(c['instructions'] for c in calls):12,}  all")


if __name__ == "__main__":
    main()
