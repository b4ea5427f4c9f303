"""fieldtune plan --picture, --picture-of and --report: files that are well formed
and say what they show, and refusals.
"""

import xml.etree.ElementTree as xml

import numpy as np
import pytest
from fieldtune_cli import run, run_json
from small_nets import make_net, to_tflite


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "net.tflite"
    path.write_bytes(to_tflite(make_net("mlp")))
    return path


@pytest.fixture(scope="module")
def search(model):
    rng = np.random.default_rng(3)
    labels = np.int32(np.arange(24) % 3)
    np.save(model.parent / "x.npy", rng.normal(size=(24, 12)).astype("f4"))
    np.save(model.parent / "y.npy", labels)
    return ["plan", model, "--data", model.parent / "x.npy", "--labels",
            model.parent / "y.npy", "--loss", "cross-entropy", "--search",
            "--epochs", 2, "--methods", "lora,bitfit", "--rates", 0.003,
            "--target", "cortex-m4"]  # fmt: skip


def circles(path):
    return len(xml.parse(path).findall(".//{http://www.w3.org/2000/svg}circle"))


def test_pictures_of_a_step(model, tmp_path):
    args = ["plan", model, "--target", "cortex-m4"]
    calls = run_json(*args, "--costs", "--picture", tmp_path / "costs.svg",
                     "--picture-of", "costs", "--report", tmp_path / "p.html")  # fmt: skip
    multiply = [c for c in calls["calls"]
                if c["program"] == "step" and c["macs"] > 0]  # fmt: skip
    assert circles(tmp_path / "costs.svg") == len(multiply)
    page = (tmp_path / "p.html").read_text()
    for words in ("Memory over one training step", "Where the time of a step goes",
                  "on cortex-m4"):  # fmt: skip
        assert words in page
    run_json(*args, "--picture", tmp_path / "memory.svg")
    assert "fullest" not in (tmp_path / "memory.svg").read_text()
    assert circles(tmp_path / "memory.svg") == 0


def test_pictures_of_a_search(search, tmp_path):
    found = run_json(*search, "--picture", tmp_path / "front.svg",
                     "--report", tmp_path / "p.html")  # fmt: skip
    assert circles(tmp_path / "front.svg") in (len(found["front"]),
                                               len(found["front"]) + 1)  # fmt: skip
    page = (tmp_path / "p.html").read_text()
    assert "Pareto front" in page and "Rank of each layer" in page
    assert found["plan"] in page
    run_json(*search, "--picture", tmp_path / "r.svg", "--picture-of", "ranks")
    assert "frozen" in (tmp_path / "r.svg").read_text() or found["layers"] == 3


@pytest.mark.parametrize(
    "options, what",
    [
        (["--picture", "x.png"], "must end in .svg"),
        (["--picture-of", "costs"], "--picture-of needs --picture"),
        (["--picture", "x.svg", "--picture-of", "front"], "is of --search"),
        (["--picture", "x.svg", "--picture-of", "costs"], "needs a --target"),
        (["--picture", "x.svg", "--picture-of", "rank"], "rank"),
    ],
)
def test_refusals(model, options, what, tmp_path):
    options = [tmp_path / o if o.startswith("x.") else o for o in options]
    done = run("plan", model, *options)
    assert done.returncode == 2 and what in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())
