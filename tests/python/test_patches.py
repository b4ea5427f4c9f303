"""The first convolutions in stripes of image rows: int8 models of MLPerf Tiny against
LiteRT, bit for bit, in a smaller arena; trained behind such a trunk, the same adapters.
"""

import numpy as np
import pytest
from fieldtune_cli import FSDD, FSDD_ARGS, MODELS, run, run_json
from torch_tflite import run_litert

KWS = MODELS / "kws_ref_model.tflite"
pytestmark = pytest.mark.usefixtures("shared")


@pytest.mark.parametrize(
    "name, shape, patches",
    [
        ("kws_ref_model", (49, 10, 1), [2, 5]),
        ("pretrainedResnet_quant", (32, 32, 3), [2, 7, "auto"]),
        ("vww_96_int8", (96, 96, 3), [3, 12, "auto"]),
    ],
)
def test_stripes_equal_litert(name, shape, patches, tmp_path):
    model, rng = MODELS / f"{name}.tflite", np.random.default_rng(1)
    x = rng.integers(-128, 128, (4, *shape), dtype=np.int8)
    np.save(tmp_path / "x.npy", x)
    expected = run_litert(model, x)
    for options in [["--c99"], ["--exact"], []]:
        for n in patches:
            done = run_json("run", model, "--input", tmp_path / "x.npy", "--output",
                            tmp_path / "y.npy", "--patches", n, *options)  # fmt: skip
            assert n == "auto" or done["patches"] == n
            assert (np.load(tmp_path / "y.npy") == expected).all(), (options, n)


def test_a_trunk_of_stripes_needs_a_smaller_arena(tmp_path):
    vww = MODELS / "vww_96_int8.tflite"
    args = ["plan", vww, "--method", "lora", "--target-modules", "conv2d_13",
            "--classes", 2, "--precision", "integer"]  # fmt: skip
    whole, parts = run_json(*args), run_json(*args, "--patches", "auto")
    assert parts["patches"] > 1
    assert parts["arena_bytes"] < 0.95 * whole["arena_bytes"]
    assert whole["macs"] < parts["macs"] <= 1.3 * whole["macs"]


def test_auto_takes_the_least_work_that_fits():
    args = ["plan", MODELS / "vww_96_int8.tflite", "--method", "lora", "--classes", 2,
            "--target-modules", "conv2d_13", "--precision", "integer"]  # fmt: skip
    whole = run_json(*args)
    least = run_json(*args, "--patches", "auto")
    auto = [*args, "--patches", "auto", "--ram"]
    assert run_json(*auto, whole["ram_bytes"])["patches"] == 0
    before = least["macs"]
    for part in (0, 0.4, 0.8):
        room = int(least["ram_bytes"] + part * (whole["ram_bytes"] - least["ram_bytes"]))
        some = run_json(*auto, room)
        print(room, {k: some[k] for k in ("ram_bytes", "patches", "macs")})
        assert some["ram_bytes"] <= room
        assert whole["macs"] < some["macs"] <= before
        before = some["macs"]
    assert before < least["macs"]
    done = run(*auto, least["ram_bytes"] - 4096)
    assert done.returncode == 4 or "--recompute" in done.stderr, done.stderr


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m55"])
def test_printed_inference_has_a_smaller_arena(target, tmp_path):
    args = ["compile", MODELS / "vww_96_int8.tflite", "--program", "infer",
            "--target", target]  # fmt: skip
    whole = run_json(*args, "--out", tmp_path / "whole")
    parts = run_json(*args, "--out", tmp_path / "parts", "--patches", "auto")
    print(f"{target}: {whole['arena_bytes']} -> {parts['arena_bytes']}")
    assert parts["arena_bytes"] < 0.95 * whole["arena_bytes"]


@pytest.mark.parametrize("precision", ["mixed", "integer"])
def test_training_behind_stripes_gives_the_same_bits(precision, tmp_path):
    args = ["train", KWS, "--data", FSDD / "theo", *FSDD_ARGS, "--new-head",
            "--method", "lora", "--target-modules", "conv2d_4", "--train-per-class",
            2, "--epochs", 2, "--seed", 1, "--exact", "--precision", precision]  # fmt: skip
    tensors = set()
    for patches in ["off", 5]:
        out = tmp_path / f"{patches}.safetensors"
        run_json(*args, "--patches", patches, "--out", out)
        tensors.add(tensors_of(out))
    assert len(tensors) == 1


def tensors_of(path):
    """The bytes behind the header, which names the plan."""
    data = path.read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


@pytest.mark.parametrize(
    "model, options, words",
    [
        ("ad01_int8", ["--patches", 4], "nothing can be computed in so many stripes"),
        ("kws_ref_model", ["--patches", 4], "no backward pass needs"),
        ("kws_ref_model", ["--patches", 1], "from 2 to 64"),
        ("kws_ref_model", ["--patches", "few"], "neither off, auto nor"),
    ],
)
def test_what_cannot_be_is_refused(model, options, words):
    done = run("plan", MODELS / f"{model}.tflite", "--classes", 3, *options)
    assert done.returncode == 2 and words in done.stderr
