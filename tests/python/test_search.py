"""fieldtune plan --search: what it chooses fits, is obeyed, and is as good as what
trying every plan in full finds.
"""

import json
import tomllib

import numpy as np
import pytest
import small_plans
from fieldtune_cli import ROOT, run, run_json
from small_nets import make_net, to_tflite


# What 48 held-back answers tell apart: the standard error of an accuracy of 0.95.
ERROR = 0.04


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A float model, data that moved away from it, and a search's arguments."""
    folder = tmp_path_factory.mktemp("search")
    net = make_net("mlp")
    (folder / "net.tflite").write_bytes(to_tflite(net))
    rng = np.random.default_rng(2)
    labels = np.int32(np.arange(48) % 3)
    centres = rng.normal(size=(3, 12)) * 1.5
    x = (centres[labels] + rng.normal(size=(48, 12))).astype("f4")
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", labels)
    data = ["--data", folder / "x.npy", "--labels", folder / "y.npy",
            "--loss", "cross-entropy"]  # fmt: skip
    return folder, folder / "net.tflite", data


def search(job, *options, out="plan.toml"):
    folder, model, data = job
    return run_json("plan", model, *data, "--search", "--epochs", 8, *options,
                    "--out", folder / out)  # fmt: skip


def test_a_plan_is_what_train_does(job):
    folder, model, data = job
    found = search(job, "--ram", "4K")
    plan = tomllib.loads((folder / "plan.toml").read_text())
    assert found["ram_bytes"] <= 4096 == plan["ram_bytes"]
    assert plan["predicted"]["ram_bytes"] == found["ram_bytes"]
    trained = run_json("train", model, *data, "--plan", folder / "plan.toml",
                       "--out", folder / "a.safetensors")  # fmt: skip
    assert trained["ram_bytes"] == found["ram_bytes"]
    assert trained["accuracy_after"] > trained["accuracy_before"]
    rams = [p["ram_bytes"] for p in found["front"]]
    assert rams == sorted(rams)
    best = max(p["accuracy"] for p in found["front"])
    assert best - ERROR <= found["accuracy"] <= best


def test_equal_seeds_give_equal_plans(job):
    folder, *_ = job
    options = ["--methods", "lora,bitfit", "--optimizers", "sgd"]
    search(job, *options, out="one.toml")
    search(job, *options, out="two.toml")
    assert (folder / "one.toml").read_text() == (folder / "two.toml").read_text()


def test_brute_force_confirms_what_halving_finds(job):
    """All plans in full, all folds: none is better within the budget, and none
    beats a point of the front without more RAM, by more than two standard errors."""
    options = ["--ram", "5K", "--methods", "lora,bitfit,ia3",
               "--finalists", 1000]  # fmt: skip
    found = search(job, *options)
    every = search(job, *options, "--rounds", 1)
    assert every["trained"] == found["trained"]
    assert found["accuracy"] >= every["accuracy"] - ERROR
    for point in found["front"]:
        p = point["accuracy"]
        best = max([q["accuracy"] for q in every["front"]
                    if q["ram_bytes"] <= point["ram_bytes"]], default=0)  # fmt: skip
        assert best <= p + 2 * np.sqrt(p * (1 - p) / 48), (point, every["front"])


def test_brute_force_confirms_the_front(tmp_path):
    """Every plan of three layers in full, judged by 3,000 samples of a test that no
    search sees: within the RAM of each that is best for its RAM, the search finds
    one that is no further behind than the standard error of its 48 samples. One in six
    may be, by chance. bench/planner_small.py does the same with all rates."""
    model = small_plans.small_task(tmp_path)
    every = [t for t in (small_plans.tested(model, plan, 1)
                         for plan in small_plans.all_plans(model, [0.01])) if t]  # fmt: skip
    assert len(every) > 60
    errors = []
    for ram, best in small_plans.front_of(every):
        found, (own_ram, own) = small_plans.searched(model, ram, 1, [0.01])
        print(f"{ram} bytes: {best:.3f}, searched {own:.3f}: {found['plan']}")
        assert own_ram <= ram
        errors.append((best - own) / small_plans.standard_error(best))
    assert sum(e > 1 for e in errors) <= max(1, len(errors) / 6), errors
    assert max(errors) <= 3, errors


def test_budgets_that_nothing_meets(job):
    folder, model, data = job
    args = ["plan", model, *data, "--search", "--epochs", 2]
    done = run(*args, "--ram", "100")
    assert done.returncode == 4
    assert "no plan fits: the smallest needs" in done.stderr
    assert "least flash" in done.stderr
    on_m4 = [*args, "--target", "cortex-m4"]
    for limit in (["--flash", "10"], ["--step-ms", "1e-6"], ["--energy-mj", "1e-9"],
                  ["--energy-mj-per-day", "1e-9"]):  # fmt: skip
        done = run(*on_m4, *limit)
        assert done.returncode == 4, done.stderr
        for words in ("bytes of RAM (", "least flash is", "fastest step",
                      "least energy"):  # fmt: skip
            assert words in done.stderr, done.stderr


def test_targets_without_costs_of_a_class_of_ops(job, tmp_path):
    text = (ROOT / "targets" / "cortex-m4.toml").read_text()
    head, tail = text.split("[costs.nonlinear]")
    board = tmp_path / "board.toml"
    board.write_text(head + tail[tail.index("[costs."):])
    folder, model, data = job
    done = run("plan", model, *data, "--search", "--target", board)
    assert done.returncode == 3, done.stderr
    assert "board.toml:" in done.stderr and "costs.nonlinear" in done.stderr


def test_a_day_s_energy_makes_a_schedule(job, tmp_path):
    """48 samples, 8 epochs; the plan's arithmetic is that of its own figures."""
    folder, model, data = job
    found = search(job, "--methods", "bitfit", "--target", "raspberry-pi-5",
                   "--energy-mj-per-day", 1, out="day.toml")  # fmt: skip
    plan = tomllib.loads((folder / "day.toml").read_text())["schedule"]
    per_day = plan["updates_per_day"]
    assert per_day == found["updates_per_day"] == int(1 / plan["update_mj"])
    train = found["epoch_energy_mj"] / found["update_energy_mj"]
    assert train == pytest.approx(48)
    assert found["days"] == plan["days"] == -(-48 * 8 // per_day)


def test_training_obeys_the_day_s_energy(job, tmp_path):
    folder, model, data = job
    search(job, "--methods", "bitfit", "--target", "raspberry-pi-5",
           "--energy-mj-per-day", 1, out="day.toml")  # fmt: skip
    text = (folder / "day.toml").read_text()
    days = tomllib.loads(text)["schedule"]
    (tmp_path / "day.toml").write_text(text.replace(
        f"updates_per_day = {days['updates_per_day']}", "updates_per_day = 200"))  # fmt: skip
    args = ["train", model, *data, "--plan", tmp_path / "day.toml",
            "--out", tmp_path / "a.safetensors"]  # fmt: skip
    done = run(*args, "--stop-after", 201)
    assert done.returncode == 2 and "pays for 200 steps a day" in done.stderr
    first = run(*args)
    assert first.returncode != 0 and "stopped after step 200 of 384" in first.stderr
    assert run_json(*args, "--resume")["updates_per_day"] == 200


def test_a_microcontroller_s_plan_trains_here(job):
    """Its RAM is the device's: kernels of this machine need other scratch."""
    folder, model, data = job
    found = search(job, "--methods", "bitfit", "--optimizers", "sgd", "--rates", 0.003,
                   "--finalists", 1, "--target", "cortex-m4", "--ram", "9K",
                   "--energy-mj-per-day", 50, out="mcu.toml")  # fmt: skip
    trained = run_json("train", model, *data, "--plan", folder / "mcu.toml",
                       "--out", folder / "a.safetensors")  # fmt: skip
    assert trained["updates"] == 48 * 8 and trained["days"] == found["days"]
    run_json("compile", model, "--plan", folder / "mcu.toml", "--out", folder / "c")
    header = (folder / "c" / "ft_model.h").read_text()
    assert f"#define FT_STEPS_PER_DAY {found['updates_per_day']} " in header


def test_plan_says_what_a_day_pays_for(job):
    _, model, _ = job
    args = ["plan", model, "--classes", 3, "--target", "cortex-m4", "--epochs", 4]
    step = run_json(*args)
    args += ["--accumulate", 2, "--train-samples", 50]
    mj = run_json(*args)["update_energy_mj"]
    day = run_json(*args, "--energy-mj-per-day", 10.5 * mj)
    assert day["updates_per_day"] == 10
    assert day["days"] == 10  # 4 epochs of 25 updates
    assert day["update_energy_mj"] == mj > 2 * step["step_energy_mj"]
    done = run(*args, "--energy-mj-per-day", 1e-9)
    assert done.returncode == 4 and "the smallest energy that works is" in done.stderr
    done = run("plan", model, "--energy-mj-per-day", 1)
    assert done.returncode == 2 and "needs a --target" in done.stderr


@pytest.mark.parametrize(
    "options, what",
    [
        (["--rank", "4"], "--rank"),
        (["--step-ms", "5"], "--step-ms needs a --target"),
        (["--energy-mj", "5"], "need a --target that states its costs"),
        (["--target", "cortex-m4", "--energy-mj", "5", "--energy-mj-per-day", "4"],
         "an update may not take more than"),
        (["--train-samples", "5"], "--train-samples"),
        (["--methods", "nonsense"], "nonsense"),
        (["--target", "cortex-m4", "--ram", "1G"], "the target has"),
    ],
)
def test_contradictions(job, options, what):
    folder, model, data = job
    done = run("plan", model, *data, "--search", *options)
    assert done.returncode == 2 and what in done.stderr, done.stderr


def test_plans_of_other_models_and_other_options(job, tmp_path):
    folder, model, data = job
    search(job, "--methods", "bitfit", "--optimizers", "sgd", out="p.toml")
    (tmp_path / "other.tflite").write_bytes(to_tflite(make_net("mlp", seed=9)))
    train = ["--plan", folder / "p.toml", *data, "--out", tmp_path / "a.safetensors"]
    done = run("train", tmp_path / "other.tflite", *train)
    assert done.returncode == 3 and "was made for a model" in done.stderr
    done = run("train", model, *train, "--rank", "8")
    assert done.returncode == 2 and "--rank" in done.stderr
    (tmp_path / "bad.toml").write_text("format = 1\nlr = \n")
    done = run("train", model, "--plan", tmp_path / "bad.toml", *data,
               "--out", tmp_path / "a.safetensors")  # fmt: skip
    assert done.returncode == 3 and "bad.toml:2" in done.stderr


def test_methods_without_a_row_or_cost_are_left_out(job, tmp_path):
    """A board of no known family that states costs of SGD's rows only: plans with
    AdamW cannot be priced, which the search says, and the others go on."""
    rows = [line.split() for line in
            (ROOT / "targets" / "kernel_costs.txt").read_text().splitlines()
            if line.startswith("cortex-m4 ")]  # fmt: skip
    costs = "".join(f'"{row[1]}" = [{", ".join(row[4:])}]\n' for row in rows
                    if "adamw" not in row[1] and not row[1].startswith("update"))  # fmt: skip
    costs += f'"ft_outer_sgd_update_f32_armdsp" = [50{", 0" * 7}]\n'
    text = (ROOT / "targets" / "cortex-m4.toml").read_text()
    board = tmp_path / "board.toml"
    board.write_text(text.replace('name = "cortex-m4"', 'name = "board"')
                     + "\n[costs.kernels]\n" + costs)  # fmt: skip
    folder, model, data = job
    done = run("plan", model, *data, "--search", "--epochs", 2, "--methods", "lora",
               "--precisions", "f32", "--optimizers", "sgd,adamw", "--target", board,
               "--finalists", 2, "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    print(done.stderr.strip().splitlines()[-1])
    found = json.loads(done.stdout)
    assert found["optimizer"] == "sgd" and found["impossible"] > 0
    assert "plans are not possible here" in done.stderr
    assert "no cost of ft_adamw_update_f32_c99" in done.stderr
