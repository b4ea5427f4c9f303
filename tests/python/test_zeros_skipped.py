"""Kernel rows that skip a ReLU's zeros: chosen where the zeros come from one and
where they pay, and the same adapter, bit for bit, as without them."""

import numpy as np
import pytest
from fieldtune_cli import MODELS, run, run_json

SKIPPING = [
    "ft_fully_connected_skip_f32_c99",
    "ft_fully_connected_skip_f32_hwy",
    "ft_matmul_skip_a_f32_c99",
    "ft_matmul_skip_a_f32_hwy",
    "ft_matmul_skip_a_f32s8_c99",
    "ft_matmul_skip_b_f32_c99",
]
MODEL = {"f32": "kws_ref_model_float32.tflite", "mixed": "kws_ref_model.tflite"}


def data_of(safetensors):
    """All that lies behind the header."""
    blob = safetensors.read_bytes()
    return blob[8 + int.from_bytes(blob[:8], "little") :]


def rows_of(precision, *options, reduction=8):
    """How often each row is called in a training step."""
    told = run_json(
        *["bench", MODELS / MODEL[precision], "--train", "--precision", precision],
        *["--method", "bottleneck", "--reduction-factor", reduction],
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


@pytest.mark.usefixtures("shared")
def test_those_with_vectors_are_chosen_where_they_pay():
    narrow = rows_of("f32")  # 8 hidden values: only sums over pixels are long
    assert narrow["ft_matmul_skip_a_f32_hwy"] == 4
    assert narrow["ft_fully_connected_skip_f32_hwy"] == 0
    wide = rows_of("f32", reduction=1)
    assert wide["ft_matmul_skip_a_f32_hwy"] == 7  # the first block needs no dx
    assert wide["ft_fully_connected_skip_f32_hwy"] == 4
    assert not any(rows_of("f32", "--non-linearity", "gelu", reduction=1).values())


@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("kernels", ["--c99", "--exact", None])
@pytest.mark.parametrize("precision", MODEL)
def test_training_gives_the_same_adapter_without_them(precision, kernels, tmp_path):
    rng = np.random.default_rng(2)
    x = rng.normal(0, 10, [12, 49, 10, 1]).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(12, dtype=np.int32) % 3)
    train = ["train", MODELS / MODEL[precision], "--data", tmp_path / "x.npy",
             "--labels", tmp_path / "y.npy", "--new-head", "--seed", 5,
             "--method", "bottleneck", "--reduction-factor", 1, "--epochs", 2,
             "--precision", precision, *([kernels] if kernels else [])]  # fmt: skip
    dense = [o for row in SKIPPING for o in ("--without-kernel", row)]
    files = [tmp_path / "skipping.safetensors", tmp_path / "dense.safetensors"]
    for file, options in zip(files, ([], dense)):
        run_json(*train, "--out", file, *options)
    if kernels:  # these rows are one to the plan's hash
        assert files[0].read_bytes() == files[1].read_bytes()
    assert data_of(files[0]) == data_of(files[1])


def test_a_kernel_that_does_not_exist_is_refused():
    done = run("plan", "model.tflite", "--without-kernel", "ft_relu")
    assert done.returncode == 2 and "no kernel 'ft_relu'" in done.stderr
