#!/usr/bin/env python3
"""A small language model takes on somebody's style; see README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
from example import Shell, cli  # noqa: E402
from picture import Picture  # noqa: E402

MODEL = cli.SHARED / "models" / "stories260k" / "stories260K.bin"
TEXT = cli.SHARED / "data" / "tinyshakespeare" / "input.txt"
TRAIN_BYTES, TEST_BYTES = 40_000, 10_000
TARGETS = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"


def main():
    shell = Shell("text")
    text = TEXT.read_bytes()
    size = TRAIN_BYTES // (10 if shell.options.quick else 1)
    train, test = shell.out / "train.txt", shell.out / "test.txt"
    train.write_bytes(text[:size])
    test.write_bytes(text[TRAIN_BYTES : TRAIN_BYTES + TEST_BYTES])
    adapter, log = shell.out / "adapter.safetensors", shell.out / "loss.csv"
    there = ["--text", test, "--seq-len", 128]
    shown = ["loss", "perplexity", "accuracy"]
    before = shell.run("eval", MODEL, *there, shown=shown)
    shell.run("train", MODEL, "--text", train, "--seq-len", 128, "--stride", 64,
              "--rank", 8, "--alpha", 16, "--target-modules", TARGETS,
              "--precision", "f32", "--lr", 1e-3, *shell.epochs(3), "--seed", 1,
              "--out", adapter, "--loss-log", log,
              shown=["trainable", "adapter_bytes", "ram_bytes", "steps",
                     "step_ms"])
    after = shell.run("eval", MODEL, "--adapter", adapter, *there, shown=shown)

    losses = np.loadtxt(log, delimiter=",", skiprows=1)[:, 1]
    wide = min(25, len(losses))
    smooth = np.convolve(losses, np.ones(wide) / wide, "valid")
    picture = Picture(640, 230)
    low, high = picture.lines((50, 40, 300, 150), "loss while it learns", {
        f"mean of {wide} steps, {len(losses)} in all": smooth})
    picture.text(45, 44, f"{high:.1f}", 11, anchor="end")
    picture.text(45, 190, f"{low:.1f}", 11, anchor="end")
    values = {"base": before["perplexity"], "adapted": after["perplexity"]}
    picture.bars((420, 46, 200, 144), "perplexity of unseen text", values,
                 top=max(values.values()), form="{:.1f}")
    shell.draw(picture)


if __name__ == "__main__":
    main()
