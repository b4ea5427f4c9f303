"""The four tasks on which methods are compared: base models, data, and how many
epochs a user of a small device would spend.

The f32 runs adapt the float model, `mixed` and `integer` the int8 one.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from session import ROOT, cli

sys.path.insert(0, str(ROOT / "tools"))

BASES = ROOT / "build" / "base_models"  # tools/make_base_models.py
SPEAKER, TUNING_SPEAKER = "theo", "jackson"


@dataclass
class Task:
    """`train` and `test` are options of `fieldtune train` and `eval`; without
    `test` the samples that training left out are the test. `tune` are the
    options under which learning rates are chosen: none sees the test."""

    name: str
    what: str
    float_model: Path
    int8_model: Path
    train: list
    tune: list
    epochs: int
    test: list = field(default_factory=list)
    metric: str = "accuracy"

    def model(self, precision):
        return self.float_model if precision == "f32" else self.int8_model


def _fsdd():
    data = lambda speaker: ["--data", cli.FSDD / speaker, *cli.FSDD_ARGS,
                            "--new-head", "--train-per-class", 10]
    return Task(
        "fsdd",
        "MLPerf Tiny's keyword model learns one speaker's ten digits from ten "
        "takes of each; forty takes of each are the test",
        cli.MODELS / "kws_ref_model_float32.tflite",
        cli.MODELS / "kws_ref_model.tflite",
        data(SPEAKER), data(TUNING_SPEAKER), 20)


def _arrays(name, what, epochs):
    part = lambda which: ["--data", BASES / name / f"x_{which}.npy",
                          "--labels", BASES / name / f"y_{which}.npy"]
    return Task(name, what, BASES / f"{name}_float.tflite",
                BASES / f"{name}_int8.tflite", part("train"),
                [*part("train"), "--split", "70/30"], epochs, part("test"))


def _ett():
    front_end = ["--front-end", BASES / "ett" / "windows.toml"]
    train = ["--data", BASES / "ett" / "train.csv", *front_end]
    return Task(
        "ett",
        "the next twelve hours of a power transformer's load: a model of two "
        "summers meets the winter; October to December adapt it, January to "
        "March are the test",
        BASES / "ett_float.tflite", BASES / "ett_int8.tflite", train,
        [*train, "--split", "70/30"], 5,
        ["--data", BASES / "ett" / "test.csv"], "mse")


def tasks():
    return [
        _fsdd(),
        _arrays("cwru", "seven states of a bearing: a model of windows at motor "
                "load 0 meets load 2 through the motor's housing; twenty "
                "windows of each adapt it, sixty are the test", 30),
        _ett(),
        _arrays("mnist1000", "digits: a model of upright ones meets them "
                "turned, thick and noisy; 600 renderings of 200 adapt it, 900 "
                "of 300 others are the test", 10),
    ]


def make_bases():
    """The models and data that are not there yet."""
    import make_base_models

    for name in ("mnist1000", "cwru", "ett"):
        make_base_models.make(name, BASES)
