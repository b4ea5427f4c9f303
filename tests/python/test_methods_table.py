"""The table of methods: what is kept between runs, and how bars are judged."""

import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import methods_page  # noqa: E402
import methods_table  # noqa: E402


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A function that opens the kept runs of a build of the command."""
    monkeypatch.setattr(methods_table, "RUNS", tmp_path / "runs.json")
    monkeypatch.setattr(methods_table.cli, "BINARY", tmp_path / "fieldtune")

    def opened(build, keep=False):
        (tmp_path / "fieldtune").write_text(build)
        return methods_table.Runs(keep)

    return opened


def test_a_run_is_kept_until_the_command_changes(runs):
    assert runs("one").get("k", lambda: {"accuracy": 1})["accuracy"] == 1
    again = runs("one").get("k", lambda: pytest.fail("measured again"))
    assert again["accuracy"] == 1
    assert runs("two").get("k", lambda: {"accuracy": 2})["accuracy"] == 2


def test_keep_takes_older_figures_but_asks_again_what_was_refused(runs):
    runs("one").get("k", lambda: {"accuracy": 1})
    runs("one").get("no", lambda: {"refused": "not defined"})
    kept = runs("two", keep=True)
    assert kept.get("k", lambda: pytest.fail("measured again"))
    assert kept.get("no", lambda: {"accuracy": 2})["accuracy"] == 2


def row(method, precision, seed, **fields):
    sizes = {"trainable": 100, "adapter_bytes": 500, "arena_bytes": 1000,
             "persistent_bytes": 1000, "step_ms": 1.0, "lr": 1e-3}
    return {"task": "t", "method": method, "precision": precision,
            "seed": seed, "version": "b", **sizes, **fields}


def test_mean_and_spread_over_seeds():
    rows = [row("lora", "f32", s, accuracy=a, step_ms=ms)
            for s, a, ms in ((1, 0.8, 3.0), (2, 0.9, 2.0), (3, 1.0, 4.0))]
    (line,) = methods_table.summary(rows)
    assert line["accuracy"] == 0.9 and line["accuracy_sd"] == 0.1
    assert line["seeds"] == 3 and line["step_ms"] == 2.0
    assert "seed" not in line


def verdicts(rows, variance=None):
    figures = methods_page.Table(methods_table.summary(rows))
    return {b["check"]: b["verdict"]
            for b in methods_page.bars_of(figures, "t", variance)}


def test_bars_of_accuracy():
    said = verdicts([
        row("full", "f32", 1, accuracy=0.90, trainable=900),
        row("lora", "f32", 1, accuracy=0.892),
        row("bitfit", "f32", 1, accuracy=0.87, trainable=10),
        row("lora", "mixed", 1, accuracy=0.889, arena_bytes=600),
        row("lora", "integer", 1, accuracy=0.881)])
    assert said.pop("LoRA over full") == "met"
    assert said.pop("LoRA, points that mixed loses to f32") == "met"
    arena = "LoRA, part of the step's peak bytes (arena) that mixed saves"
    assert said.pop(arena) == "met"
    assert len(said) == 3 and all(v.startswith("missed") for v in said.values())


def test_bars_of_errors_turn_round():
    rows = [row("full", "f32", 1, mse=0.50), row("lora", "f32", 1, mse=0.51),
            row("lora", "mixed", 1, mse=0.514)]
    said = verdicts(rows, variance=2.0)  # 0.2 points
    assert said["LoRA over full"].startswith("missed")
    assert said["LoRA, points that mixed loses to f32"] == "met"
    rows[1]["mse"] = 0.505
    assert verdicts(rows, variance=2.0)["LoRA over full"] == "met"


def test_small_moments_are_a_row_of_their_own():
    rows = [row("full", "f32", 1, accuracy=0.9),
            row("lora", "f32", 1, accuracy=0.9, arena_bytes=1000),
            row("lora", "mixed", 1, accuracy=0.9, arena_bytes=600),
            row("lora", "mixed", 1, accuracy=0.7, arena_bytes=600,
                persistent_bytes=400, optimizer="adamw8bit")]
    figures = methods_page.Table(methods_table.summary(rows))
    assert figures.get("t", "lora", "mixed")["accuracy"] == 0.9
    saved = {b["note"]: b["value"] for b in methods_page.memory_bars(
        figures, "t", figures.get("t", "lora"))}
    assert saved == {"": 0.4, "AdamW's moments in f32 in both": 0.2,
                     "8-bit AdamW in mixed": 0.5}


def test_refusals_are_one_sentence(fieldtune):
    done = fieldtune("train", "no_such_model.tflite", "--out", "x.safetensors")
    sentence = methods_table.refused(done)["refused"]
    assert sentence.startswith("fieldtune: no data")
