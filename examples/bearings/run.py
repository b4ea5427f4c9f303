#!/usr/bin/env python3
"""Bearing faults at another motor load; see README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from example import Shell  # noqa: E402
from picture import COLOURS, Picture  # noqa: E402


def main():
    shell = Shell("bearings")
    figures, _ = shell.adapt_arrays("cwru", 30)
    import domain_data

    data, picture = domain_data.cwru(), Picture(640, 230)
    fault = domain_data.FAULTS.index("IR007")
    for i, (title, (x, labels)) in enumerate((
            ("inner race fault, load 0, at the bearing", data.source),
            ("the same fault, load 2, at the motor's foot", data.test))):
        window = x[labels == fault][3].ravel()[:320]
        picture.lines((20, 36 + 104 * i, 330, 70), title, {"": window},
                      colours=COLOURS[i:])
    picture.bars((390, 46, 230, 150), "accuracy, int8", figures)
    shell.draw(picture)


if __name__ == "__main__":
    main()
