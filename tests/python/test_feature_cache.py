"""`train --feature-cache`: the frozen layers computed once, the same adapter."""

import numpy as np
import pytest
from mcu_boards import target_or_skip
from mcu.model import run_model
from fieldtune_cli import MODELS, run, run_json
from safetensors import safe_open

KWS = MODELS / "kws_ref_model.tflite"
RESNET = MODELS / "pretrainedResnet.tflite"
AD = MODELS / "ad01_int8.tflite"
pytestmark = pytest.mark.usefixtures("shared")


def random_data(folder, shape, classes):
    rng = np.random.default_rng(4)
    np.save(folder / "x.npy", rng.normal(0, 10, [16, *shape]).astype(np.float32))
    np.save(folder / "y.npy", np.arange(16, dtype=np.int32) % max(classes, 1))
    labels = ["--labels", folder / "y.npy", "--new-head"] if classes else []
    return ["--data", folder / "x.npy", *labels, "--epochs", 3, "--seed", 7]


CASES = {
    "kws integer": (KWS, (49, 10, 1), 4, ["--precision", "integer",
                    "--target-modules", "conv2d_4", "--split", "50/25/25"]),
    "kws batch 4": (KWS, (49, 10, 1), 4, ["--batch", 4, "--target-modules", "conv2d_3"]),
    "kws sparse": (KWS, (49, 10, 1), 4, ["--method", "sparse", "--target-modules", "conv2d_4",
                   "--mask", "gradient"]),
    "head alone": (KWS, (49, 10, 1), 4, ["--method", "head"]),
    "resnet8 f32": (RESNET, (32, 32, 3), 4, ["--target-modules", "conv2d_7,conv2d_8"]),
    "ad, its own target": (AD, (640,), 0, ["--target-modules", "dense_8,dense_9"]),
}  # fmt: skip


def contents(path):
    """Everything but the hash of the step, which is a shorter one."""
    with safe_open(path, "np") as file:
        metadata = {k: v for k, v in file.metadata().items() if k != "plan_hash"}
        return metadata, {k: file.get_tensor(k).tobytes() for k in file.keys()}


@pytest.mark.parametrize("case", CASES)
def test_same_adapter_with_and_without(case, tmp_path):
    model, shape, classes, args = CASES[case]
    args = ["train", model, *random_data(tmp_path, shape, classes), *args]
    plain = run_json(*args, "--out", tmp_path / "plain.safetensors")
    cached = ["--out", tmp_path / "cached.safetensors", "--feature-cache",
              tmp_path / "features"]  # fmt: skip
    first = run_json(*args, *cached)
    again = run_json(*args, *cached)
    assert contents(tmp_path / "cached.safetensors") == contents(
        tmp_path / "plain.safetensors"
    )
    assert again["adapter_sha256"] == first["adapter_sha256"]
    assert (first["features"]["reused"], again["features"]["reused"]) == (False, True)
    assert first["arena_bytes"] <= plain["arena_bytes"]
    assert first["features"]["skipped_macs"] > 0
    size = (tmp_path / "features").stat().st_size
    assert size == first["features"]["file_bytes"] == 88 + 64 + 16 * first["features"]["bytes"]


def test_a_damaged_or_foreign_file(tmp_path):
    out = ["--out", tmp_path / "a.safetensors", "--feature-cache", tmp_path / "f"]
    args = ["train", KWS, *random_data(tmp_path, (49, 10, 1), 4)]
    late = ["--target-modules", "conv2d_4"]
    first = run_json(*args, *late, *out)
    whole = (tmp_path / "f").read_bytes()
    for damaged in (whole[:-100], whole[:500] + b"\x7f" + whole[501:], whole[:8]):
        (tmp_path / "f").write_bytes(damaged)
        again = run_json(*args, *late, *out)
        assert not again["features"]["reused"]
        assert again["adapter_sha256"] == first["adapter_sha256"]
        assert (tmp_path / "f").read_bytes() == whole
    earlier = run_json(*args, "--target-modules", "conv2d_3,conv2d_4", *out)
    assert not earlier["features"]["reused"]  # of another layer
    (tmp_path / "f").write_bytes(b"my diary")
    done = run(*args, *late, *out)
    assert done.returncode == 2
    assert "is not a file of features" in done.stderr
    assert (tmp_path / "f").read_bytes() == b"my diary"


def test_what_it_cannot_do(tmp_path):
    args = ["train", KWS, *random_data(tmp_path, (49, 10, 1), 4), "--out",
            tmp_path / "a.safetensors", "--feature-cache", tmp_path / "f"]  # fmt: skip
    for more, words in (
        ([], "no layer lies in front of"),
        (["--target-modules", "conv2d_4", "--augment", "noise=10:20"], "contradict"),
    ):
        done = run(*args, *more)
        assert done.returncode in (2, 3)
        assert words in done.stderr.strip().splitlines()[-1]
        assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("precision, options", [("integer", ["--rtos"]), ("mixed", [])])
def test_a_board_trains_on_features_to_the_same_bits(tmp_path, precision, options):
    board = target_or_skip("cortex-m4")
    common = [KWS, "--classes", 4, "--precision", precision, "--target-modules", "conv2d_4",
              "--target", "cortex-m4", *options]  # fmt: skip
    plain = run_json("compile", *common, "--out", tmp_path / "plain")
    kept = run_json("compile", *common, "--feature-cache", "--out", tmp_path / "kept")
    here = run_model(plain, 3, board)
    there = run_model(kept, 3, board)
    assert there.adapter_sha256 == here.adapter_sha256 != ""
    assert there.answer_sha256 == here.answer_sha256
    assert kept["feature_layer"] and kept["ram_bytes"] <= plain["ram_bytes"]
    assert there.model_bytes == kept["model_bytes"]
    assert 0 < there.stack_bytes <= kept["stack_bytes"]
    steps = [run.train_instructions or sum(
        s.instructions for n, s in run.sections if n == "slice") for run in (here, there)]
    assert steps[1] < steps[0] / 2


def test_plan_says_what_a_step_on_features_needs(tmp_path):
    common = ["plan", KWS, "--classes", 4, "--target-modules", "conv2d_4"]
    whole, kept = run_json(*common, "--explain"), run_json(*common, "--feature-cache")
    assert kept["macs"] < whole["macs"] / 4
    knob = next(k for k in whole["knobs"] if k["knob"] == "feature-cache")
    assert knob["macs"] == kept["macs"]
    assert kept["features"]["bytes"] == 64 * 25 * 5
