"""Sparse fine-tuning against PyTorch: a difference at the kept entries only,
gradients of the dense weight read there, masks by magnitude and by gradient,
and bytes that grow with what is kept.
"""

import json
import math

import numpy as np
import pytest
import torch
from fieldtune_cli import MODELS, run, run_json
from safetensors.torch import load_file
from small_nets import make_net
from test_compose import Stack, relative, train

BAR, GRADIENT_BAR, LR = 1e-5, 1e-4, 100.0
DENSITY = 0.15
torch.set_num_threads(1)


def key(layer, what):
    return f"base_model.model.{layer}.sparse_{what}"


class Sparse(Stack):
    """Random values at random places of every layer."""

    def __init__(self, folder, kind, granularity):
        super().__init__(folder, kind)
        self.granularity, self.layers = granularity, self.net.names
        gen = torch.Generator().manual_seed(7)
        self.net = self.net.double()
        self.places, self.tensors = {}, {}
        for name in self.layers:
            w = getattr(self.net, name).weight
            flat = w[0].numel() if granularity == "channel" else 1
            units = w.numel() // flat
            kept = max(1, math.ceil(DENSITY * units))
            index = torch.randperm(units, generator=gen)[:kept].sort().values
            shape = [kept, *w.shape[1:]] if granularity == "channel" else [kept]
            self.places[name] = (
                index[:, None] * flat + torch.arange(flat)
            ).reshape(-1)
            self.tensors[key(name, "values")] = torch.randn(shape, generator=gen)
            self.tensors[key(name, "index")] = index.float()

    def adapter(self, **settings):
        return self.save("sparse", self.tensors, "sparse", mask="random",
                         density=str(DENSITY), granularity=self.granularity,
                         **settings)  # fmt: skip

    def adapted(self, factor=1.0):
        net = make_net("conv" if self.x.ndim == 4 else "mlp").double()
        for name, places in self.places.items():
            values = self.tensors[key(name, "values")].double().reshape(-1)
            getattr(net, name).weight.data.view(-1)[places] += factor * values
        return net


@pytest.fixture(params=["entry", "channel"])
def granularity(request):
    return request.param


@pytest.fixture(params=["conv", "mlp"])
def case(request, granularity, tmp_path):
    return Sparse(tmp_path, request.param, granularity)


def dense_gradients(net, case):
    loss = torch.nn.functional.cross_entropy(
        net(torch.tensor(case.x).double()), torch.tensor([0, 1, 1, 0])
    )
    weights = [getattr(net, n).weight for n in case.layers]
    return dict(zip(case.layers, torch.autograd.grad(loss, weights)))


def test_answers_are_those_of_the_changed_weights(case):
    want = case.answers(case.adapted())
    assert relative(case.run([]), want) > 1e-2
    assert relative(case.run([case.adapter()]), want) <= BAR
    assert relative(case.merged([case.adapter()]), want) <= BAR
    half = ["--adapter-weight", -0.5]
    want = case.answers(case.adapted(-0.5))
    assert relative(case.run([case.adapter()], *half), want) <= BAR
    assert relative(case.merged([case.adapter()], *half), want) <= BAR


@pytest.mark.parametrize("kernels", ["default", "exact"])
def test_gradients_are_autograd_s_at_what_is_kept(case, kernels):
    out = case.folder / "after.safetensors"
    options = ["--exact"] if kernels == "exact" else []
    fields = train(
        case, out, "--method", "sparse", "--granularity", case.granularity,
        "--density", DENSITY, "--init-adapter", case.adapter(), "--optimizer",
        "sgd", "--momentum", 0, "--lr", LR, *options,
    )  # fmt: skip
    after = load_file(out)
    assert fields["trainable"] == sum(
        v.numel() for k, v in after.items() if k.endswith("values")
    )
    for name, want in dense_gradients(case.adapted(), case).items():
        before = case.tensors[key(name, "values")]
        got = (before - after[key(name, "values")]).double() / LR
        want = want.reshape(-1)[case.places[name]]
        assert relative(got.reshape(-1).numpy(), want.numpy()) <= GRADIENT_BAR
        index = case.tensors[key(name, "index")]
        assert torch.equal(index, after[key(name, "index")])


@pytest.mark.parametrize("mask", ["magnitude", "gradient", "random"])
def test_masks_keep_the_largest(case, mask):
    out = case.folder / "fresh.safetensors"
    train(case, out, "--method", "sparse", "--mask", mask, "--density", DENSITY,
          "--granularity", case.granularity, "--lr", 1e-30)  # fmt: skip
    net = make_net("conv" if case.x.ndim == 4 else "mlp").double()
    scores = {n: getattr(net, n).weight.detach().abs() for n in case.layers}
    if mask == "gradient":
        scores = {k: v.abs() for k, v in dense_gradients(net, case).items()}
    fresh = load_file(out)
    for name, score in scores.items():
        score = score.flatten(1).sum(1) if case.granularity == "channel" else score
        score = score.reshape(-1)
        kept = max(1, math.ceil(DENSITY * score.numel()))
        got = fresh[key(name, "index")].long()
        assert len(set(got.tolist())) == kept
        if mask != "random":
            want = score.topk(kept).indices.sort().values
            assert torch.equal(got, want), name
    assert relative(case.run([out]), case.run([])) <= 1e-6


def test_bytes_grow_with_what_is_kept_and_not_with_the_layer(tmp_path, shared):
    """On 264,192 int8 weights."""
    model = MODELS / "ad01_int8.tflite"
    sizes = {}
    for density in (0.0025, 0.005, 0.01):
        plan = run_json("plan", model, "--method", "sparse", "--density", density)
        sizes[density] = plan["persistent_bytes"]
    full = run_json("plan", model.with_name("ad01_fp32.tflite"), "--method",
                    "full", "--precision", "f32")["persistent_bytes"]  # fmt: skip
    print(sizes, "of all values", full)
    grown = (sizes[0.01] - sizes[0.005]) / (sizes[0.005] - sizes[0.0025])
    assert 1.9 <= grown <= 2.1
    assert sizes[0.01] <= 0.0125 * full


def test_an_int8_base_starts_with_its_own_bits_and_learns(
    tmp_path, shared, granularity
):
    model = MODELS / "ad01_int8.tflite"
    x = np.random.default_rng(4).integers(-60, 60, [8, 640]).astype(np.int8)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "f.npy", x.astype(np.float32))

    def fit(out, *options):
        return run_json(
            "train", model, "--data", tmp_path / "f.npy", "--method", "sparse",
            "--density", 0.02, "--granularity", granularity, "--batch", 4,
            "--epochs", 3, "--schedule", "constant", *options, "--out", out,
        )  # fmt: skip

    def outputs(*options):
        run_json("run", model, "--input", tmp_path / "x.npy", "--output",
                 tmp_path / "y.npy", *options)  # fmt: skip
        return np.load(tmp_path / "y.npy")

    start, after = tmp_path / "0.safetensors", tmp_path / "1.safetensors"
    fit(start, "--lr", 1e-30)
    assert (outputs("--adapter", start) == outputs()).all()
    fields = fit(after, "--lr", 1e-2)
    assert fields["mse_after"] < fields["mse_before"]
    assert (outputs("--adapter", after) != outputs()).any()


def test_what_does_not_fit_is_refused_in_one_sentence(tmp_path):
    case = Sparse(tmp_path, "mlp", "entry")
    index = case.tensors[key("fc1", "index")].clone()
    for bad in (index + 500, index * 0, index + 0.5):
        case.tensors[key("fc1", "index")] = bad
        done = case.run([case.adapter()], fails=True)
        assert done.returncode == 3, done.stderr
        assert "sparse_index of 'fc1'" in done.stderr
    for options, said in [
        (["--density", 0], "from 1e-07 to 1"),
        (["--mask", "largest"], "one of: magnitude"),
        (["--mask", "gradient"], "chosen by train"),
        (["--rank", 4], "has no rank"),
    ]:
        done = run("plan", case.model, "--method", "sparse", *options)
        assert done.returncode == 2, done.stderr
        assert said in done.stderr and done.stderr.count("\n") == 1
