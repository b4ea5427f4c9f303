"""The cost model against instructions that were counted under emulation
(bench/results/cost_model.json), and what plan says of a target."""

import json

import fieldtune_cli as cli
import pytest

COUNTED = cli.ROOT / "bench" / "results" / "cost_model.json"
LORA = ["--method", "lora", "--rank", 4]
DEMO = cli.ROOT / "examples" / "demo" / "keyword_base.tflite"
TARGETS = ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33",
           "cortex-m55", "riscv32", "riscv64", "raspberry-pi-zero-2",
           "raspberry-pi-5", "phone-big-core", "x86-64"]


def counted():
    """{(model, target, precision): its rows}, two of them for a test's time."""
    rows = json.loads(COUNTED.read_text())
    chosen = {}
    for row in rows:
        key = row["model"], row["target"], row["precision"]
        if key in (("kws", "cortex-m4", "integer"), ("kws", "cortex-m4", "infer"),
                   ("vww", "cortex-m4", "infer")):
            chosen.setdefault(key, []).append(row)
    return chosen


FILES = {"kws": "kws_ref_model", "vww": "vww_96_int8"}


@pytest.mark.parametrize("key", counted(), ids="-".join)
def test_predicts_what_was_counted(key):
    model, target, precision = key
    path = cli.MODELS / f"{FILES[model]}.tflite"
    if not path.is_file():
        pytest.skip(f"no {path}")
    plan = cli.run_json("plan", path, *LORA, "--precision",
                        "integer" if precision == "infer" else precision,
                        "--target", target, "--costs")
    units = {(r["program"], r["class"]): r["units"] for r in plan["classes"]}
    for row in counted()[key]:
        name = row["program"]
        if row["class"] == "all":
            predicted = sum(n for (p, _), n in units.items() if p == name)
            assert predicted == pytest.approx(row["measured_instructions"],
                                              rel=0.10), row
        elif row["measured_instructions"] > 0.02 * sum(
                n for (p, _), n in units.items() if p == name):
            assert units[name, row["class"]] == pytest.approx(
                row["measured_instructions"], rel=0.20), row


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_prices_every_program(target):
    plan = cli.run_json("plan", DEMO, *LORA, "--precision", "integer",
                        "--target", target, "--costs")
    for name in ("step", "infer", "merged_infer"):
        assert plan[f"{name}_ms"] > 0
        assert plan[f"{name}_energy_mj"] > 0
        assert plan[f"{name}_ram_traffic_bytes"] > 0
        assert sum(c["us"] for c in plan["calls"] if c["program"] == name) == (
            pytest.approx(1e3 * plan[f"{name}_ms"]))
    assert plan["step_ms"] > plan["infer_ms"] > 0
    if target.startswith(("cortex", "riscv")):
        assert plan["step_instructions"] > plan["infer_instructions"]
        assert plan["device_ram_bytes"] > plan["stack_bytes"] > 0


def test_says_where_no_row_is_fitted(tmp_path):
    text = (cli.ROOT / "targets" / "cortex-m4.toml").read_text()
    board = tmp_path / "mine.toml"
    board.write_text(text.replace('name = "cortex-m4"', 'name = "mine"'))
    args = ["plan", DEMO, *LORA, "--precision", "integer", "--target", board]
    done = cli.run(*args, "--costs")
    assert done.returncode == 3
    assert "run 'make calibrate-targets'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert "calibrate-targets" in cli.run_json(*args)["no_costs"]


def test_a_board_of_the_users_is_one_file(tmp_path):
    text = (cli.ROOT / "targets" / "cortex-m4.toml").read_text()
    text = text.replace('name = "cortex-m4"', 'name = "mine"')
    text = text.replace("hz = 120_000_000", "hz = 60_000_000")
    board = tmp_path / "mine.toml"
    board.write_text(text.replace('unit = "instructions"',
                                  'unit = "instructions"\n'
                                  'kernels_of = "cortex-m4"'))
    args = ["plan", DEMO, *LORA, "--precision", "integer", "--target"]
    mine, theirs = cli.run_json(*args, board), cli.run_json(*args, "cortex-m4")
    assert mine["step_instructions"] == theirs["step_instructions"]
    assert mine["step_ms"] == pytest.approx(2 * theirs["step_ms"])
    assert mine["target"] == "mine"


def test_refuses_in_one_sentence(tmp_path):
    bad = tmp_path / "bad.toml"
    text = (cli.ROOT / "targets" / "cortex-m4.toml").read_text()
    bad.write_text(text.replace("wait_states = 0", "wait_states = -1"))
    line = 1 + text[:text.index("wait_states = 0")].count("\n")
    none = tmp_path / "none.toml"
    none.write_text(text[:text.index("[costs]")])
    for code, sentence, args in [
            (3, f"bad.toml:{line}: 'wait_states' must be", ["--target", bad]),
            (3, "states no costs", ["--target", none, "--costs"]),
            (2, "there are: cortex-m0plus", ["--target", "cortex-m5"]),
            (2, "--costs needs a --target", ["--costs"])]:
        done = cli.run("plan", DEMO, *LORA, *args)
        assert done.returncode == code, done.stderr
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
