"""The demo: its committed base model, and the command end to end."""

import json
import resource
import shutil
import sys

import numpy as np
import pytest

from conftest import ROOT
from torch_tflite import run_litert

sys.path.insert(0, str(ROOT / "tools"))
import make_demo_model_speech as speech  # noqa: E402

MODEL = ROOT / "examples/demo/keyword_base.tflite"

pytestmark = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


def litert_accuracy(model, clips, labels):
    from ai_edge_litert.interpreter import Interpreter
    detail = Interpreter(str(model)).get_input_details()[0]
    scale, zero_point = detail["quantization"]
    x = np.round(speech.features(clips) / scale) + zero_point
    x = np.clip(x, -128, 127).astype(np.int8)
    return np.mean(run_litert(model, x).argmax(1) == labels)


def test_base_model_understands_voices_it_never_heard():
    assert MODEL.stat().st_size < 100_000
    random = np.random.default_rng(12345)
    plan = speech.plan_utterances(random, speech.HELD_OUT_VARIANTS, 6)
    plan = plan[:6 * len(speech.KEYWORDS)]
    clips = np.stack([speech.place(random, w, 25.0)
                      for w in speech.speak_all(plan)])
    speech.check_features(clips[:4])
    labels = [u.label for u in plan]
    assert litert_accuracy(MODEL, clips, labels) > 0.85


def processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_demo_adapts_the_base_model(fieldtune, tmp_path):
    page = tmp_path / "page.html"
    started = processor_seconds()
    run = fieldtune("demo", "--json", "--report", page, "--keep", tmp_path)
    assert run.returncode == 0, run.stderr
    # Processor time: the tests of a busy machine run side by side.
    assert processor_seconds() - started < 120
    fields = json.loads(run.stdout)
    assert fields["accuracy_before_new_words"] == 0
    assert fields["accuracy_after_new_words"] > 0.9
    assert fields["accuracy_after"] > 0.9
    assert fields["accuracy_after"] > fields["accuracy_before"] + 0.2
    assert fields["accuracy_int8"] > fields["accuracy_after"] - 0.02
    assert fields["adapter_bytes"] == (
        tmp_path / "demo.safetensors").stat().st_size
    assert fields["samples"] == 12 * 20
    html = page.read_text()
    assert html.count('class="confusion"') == 3
    assert html.count('class="map"') == 1
    assert html.count('class="curve"') == 2  # loss and accuracy


def test_demo_merged_model_runs_in_litert(fieldtune, tmp_path):
    run = fieldtune("demo", "--json", "--epochs", 2, "--keep", tmp_path,
                    "--report", tmp_path / "page.html")
    assert run.returncode == 0, run.stderr
    zero = np.zeros((1, 49, 10, 1), np.int8)
    answer = run_litert(tmp_path / "merged.tflite", zero)
    assert answer.shape == (1, 12) and answer.dtype == np.int8


def test_demo_without_espeak_says_how_to_get_it(fieldtune, tmp_path):
    run = fieldtune("demo", "--report", tmp_path / "page.html",
                    env={"PATH": str(tmp_path), "TMPDIR": str(tmp_path)})
    assert run.returncode == 5
    assert "apt-get install espeak-ng" in run.stderr
    assert list(tmp_path.iterdir()) == []
