#!/usr/bin/env python3
"""Runs a libFuzzer program for so many seconds of processor time.

    tools/fuzz_for.py [--figures FOLDER] [--nice N] SECONDS FUZZER CORPUS [FLAG...]

libFuzzer's own -max_total_time is wall time, which says nothing on a loaded
machine. The fuzzer writes its seeds into CORPUS (FT_FUZZ_SEEDS), is asked to
end by SIGUSR1 when its time is up, and its figures go to FOLDER/NAME.json for
bench/fuzz_page.py. Exits as the fuzzer does: not 0 after a crash, whose input
libFuzzer leaves in the folder of the corpus.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

# What every input is held to: no hang, no allocation that a small file asks
# for, no growth.
FLAGS = [
    "-timeout=10", "-malloc_limit_mb=64", "-rss_limit_mb=2048",
    "-max_len=1048576", "-print_final_stats=1",
]  # fmt: skip


def cpu_seconds(pid):
    """Of a child that runs; None when it has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rsplit(")", 1)[1].split()
    if fields[0] == "Z":
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def last(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else None


def timeout_seconds(flags):
    """What an input may take, in real time: the last flag says it."""
    return last(r"-timeout=(\d+)", " ".join([*FLAGS, *flags]))


def figures(name, log, cpu, wall, passed):
    executions = last(r"stat::number_of_executed_units:\s*(\d+)", log)
    return {
        "fuzzer": name,
        "cpu_minutes": round(cpu / 60, 2),
        "seconds": round(wall, 1),
        "executions_count": executions,
        "executions_per_cpu_second": round(executions / cpu) if executions else None,
        "edges_covered_count": last(r"cov: (\d+)", log),
        "peak_rss_mb": last(r"stat::peak_rss_mb:\s*(\d+)", log),
        "passed": passed,
    }


def run(args):
    corpus = Path(args.corpus)
    corpus.mkdir(parents=True, exist_ok=True)
    name = Path(args.fuzzer).name
    log_path = corpus.parent / f"{name}.log"
    command = [args.fuzzer, *FLAGS, f"-artifact_prefix={corpus.parent}/{name}-",
               *args.flags, str(corpus)]  # fmt: skip
    environment = dict(os.environ, FT_FUZZ_SEEDS=str(corpus))
    began, before = time.monotonic(), os.times()
    with open(log_path, "w") as log:
        child = subprocess.Popen(
            command, stdout=log, stderr=log, env=environment,
            preexec_fn=lambda: os.nice(args.nice),
        )  # fmt: skip
        while child.poll() is None:
            spent = cpu_seconds(child.pid)
            if spent is not None and spent >= args.seconds:
                child.send_signal(signal.SIGUSR1)
            time.sleep(0.5)
    wall, after = time.monotonic() - began, os.times()
    cpu = (after.children_user - before.children_user
           + after.children_system - before.children_system)  # fmt: skip
    text = log_path.read_text(errors="replace")
    row = figures(name, text, cpu, wall, child.returncode == 0)
    row["timeout_seconds"] = timeout_seconds(args.flags)
    return child.returncode, row, text


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--figures", help="folder for NAME.json")
    parser.add_argument("--nice", type=int, default=0)
    parser.add_argument("seconds", type=float)
    parser.add_argument("fuzzer")
    parser.add_argument("corpus")
    parser.add_argument("flags", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    status, row, log = run(args)
    if status != 0:
        sys.stderr.write(log[-6000:])
    print(json.dumps(row))
    if args.figures:
        Path(args.figures).mkdir(parents=True, exist_ok=True)
        path = Path(args.figures) / f"{row['fuzzer']}.json"
        path.write_text(json.dumps(row) + "\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
