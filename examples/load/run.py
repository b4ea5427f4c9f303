#!/usr/bin/env python3
"""A transformer's load in another season; see README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
from example import BASES, Shell, cli  # noqa: E402
from picture import COLOURS, INK, Picture  # noqa: E402

WEEK = 14  # forecasts of twelve hours, one behind the other


def forecasts(shell, model, x, adapter=None):
    """[n, HORIZON] of a float model, with or without an adapter."""
    np.save(shell.out / "x.npy", x)
    with_it = ["--adapter", adapter] if adapter else []
    cli.run_json("run", model, *with_it, "--input", shell.out / "x.npy",
                 "--output", shell.out / "y.npy")
    return np.load(shell.out / "y.npy").reshape(len(x), -1)


def main():
    shell = Shell("load")
    import domain_data
    import make_base_models

    encoder = make_base_models.make("ett_transformer", BASES)[0]
    tcn = make_base_models.make("ett", BASES)[1]
    front_end = ["--front-end", BASES / "ett" / "windows.toml"]
    test = ["--data", BASES / "ett" / "test.csv", *front_end]
    train = ["--data", BASES / "ett" / "train.csv", *front_end, "--method",
             "lora", "--rank", 4, "--lr", 1e-3, *shell.epochs(5)]
    small, _ = shell.adapt(tcn, [*train, "--precision", "mixed", "--ram",
                                 "128K"], test, "mse", "tcn")
    large, _ = shell.adapt(encoder, [*train, "--precision", "f32"], test, "mse",
                           "encoder")

    x, y = domain_data.ett_windows(domain_data.WINTER_TEST, domain_data.HORIZON)
    x, y = x[40 : 40 + WEEK], y[40 : 40 + WEEK]
    base = forecasts(shell, encoder, x)
    adapted = forecasts(shell, encoder, x, shell.out / "encoder.safetensors")
    picture = Picture(760, 230)
    picture.lines((20, 40, 380, 145), "a week in January, twelve hours ahead", {
        "measured": y.ravel(), "base": base.ravel(),
        "adapted": adapted.ravel()}, colours=[INK, *COLOURS[:2]])
    for i, (title, values) in enumerate((("mse, TCN, int8", small),
                                         ("mse, transformer, f32", large))):
        picture.bars((430 + 165 * i, 40, 150, 145), title, values)
    shell.draw(picture)


if __name__ == "__main__":
    main()
