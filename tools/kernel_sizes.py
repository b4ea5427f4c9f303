#!/usr/bin/env python3
"""Keeps targets/kernel_sizes.txt: code and stack of each kernel on each device.

    tools/kernel_sizes.py           compiles all kernels and writes it
    tools/kernel_sizes.py --check   says what is out of date; exit 1 if anything

`fieldtune compile` has no compiler for the device at hand, but promises how
much stack and flash its code needs: it reads them from here. Figures are the
largest of all targets of one architecture, by their compiler at -O2; the stack
is that of a function with everything below it.
"""
import argparse
import collections
import concurrent.futures
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from embed_kernels import sources  # noqa: E402
from mcu.build import FLAGS  # noqa: E402
from mcu.target import load_target, target_names  # noqa: E402

TABLE = ROOT / "targets" / "kernel_sizes.txt"
# Stack below a function of libgcc, libm or string.h: their 64-bit divisions and
# soft floats push up to 14 registers, and call one another once.
LIBRARY_STACK = 128
INDIRECT = "__indirect_call"
NONE = "-"  # an instruction set that the architecture lacks


def digest(path, files):
    """Of a source and all that it includes."""
    seen, todo = set(), [path]
    while todo:
        name = todo.pop()
        if name in seen or name not in files:
            continue
        seen.add(name)
        todo += re.findall(r'#include "([^"]+)"', files[name])
    text = "".join(files[name] for name in sorted(seen))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def compile_one(target, path, folder):
    """(code bytes, {function: frame}, {function: callees}) of one source."""
    stem = folder / f"{target.name}-{path.replace('/', '-')[:-2]}"
    done = subprocess.run(
        [target.prefix + "gcc", *target.flags, *FLAGS, "-O2", "-I",
         ROOT / "src", "-fcallgraph-info=su", "-c", ROOT / "src" / path, "-o",
         f"{stem}.o"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{path} for {target.name}:\n{done.stderr}")
    size = subprocess.run([target.prefix + "size", f"{stem}.o"], check=True,
                          capture_output=True, text=True).stdout
    graph = Path(f"{stem}.ci").read_text()
    own = lambda name: name.rsplit(":", 1)[-1] if name.startswith(
        "ft_") else f"{path}:{name.rsplit(':', 1)[-1]}"
    frames = {own(name): int(frame) for name, frame in re.findall(
        r'node: { title: "([^"]+)" label: "[^"]*\\n(\d+) bytes \(', graph)}
    calls = collections.defaultdict(set)
    for caller, callee in re.findall(
            r'edge: { sourcename: "([^"]+)" targetname: "([^"]+)"', graph):
        local = own(callee)
        calls[own(caller)].add(local if local in frames else callee)
    return int(size.split("\n")[1].split()[0]), frames, calls


def depth_of(function, frames, calls, homes, above=()):
    """Stack of `function` and the deepest below it."""
    if function in above:
        raise SystemExit(f"recursion: {' -> '.join([*above, function])}")
    if function not in frames:
        return LIBRARY_STACK
    below = set(calls[function])
    if INDIRECT in below:
        below |= pointed_at(homes[function], frames, calls)
        below.discard(INDIRECT)
    return frames[function] + max(
        (depth_of(callee, frames, calls, homes, (*above, function))
         for callee in below), default=0)


def pointed_at(path, frames, calls):
    """What a call through a pointer in `path` may reach: kernels pass functions
    of their own file, which nothing calls by name."""
    called = {callee for callees in calls.values() for callee in callees}
    return {f for f in frames if f.startswith(path + ":") and f not in called}


def can_compile(target, path):
    for isa in ("armdsp", "helium"):
        if path.endswith(f"_{isa}.c"):
            return isa in target.kernels
    return True


def measure(targets, paths):
    """{path: {arch: (code, {function: stack})}}"""
    jobs = [(t, p) for t in targets for p in paths if can_compile(t, p)]
    with tempfile.TemporaryDirectory(prefix="ft-sizes-") as name, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda j: compile_one(*j, Path(name)), jobs))
    found = {path: {} for path in paths}
    for target in targets:
        frames, calls, homes = {}, collections.defaultdict(set), {}
        mine = [(p, d) for (t, p), d in zip(jobs, done) if t is target]
        for path, (_, frame, call) in mine:
            frames |= frame
            homes |= dict.fromkeys(frame, path)
            calls.update(call)
        for path, (code, frame, _) in mine:
            old_code, stacks = found[path].get(target.arch, (0, {}))
            for function in frame:
                if function.startswith("ft_"):
                    stacks[function] = max(
                        stacks.get(function, 0),
                        depth_of(function, frames, calls, homes))
            found[path][target.arch] = (max(code, old_code), stacks)
    return found


def lines_of(files, found, archs):
    """One line for each source and each function, a column for each arch."""
    compiler = subprocess.run(["arm-none-eabi-gcc", "-dumpversion"], text=True,
                              capture_output=True, check=True).stdout.strip()
    lines = [f"# Made by tools/kernel_sizes.py with GCC {compiler} at -O2.",
             f"arch {' '.join(archs)}"]
    for path, by_arch in found.items():
        row = [by_arch.get(arch, (NONE, {})) for arch in archs]
        lines.append(f"file {path} {digest(path, files)} "
                     f"{' '.join(str(code) for code, _ in row)}")
        for function in sorted({f for _, stacks in row for f in stacks}):
            words = [str(stacks.get(function, NONE)) for _, stacks in row]
            lines.append(f"function {function} {' '.join(words)}")
    return lines


def out_of_date(files, paths):
    there = dict(re.findall(r"^file (\S+) (\S+)", TABLE.read_text(), re.M))
    now = {path: digest(path, files) for path in paths}
    return sorted(path for path in {*there, *now}
                  if there.get(path) != now.get(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    files = sources(ROOT / "src")
    paths = [path for path in files if path.endswith(".c")]
    if args.check:
        late = out_of_date(files, paths)
        for path in late:
            print(f"{TABLE.name} is out of date: {path} (run "
                  "tools/kernel_sizes.py)")
        return 1 if late else 0
    targets = [load_target(name) for name in target_names()]
    archs = sorted({t.arch for t in targets})
    text = "\n".join(lines_of(files, measure(targets, paths), archs)) + "\n"
    TABLE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
