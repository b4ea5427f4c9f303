"""Entry of `make bench` and `make results`.

    python bench/run.py                        speed, memory and plans
    python bench/run.py --results docs/results  also checks and the real job,
                                               and the pages of docs/results

Each benchmark is a program of its own in this folder and can be run alone. All
run even if one fails. `make bits`, `make fuzz` and `make table` write their own
pages, so that a page always names the commit that its figures were made at.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from session import cli

HERE = Path(__file__).resolve().parent
QUICK = ["plans.py", "inference.py", "train_step.py", "stories.py", "sparsity.py"]
SLOW = ["checks.py", "real_job.py"]
PAGES = ["main_job_page.py", "stories_page.py", "sparsity_page.py"]


def run(script, *args):
    print(f"=== {script}", flush=True)
    done = subprocess.run([sys.executable, str(HERE / script), *args])
    return done.returncode == 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--results", metavar="FOLDER", help="where to write the pages"
    )
    parser.add_argument(
        "--pages-only", action="store_true", help="from figures that exist"
    )
    args = parser.parse_args()
    if not cli.MODELS.is_dir():
        print(f"bench: real inputs are absent: no folder {cli.MODELS}")
        return 0
    scripts = [] if args.pages_only else QUICK + SLOW * bool(args.results)
    failed = [script for script in scripts if not run(script)]
    if args.results:
        failed += [p for p in PAGES if not run(p, args.results)]
    if failed:
        print("failed: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
