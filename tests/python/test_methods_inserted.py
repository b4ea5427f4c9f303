"""Methods that insert something against PyTorch modules: outputs with the same
weights, and gradients by one SGD step, on a conv net and an MLP.

The `adapters` package of AdapterHub pins another transformers than the rest of
the oracles, so its bottleneck adapter is restated here: up(f(down(x))) times
`scaling`, added to what the layer gives (`BnConfig`, houlsby and pfeiffer) or,
for the parallel one, computed from what the layer reads.
"""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fieldtune_cli import MODELS, module_names, run, run_json
from small_models import conv_net, mlp
from test_lora_torch import (
    BAR,
    GRADIENT_LR,
    SGD,
    torch_gradients,
    train,
    worst_error,
    write_adapter,
)
from torch_tflite import Net, convolve

# transformers.activations.ACT2FN and AdapterHub's own "leakyrelu".
ACTIVATIONS = {
    "relu": F.relu,
    "relu6": F.relu6,
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "swish": F.silu,
    "leakyrelu": F.leaky_relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "linear": lambda x: x,
}
SUM = "ADD"  # a site: behind the residual sum


def project(x, w, b):
    """A 1x1 convolution or a dense layer."""
    return F.conv2d(x, w, b) if w.dim() == 4 else F.linear(x, w, b)


class BottleneckNet(Net):
    """`sites`: code of an operator or name of a module -> name of the adapter
    behind it; empty: beside every layer that has one."""

    sites, act, factor = {}, "relu", 1.0

    def delta(self, name, x, params, down):
        p = lambda key: params[f"{name}.adapter_{key}"]
        shape = [1, -1, 1, 1] if x.dim() == 4 else [1, -1]
        h = down(x, p("down.0.weight")) + p("down.0.bias").reshape(shape)
        h = ACTIVATIONS[self.act](h)
        return self.factor * project(h, p("up.weight"), p("up.bias"))

    def run_layer(self, m, x, params, scaling):
        y = super().run_layer(m, x, params, scaling)
        if self.sites or f"{m.name}.adapter_up.bias" not in params:
            return y
        dense = m.kind == "fully_connected"
        down = F.linear if dense else lambda x, w: convolve(m, x, w, *[None] * 3)[0]
        return y + self.delta(m.name, x, params, down)

    def behind(self, op, y, params):
        m = self._by_output.get(op.outputs[0])
        name = self.sites.get(m.name if m else op.code)
        if name is None or f"{name}.adapter_up.bias" not in params:
            return y
        return y + self.delta(name, y, params, lambda x, w: project(x, w, None))


def bottleneck_params(net, widths, reduction, parallel, seed=3):
    """{module: channels} -> values that are nonzero everywhere."""
    gen = torch.Generator().manual_seed(seed)
    draw = lambda shape, fan_in: torch.randn(shape, generator=gen) * fan_in**-0.5
    params = {}
    for m in net.modules:
        if m.name not in widths:
            continue
        c, image = widths[m.name], m.weight.dim() == 4
        hidden = max(1, int(c / reduction))
        down = list(m.weight.shape[1:]) if parallel else [c] + [1, 1] * image
        ones = [1, 1] * image
        tensors = {
            "down.0.weight": draw([hidden, *down], int(np.prod(down))),
            "down.0.bias": draw([hidden], 4),
            "up.weight": draw([c, hidden, *ones], hidden),
            "up.bias": draw([c], 16),
        }
        for key, value in tensors.items():
            params[f"{m.name}.adapter_{key}"] = value
    return params


def make_case(folder, model, kind):
    path = folder / f"{model}.tflite"
    path.write_bytes({"conv": conv_net, "mlp": mlp}[model]())
    net = kind(path, module_names(path))
    x = np.random.default_rng(5).normal(size=[4, *net.input_shape[1:]])
    labels = np.array([0, 1, 1, 0]) if model == "conv" else None
    return SimpleNamespace(
        path=path, net=net, x=x.astype(np.float32), labels=labels
    )


def named(net, last):
    """The full name of the module whose last part is given."""
    return next(m.name for m in net.modules if m.name.split("/")[-1] == last)


def outputs(case, folder, adapters=(), *options, x=None):
    np.save(folder / "x.npy", case.x if x is None else x)
    args = ["run", case.path, "--input", folder / "x.npy"]
    for a in adapters:
        args += ["--adapter", a]
    args += ["--output", folder / "y.npy", *options]
    run_json(*args)
    return np.load(folder / "y.npy")


def check(folder, case, method, params, own):
    """Outputs within 1e-5 and gradients within 1e-4 of PyTorch's."""
    adapter = folder / "adapter.safetensors"
    write_adapter(adapter, case, method, params, own)
    with torch.no_grad():
        want = case.net.forward(torch.tensor(case.x), params)[0].numpy()
    got = outputs(case, folder, [adapter])
    assert np.abs(got - want).max() <= 1e-5 * np.abs(want).max()
    assert np.abs(got - outputs(case, folder)).max() > 1e-3

    options = [*SGD, 0, "--lr", GRADIENT_LR]
    for key, value in own.items():
        is_list = key == "target_modules"
        options += ["--" + key.replace("_", "-")]
        options += [",".join(json.loads(value)) if is_list else value]
    after = train(folder, case, method, params, case.x, case.labels, 4, *options)
    got = {k: (params[k].double() - after[k].double()) / GRADIENT_LR for k in params}
    want = torch_gradients(case, params, case.x, case.labels)
    error, where = worst_error(got, want)
    print(method, own, f"gradient error {error:.2e} at {where}")
    assert error <= BAR, f"{where}: {error}"


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_bottleneck_equals_adapterhub_s_formula(tmp_path, act):
    """Pfeiffer, as it stands by default: behind the residual sum."""
    case = make_case(tmp_path, "conv", BottleneckNet)
    name = named(case.net, "pointwise")
    case.net.sites, case.net.act = {SUM: name}, act
    params = bottleneck_params(case.net, {name: 8}, 2, False)
    check(tmp_path, case, "bottleneck", params,
          {"reduction_factor": "2", "non_linearity": act})  # fmt: skip


@pytest.mark.parametrize("model", ["conv", "mlp"])
def test_houlsby_stands_behind_every_named_layer(tmp_path, model):
    case = make_case(tmp_path, model, BottleneckNet)
    lasts = {"conv": {"stem": 8, "depthwise": 8, "last": 6},
             "mlp": {"encoder": 10, "decoder": 10}}[model]  # fmt: skip
    widths = {named(case.net, k): c for k, c in lasts.items()}
    case.net.sites = {name: name for name in widths}
    case.net.act, case.net.factor = "swish", 0.5
    params = bottleneck_params(case.net, widths, 2, False)
    check(tmp_path, case, "bottleneck", params,
          {"variant": "houlsby", "reduction_factor": "2", "scaling": "0.5",
           "non_linearity": "swish", "target_modules": json.dumps(list(widths))})  # fmt: skip


@pytest.mark.parametrize("model", ["conv", "mlp"])
def test_parallel_is_added_where_the_layer_accumulates(tmp_path, model):
    case = make_case(tmp_path, model, BottleneckNet)
    lasts = {"conv": {"stem": 8, "last": 6}, "mlp": {"encoder": 10, "code": 5}}
    widths = {named(case.net, k): c for k, c in lasts[model].items()}
    case.net.act, case.net.factor = "gelu", 4.0
    params = bottleneck_params(case.net, widths, 2, True)
    check(tmp_path, case, "bottleneck", params,
          {"variant": "parallel", "reduction_factor": "2", "scaling": "4",
           "non_linearity": "gelu", "target_modules": json.dumps(list(widths))})  # fmt: skip


INT8_FILES = {
    "kws": "kws_ref_model.tflite",
    "ad01": "ad01_int8.tflite",
    "resnet": "pretrainedResnet_quant.tflite",
}


def at_start(params):
    """The initial adapter adds nothing."""
    return {
        k: torch.zeros_like(v) if ".adapter_up." in k else v
        for k, v in params.items()
    }


@pytest.mark.parametrize("variant", ["pfeiffer", "houlsby", "parallel"])
@pytest.mark.parametrize("model", INT8_FILES)
def test_on_an_int8_base_it_starts_as_the_base(
    tmp_path, shared, model, variant
):
    """Bit for bit; and with any other weights it is something else."""
    path = MODELS / INT8_FILES[model]
    net = BottleneckNet(path, module_names(path))
    rng = np.random.default_rng(4)
    x = rng.integers(-128, 128, [2, *net.input_shape[1:]]).astype(np.int8)
    case = SimpleNamespace(path=path, net=net, x=x)
    modules = [m for m in net.modules[:-1] if m.kind != "depthwise_conv2d"]
    widths = {m.name: m.weight.shape[0] for m in modules[-3:]}
    params = bottleneck_params(net, widths, 4, variant == "parallel")
    own = {
        "variant": variant,
        "reduction_factor": "4",
        "precision": "mixed",
        "target_modules": json.dumps(list(widths)),
    }
    base = outputs(case, tmp_path)
    adapter = tmp_path / "adapter.safetensors"
    write_adapter(adapter, case, "bottleneck", at_start(params), own)
    assert (outputs(case, tmp_path, [adapter]) == base).all()
    write_adapter(adapter, case, "bottleneck", params, own)
    assert (outputs(case, tmp_path, [adapter]) != base).any()


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--variant", "serial"], "one of: houlsby, pfeiffer, parallel"),
        (["--non-linearity", "cosine"], "one of: relu"),
        (["--reduction-factor", "0"], "from 0.0625 to 65536"),
        (["--target-modules", "attention"], "depthwise"),
        (["--rank", "4"], "has no rank"),
        (["--variant", "parallel", "--target-modules", "depthwise"],
         "not defined on"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_in_one_sentence(tmp_path, flags, said):
    path = tmp_path / "conv.tflite"
    path.write_bytes(conv_net())
    done = run("plan", path, "--method", "bottleneck", *flags)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_it_cannot_be_merged(tmp_path):
    case = make_case(tmp_path, "conv", BottleneckNet)
    name = named(case.net, "pointwise")
    params = bottleneck_params(case.net, {name: 8}, 2, False)
    adapter = tmp_path / "adapter.safetensors"
    write_adapter(adapter, case, "bottleneck", params,
                  {"reduction_factor": "2", "answer_low": "0",
                   "answer_high": "1"})  # fmt: skip
    done = run("merge", case.path, "--adapter", adapter,
               "--out", tmp_path / "merged.tflite")  # fmt: skip
    assert done.returncode == 2
    assert "cannot be merged" in done.stderr
    assert not (tmp_path / "merged.tflite").exists()
