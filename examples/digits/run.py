#!/usr/bin/env python3
"""Digits under a domain shift; see README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
from example import Shell  # noqa: E402
from picture import Picture  # noqa: E402


def sheet(images):
    """Images in [0, 1], side by side."""
    return np.concatenate(list(255 * images[..., 0]), 1)


def main():
    shell = Shell("digits")
    figures, _ = shell.adapt_arrays("mnist1000", 10)
    import domain_data

    data, picture = domain_data.mnist1000(), Picture(640, 230)
    for y, title, (x, _) in ((46, "what the base model was trained on",
                              data.source),
                             (150, "what the device sees", data.test)):
        picture.text(20, y - 10, title, 13)
        picture.image((20, y, 320, 56), sheet(x[:8]))
    picture.bars((390, 46, 230, 150), "accuracy, int8", figures)
    shell.draw(picture)


if __name__ == "__main__":
    main()
