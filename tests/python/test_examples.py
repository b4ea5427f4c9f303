"""The examples run, and what they adapt gets better; the writer of their base
models agrees with LiteRT and with PyTorch."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import make_base_models  # noqa: E402
from conv_net import Conv, ConvNet, to_tflite  # noqa: E402
from transformer_tflite import Transformer  # noqa: E402
from transformer_tflite import to_tflite as transformer_tflite  # noqa: E402


@pytest.mark.parametrize("average", [True, False])
def test_a_net_in_pytorch_and_its_files_answer_alike(average):
    """Strides, dilation, odd and even padding, depthwise, both heads."""
    torch.manual_seed(1)
    convs = [Conv(6, (4, 3), (2, 1)), Conv(6, (3, 3), depthwise=True),
             Conv(8, (3, 1), dilation=(2, 1)), Conv(5, (1, 1))]
    net = ConvNet((10, 5, 3), convs, 4, average=average, hidden=(7,))
    x = np.random.default_rng(1).normal(size=(200, 10, 5, 3)).astype("f4")
    net.train()
    net(torch.from_numpy(x))  # statistics of the normalization
    net.eval()
    want = net(torch.from_numpy(x)).detach().numpy()
    of = lambda dtype: make_base_models.answers(
        to_tflite(net, "net", dtype, x, softmax=False), x)
    np.testing.assert_allclose(of("float32"), want, atol=1e-5)
    assert np.abs(of("int8") - want).max() < 0.06 * np.abs(want).max()


def test_a_transformer_in_pytorch_and_its_file_answer_alike():
    torch.manual_seed(2)
    net = Transformer(6, 3, outputs=4, width=8).eval()
    x = np.random.default_rng(2).normal(size=(5, 6, 3)).astype("f4")
    want = net(torch.from_numpy(x)).detach().numpy()
    answers = make_base_models.answers(transformer_tflite(net, "net"), x)
    np.testing.assert_allclose(answers, want, atol=1e-5)


@pytest.fixture(scope="module")
def run_example(shared, program):
    """Runs an example in its quick mode; what it printed."""
    program("fieldtune")

    def run(name, folder):
        command = [sys.executable, ROOT / f"examples/{name}/run.py", "--quick",
                   "--out", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        picture = (folder / "result.svg").read_text()
        assert picture.startswith("<svg") and picture.endswith("</svg>\n")
        return done.stdout

    return run


def figures_of(printed, name):
    """The values of a field, in the order in which they were printed."""
    lines = [line.split() for line in printed.splitlines()]
    return [float(words[1]) for words in lines if words[:1] == [name]]


def test_an_autoencoder_learns_what_is_normal(run_example, tmp_path):
    printed = run_example("anomaly", tmp_path)
    assert figures_of(printed, "auc_adapted")[0] > (
        figures_of(printed, "auc_base")[0])


@pytest.mark.parametrize("example, task",
                         [("digits", "mnist1000"), ("bearings", "cwru")])
def test_example_adapts_its_model(run_example, tmp_path, example, task):
    make_base_models.make(task, make_base_models.FOLDER)
    base, adapted, merged = figures_of(run_example(example, tmp_path),
                                       "accuracy")
    assert adapted > base + 0.15
    assert merged > adapted - 0.03
