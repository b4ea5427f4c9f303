#!/usr/bin/env python3
"""Firmware that learns a word of its user, on an emulated board; see README.md."""

import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from example import ROOT, Shell, cli  # noqa: E402
from factory import NEW, make_product  # noqa: E402
from recordings import Session, load  # noqa: E402

import mcu  # noqa: E402  (example.py knows where it is)

SPEAKER = "jackson"
PAUSE = 8  # seconds that the rest of training takes
WAIT = 6  # hops from the end of a word to the button
AFTER = 4  # words that are said before it has learned
STAND_IN = 34 * 1024  # bytes of flash_region.c
OWN_STACK = 512  # of the firmware, above the printed functions
METHOD = ["--method", "head", "--lr", 0.005, "--precision", "mixed"]


def make_session(takes):
    """The user's day; [(second, word)] of what is said to be recognized."""
    session, said = Session(11), []

    def say(word, take):
        said.append((session.say(takes[word][take]), word))
        session.pause(1.1)

    session.pause(1)
    for word in ("one", NEW, "four"):  # it does not know the new word yet
        say(word, 5)
    for take in range(5):
        session.say(takes[NEW][take])
        session.event("take", later=WAIT)
        session.pause(1.3)
    say("three", 6)  # while it learns
    session.pause(1)
    session.event("power")
    session.pause(PAUSE)
    for word in (NEW, "zero", "one", "two", NEW, "three", "four", "five"):
        say(word, 7)
    session.event("power")
    session.pause(1.2)
    for word in (NEW, "six", "seven", "nine"):
        say(word, 8)
    return session, said


def build(shell, product, board):
    """The image, and what `compile` said of the model."""
    key, printed = shell.out / "owner.key", shell.out / "model"
    for path in (key, key.with_suffix(".key.pub")):
        path.unlink(missing_ok=True)
    shutil.rmtree(printed, ignore_errors=True)
    shell.run("keygen", key)
    model = shell.run("compile", product, *METHOD, "--target", board, "--rtos",
                      "--front-end", "mlperf-kws", "--front-end-arithmetic",
                      "fixed", "--flash", 1, "--public-key", f"{key}.pub",
                      "--out", printed,
                      shown=["model_bytes", "front_end_bytes", "stack_bytes",
                             "ram_bytes", "constant_bytes"])
    sources = [*sorted((HERE / "firmware").glob("*.c")), shell.out / "words.c",
               *sorted(printed.glob("**/*.c"))]
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    image = mcu.build(mcu.load_target(board), sources, shell.out / "image",
                      includes=[HERE / "firmware", shell.out, printed],
                      flags=warnings,
                      stack_bytes=model["stack_bytes"] + OWN_STACK,
                      linker_scripts=[printed / "ft_ram.ld"])
    return image, model


def heard_words(output):
    """[(second, word)] of the firmware's lines."""
    return [(float(at), word) for at, word in
            re.findall(r'\[ *([\d.]+) s\] heard "([^"]+)"', output)]


def recognized(said, heard):
    """Of each word that was said: was it, and nothing else, heard soon?"""
    name = lambda word: "your word" if word == NEW else word
    return [{found for when, found in heard if at < when < at + 1.5} ==
            {name(word)} for at, word in said]


def main():
    shell = Shell("mcu_kws", {"--board": {
        "default": "cortex-m4", "choices": ["cortex-m4", "cortex-m55"],
        "help": "the words are the same, the instructions are not"}})
    board = shell.options.board
    missing = mcu.load_target(board).missing_programs()
    if missing:
        sys.exit(f"{board}: {', '.join(missing)} not installed "
                 "(tools/install_packages.sh mcu)")
    takes = load(cli.FSDD, SPEAKER)
    product = make_product(shell, cli, takes)
    image, _ = build(shell, product, board)
    session, said = make_session(takes)
    session.write(shell.out)
    print(f"$ {mcu.load_target(board).program} ... image.elf", flush=True)
    run = mcu.run(image, folder=shell.out, time_limit=600)
    print(run.output, end="")
    most = lambda name: max(s.instructions for n, s in run.all_sections
                            if n == name)
    print(f"a hop: {most('listen'):,} instructions; a slice of training: at "
          f"most {most('train'):,}")
    print(f"RAM {image.ram_bytes:,} bytes, {STAND_IN:,} of them in place of "
          f"flash, {run.stack_bytes:,} of {image.stack_bytes:,} of stack used; "
          f"code and constants {image.flash_bytes:,} bytes")
    right = recognized(said, heard_words(run.output))
    print(f"before it was taught: {sum(right[:3])} of 3 words; afterwards: "
          f"{sum(right[AFTER:])} of {len(right[AFTER:])}")
    return run.exit


if __name__ == "__main__":
    sys.exit(main())
