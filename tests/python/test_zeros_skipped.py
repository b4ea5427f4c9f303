"""Kernel rows that skip a ReLU's zeros are chosen where the zeros come from one.
That their bits are those of the other rows is tested beside the kernels."""

import pytest
from fieldtune_cli import MODELS, run_json

SKIPPING = [
    "ft_fully_connected_skip_f32_c99",
    "ft_matmul_skip_a_f32_c99",
    "ft_matmul_skip_a_f32s8_c99",
    "ft_matmul_skip_b_f32_c99",
]
MODEL = {"f32": "kws_ref_model_float32.tflite", "mixed": "kws_ref_model.tflite"}


def rows_of(precision, *options):
    """How often each row is called in a training step."""
    told = run_json(
        *["bench", MODELS / MODEL[precision], "--train", "--precision", precision],
        *["--method", "bottleneck", "--reduction-factor", 8],
        *["--classes", 3, "--batch", 2, "--runs", 1, "--profile", *options],
    )
    rows = [call["kernel"] for call in told["calls"]]
    return {name: rows.count(name) for name in SKIPPING}


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("precision", MODEL)
def test_they_are_chosen_behind_a_relu_only(precision):
    used = rows_of(precision, "--exact")
    assert used["ft_fully_connected_skip_f32_c99"] == 4  # blocks of the model
    assert used["ft_matmul_skip_b_f32_c99"] == 4
    assert used["ft_matmul_skip_a_f32s8_c99"] == (precision == "mixed") * 4
    assert not any(rows_of(precision, "--exact", "--non-linearity", "gelu").values())
