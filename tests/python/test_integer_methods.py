"""Training in integers on real recordings, as a user sees it: methods
learn as they do in floats, and the file answers as training did.
Gradients of every method are compared in tests/integer_training_test.cc.
"""

import sys

import pytest
from fieldtune_cli import MODELS, ROOT, run_json

sys.path.insert(0, str(ROOT / "bench"))
import real_job  # noqa: E402

pytestmark = pytest.mark.usefixtures("shared")
KWS = MODELS / "kws_ref_model.tflite"
INTEGER = ["--precision", "integer"]
METHODS = {
    "ia3": ["--method", "ia3"],
    "dora": ["--method", "lora", "--rank", 4, "--use-dora"],
    "parallel": ["--method", "bottleneck", "--variant", "parallel"],
}


def train(folder, *options):
    out = folder / "adapter.safetensors"
    args = [*real_job.data_args("theo"), "--train-per-class", 5, "--new-head",
            "--seed", 1, "--epochs", 3]  # fmt: skip
    return run_json("train", KWS, *args, *options, "--out", out), out


@pytest.mark.parametrize("method", METHODS)
def test_learns_as_in_floats(tmp_path, method):
    exact, _ = train(tmp_path, *METHODS[method], "--precision", "f32")
    integer, path = train(tmp_path, *METHODS[method], *INTEGER)
    print(method, exact["accuracy_after"], integer["accuracy_after"])
    assert integer["accuracy_after"] > exact["accuracy_after"] - 0.03
    evaluated = run_json("eval", KWS, "--adapter", path)
    assert evaluated["accuracy"] == integer["accuracy_after"]


def test_int8_adapters_answer_as_trained(tmp_path):
    lora = ["--method", "lora", "--rank", 4, *INTEGER]
    plain, path = train(tmp_path, *lora)
    size = path.stat().st_size
    stored, path = train(tmp_path, *lora, "--adapter-dtype", "int8")
    print(stored["accuracy_after"], plain["accuracy_after"])
    assert path.stat().st_size < size / 2
    assert stored["accuracy_after"] > plain["accuracy_after"] - 0.03
    evaluated = run_json("eval", KWS, "--adapter", path)
    assert evaluated["accuracy"] == stored["accuracy_after"]
