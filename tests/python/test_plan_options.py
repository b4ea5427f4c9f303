"""What `fieldtune plan` explains and draws, and where it puts a step's buffers."""

import xml.etree.ElementTree as ElementTree

import pytest
from fieldtune_cli import MODELS, run, run_json

KWS = MODELS / "kws_ref_model.tflite"
pytestmark = pytest.mark.skipif(not KWS.exists(), reason="no shared models")


def knob(result, name, value):
    return next(k for k in result["knobs"]
                if k["knob"] == name and k["value"] == str(value))  # fmt: skip


def test_explain_computes_what_each_option_would_change():
    now = run_json("plan", KWS, "--rank", 4, "--explain")
    peak = now["buffers_at_peak"]
    assert sum(b["buffer_bytes"] for b in peak) >= now["lower_bound_bytes"]
    assert {b["purpose"] for b in peak} & {"kept for the backward pass"}
    for name, value, options in [
        ("rank", 8, ["--rank", 8]),
        ("batch", 2, ["--rank", 4, "--batch", 2]),
        ("recompute", "all", ["--rank", 4, "--recompute", "all"]),
        ("optimizer", "sgd", ["--rank", 4, "--optimizer", "sgd"]),
        ("precision", "integer", ["--rank", 4, "--precision", "integer"]),
        ("accumulate", 4, ["--rank", 4, "--accumulate", 4]),
    ]:
        row, really = knob(now, name, value), run_json("plan", KWS, *options)
        assert row["ram_bytes"] == really["ram_bytes"], name
        assert row["macs"] == really["macs"], name
        assert row["change_in_bytes"] == really["ram_bytes"] - now["ram_bytes"]


def test_explain_says_why_an_option_is_refused():
    result = run_json("plan", KWS, "--method", "adalora", "--explain")
    assert "integer" in knob(result, "precision", "integer")["refused"]


def test_explain_of_what_does_not_fit_prints_it_and_fails():
    done = run("plan", KWS, "--ram", "20K", "--explain", "--json")
    assert done.returncode == 4
    assert "smallest budget" in done.stderr
    assert '"fits":false' in done.stdout


def test_picture_is_an_svg_of_every_buffer(tmp_path):
    path = tmp_path / "map.svg"
    run_json("plan", KWS, "--picture", path)
    root = ElementTree.parse(path).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = path.read_text()
    assert "peak " in text and "kept for the backward pass" in text
    assert run("plan", KWS, "--picture", tmp_path / "map.png").returncode == 2


def test_regions_put_what_is_moved_most_into_the_fastest():
    result = run_json("plan", KWS, "--precision", "integer", "--target",
                      "cortex-m7", "--place-regions")  # fmt: skip
    fastest = result["regions"][0]
    assert fastest["kind"] == "tcm"
    assert fastest["used_bytes"] <= fastest["region_bytes"]
    assert sum(b["moved_bytes"] for b in result["buffers"]) > 0
    assert result["moved_cycles_bound"] <= result["moved_cycles"]
    for b in result["buffers"]:
        region = next(r for r in result["regions"] if r["region"] == b["region"])
        assert b["offset_bytes"] + b["buffer_bytes"] <= region["used_bytes"]


def test_regions_need_a_target():
    done = run("plan", KWS, "--place-regions")
    assert done.returncode == 2 and "--target" in done.stderr
