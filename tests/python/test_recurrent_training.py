"""The recurrent carrier end to end: the script makes the model, fieldtune
adapts it to a speaker that it never heard, and the merged file keeps that."""

import sys

import pytest
from fieldtune_cli import FSDD, FSDD_ARGS, ROOT, run_json

sys.path.insert(0, str(ROOT / "tools"))
import make_recurrent_models  # noqa: E402

TARGET = "yweweler"


@pytest.fixture(scope="module")
def base(tmp_path_factory, shared):
    """Trained shortly: what matters is that there is something to adapt."""
    path = tmp_path_factory.mktemp("recurrent") / "digits_lstm.tflite"
    content, figures = make_recurrent_models.make(
        TARGET, hidden=24, epochs=12, draws=0, seed=1
    )
    print(figures)
    path.write_bytes(content)
    return path


def test_adapts_to_a_new_speaker_and_merges(tmp_path, base):
    data = ["--data", FSDD / TARGET, *FSDD_ARGS]
    adapter, merged = tmp_path / "a.safetensors", tmp_path / "m.tflite"
    trained = run_json(
        "train", base, *data, "--precision", "f32", "--train-per-class", 10,
        "--epochs", 20, "--lr", 0.005, "--seed", 1, "--out", adapter,
    )  # fmt: skip
    print(trained["accuracy_before"], trained["accuracy_after"])
    assert trained["accuracy_after"] >= trained["accuracy_before"] + 0.05
    after = run_json(
        "merge", base, "--adapter", adapter, "--out", merged, *data
    )
    assert after["accuracy_merged"] == after["accuracy"]
