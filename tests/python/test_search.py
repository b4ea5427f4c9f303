"""fieldtune plan --search: what it chooses fits, is obeyed, and is as good as what
trying every plan in full finds.
"""

import tomllib

import numpy as np
import pytest
from fieldtune_cli import run, run_json
from small_nets import make_net, to_tflite


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
    assert found["accuracy"] == max(p["accuracy"] for p in found["front"])


def test_equal_seeds_give_equal_plans(job):
    folder, *_ = job
    options = ["--methods", "lora,bitfit", "--optimizers", "sgd"]
    search(job, *options, out="one.toml")
    search(job, *options, out="two.toml")
    assert (folder / "one.toml").read_text() == (folder / "two.toml").read_text()


def test_halving_finds_what_brute_force_finds(job):
    """All plans in full, all folds: no better one within the budget."""
    options = ["--ram", "5K", "--methods", "lora,bitfit,ia3",
               "--finalists", 1000]  # fmt: skip
    found = search(job, *options)
    every = search(job, *options, "--rounds", 1)
    assert every["trained"] == found["trained"]
    # A fold has 12 samples; four make the 48.
    assert found["accuracy"] >= every["accuracy"] - 1 / 48


def test_budgets_that_nothing_meets(job):
    folder, model, data = job
    args = ["plan", model, *data, "--search", "--epochs", 2]
    done = run(*args, "--ram", "100")
    assert done.returncode == 4
    assert "no plan fits: the smallest needs" in done.stderr
    assert "least flash" in done.stderr


@pytest.mark.parametrize(
    "options, what",
    [
        (["--rank", "4"], "--rank"),
        (["--step-ms", "5"], "--step-ms and --energy-mj need a --target"),
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
