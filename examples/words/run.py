#!/usr/bin/env python3
"""A keyword model learns each speaker's own words; see README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from example import Shell, cli  # noqa: E402
from picture import Picture  # noqa: E402

MODEL = cli.MODELS / "kws_ref_model.tflite"


def main():
    shell = Shell("words")
    before, after, merged = {}, {}, {}
    for folder in sorted(cli.FSDD.iterdir()):
        adapter = shell.out / f"{folder.name}.safetensors"
        trained = shell.run(
            "train", MODEL, "--data", folder, *cli.FSDD_ARGS, "--new-head",
            "--train-per-class", 10, "--method", "lora", "--rank", 4,
            "--precision", "mixed", "--ram", "256K", *shell.epochs(30),
            "--seed", 1, "--out", adapter,
            shown=["accuracy_before", "accuracy_after", "trainable",
                   "adapter_bytes", "ram_bytes", "steps", "step_ms"])
        done = shell.run("merge", MODEL, "--adapter", adapter, "--out",
                         adapter.with_suffix(".tflite"),
                         shown=["accuracy_int8"])
        before[folder.name] = trained["accuracy_before"]
        after[folder.name] = trained["accuracy_after"]
        merged[folder.name] = done["accuracy_int8"]
    picture = Picture(760, 230)
    for i, (title, values) in enumerate((("before", before),
                                         ("adapter beside", after),
                                         ("merged", merged))):
        picture.bars((20 + 248 * i, 40, 225, 150),
                     f"accuracy, int8, {title}", values)
    shell.draw(picture)


if __name__ == "__main__":
    main()
