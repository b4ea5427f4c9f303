"""What `fieldtune plan` explains and draws, and options that change when and where a
step's buffers live without changing a bit.
"""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from fieldtune_cli import FSDD, FSDD_ARGS, MODELS, ROOT, run, run_json

KWS = MODELS / "kws_ref_model.tflite"
pytestmark = pytest.mark.usefixtures("shared")


def knob(result, name, value):
    return next(k for k in result["knobs"]
                if k["knob"] == name and k["value"] == str(value))  # fmt: skip


def test_explain_computes_what_each_option_would_change():
    now = run_json("plan", KWS, "--rank", 4, "--explain")
    peak = now["buffers_at_peak"]
    whole_units = sum(-(-b["buffer_bytes"] // 16) * 16 for b in peak)
    assert whole_units >= now["lower_bound_bytes"]
    assert {b["purpose"] for b in peak} & {"kept for the backward pass"}
    for name, value, options in [
        ("rank", 8, ["--rank", 8]),
        ("batch", 2, ["--rank", 4, "--batch", 2]),
        ("recompute", "all", ["--rank", 4, "--recompute", "all"]),
        ("keep-order", "true", ["--rank", 4, "--keep-order"]),
        ("optimizer", "sgd", ["--rank", 4, "--optimizer", "sgd"]),
        ("precision", "integer", ["--rank", 4, "--precision", "integer"]),
        ("accumulate", 4, ["--rank", 4, "--accumulate", 4]),
    ]:
        row, really = knob(now, name, value), run_json("plan", KWS, *options)
        assert row["ram_bytes"] == really["ram_bytes"], name
        assert row["macs"] == really["macs"], name
        assert row["change_in_bytes"] == really["ram_bytes"] - now["ram_bytes"]
    apart = knob(now, "in-place", "false")
    assert apart["macs"] == now["macs"] and apart["arena_bytes"] > now["arena_bytes"]


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


@pytest.mark.parametrize("precision", ["mixed", "integer"])
def test_another_order_of_calls_is_smaller_and_the_same_program(precision):
    for method in ("lora", "dora", "adalora"):
        args = ["plan", KWS, "--classes", 10, "--precision", precision]
        if method == "dora":
            args += ["--use-dora"]
        elif precision == "mixed":
            args += ["--method", method]
        given = run_json(*args, "--keep-order")
        chosen = run_json(*args)
        assert chosen["arena_bytes"] <= given["arena_bytes"], method
        assert chosen["plan_hash"] == given["plan_hash"]


@pytest.mark.parametrize("precision", ["mixed", "integer"])
def test_another_order_of_calls_changes_no_byte_of_the_adapter(precision, tmp_path):
    args = ["train", KWS, "--data", FSDD / "theo", *FSDD_ARGS, "--new-head",
            "--use-dora", "--train-per-class", 3, "--epochs", 2, "--seed", 1,
            "--exact", "--precision", precision]  # fmt: skip
    files = set()
    for i, options in enumerate([[], ["--keep-order"]]):
        out = tmp_path / f"{i}.safetensors"
        run_json(*args, "--out", out, *options)
        files.add(out.read_bytes())
    assert len(files) == 1


def test_recompute_limit_holds_and_saves():
    kept = run_json("plan", KWS, "--precision", "integer")
    last = kept["ram_bytes"]
    for limit in (1.1, 1.3, 2):
        row = run_json("plan", KWS, "--precision", "integer",
                       "--recompute-limit", limit)  # fmt: skip
        assert row["macs"] <= limit * kept["macs"]
        assert row["ram_bytes"] <= last
        last = row["ram_bytes"]
    assert last < kept["ram_bytes"]


@pytest.mark.parametrize(
    "options, words",
    [
        (["--recompute-limit", 0.5], "between 1 and 100"),
        (["--recompute-limit", 1.3, "--recompute", "all"], "leave out"),
    ],
)
def test_contradictions_are_refused(options, words):
    done = run("plan", KWS, *options)
    assert done.returncode == 2 and words in done.stderr


def test_a_target_without_a_row_of_an_op_is_refused(tmp_path):
    """A board whose file leaves out c99 has the rows of its instruction sets alone."""
    text = (ROOT / "targets" / "cortex-m4.toml").read_text()
    board = tmp_path / "board.toml"
    for old, new in (('name = "cortex-m4"', 'name = "no-c99"'),
                     ('kernels = ["armdsp", "c99"]', 'kernels = ["armdsp"]'),
                     ("[costs]", '[costs]\nkernels_of = "cortex-m4"')):  # fmt: skip
        assert text.count(old) == 1
        text = text.replace(old, new)
    board.write_text(text)
    data = ["--data", FSDD / "theo", *FSDD_ARGS, "--new-head", "--train-per-class", 2]
    for args in (["plan", KWS, "--precision", "integer"],
                 ["plan", KWS, *data, "--search", "--precisions", "integer"],
                 ["compile", KWS, "--program", "infer", "--out", tmp_path / "c"]):  # fmt: skip
        done = run(*args, "--target", board)
        assert done.returncode == 3, done.stderr
        lines = done.stderr.strip().splitlines()
        print(lines[-1])
        assert re.search(r"\w+ '[^']+': no kernel for \S+ on no-c99, whose file does "
                         r"not list c99 rows", lines[-1])  # fmt: skip
        assert not (tmp_path / "c").exists()
