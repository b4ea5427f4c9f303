"""Fake quantization, its gradients and its ranges against PyTorch.

The kernels are C99 behind a C ABI, so they are compiled here into a shared
library and called as they are.
"""

import ctypes
import subprocess

import numpy as np
import pytest
import torch
from fieldtune_cli import ROOT
from torch.ao.quantization.observer import (
    MinMaxObserver,
    PerChannelMinMaxObserver,
)

LEARNABLE = torch._fake_quantize_learnable_per_tensor_affine
LEARNABLE_PER_CHANNEL = torch._fake_quantize_learnable_per_channel_affine


class Params(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in
                ("count", "row", "block", "groups", "qmin", "qmax",
                 "symmetric")] + [("grad_scale", ctypes.c_float)]  # fmt: skip


class Args(ctypes.Structure):
    _fields_ = [("in_", ctypes.POINTER(ctypes.c_void_p)),
                ("aux", ctypes.c_void_p),
                ("out", ctypes.POINTER(ctypes.c_void_p)),
                ("scratch", ctypes.c_void_p)]  # fmt: skip


def pointers(arrays):
    items = [None if a is None else a.ctypes.data for a in arrays]
    return (ctypes.c_void_p * len(items))(*items)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory):
    path = tmp_path_factory.mktemp("kernels") / "libfake_quantize.so"
    sources = [ROOT / "src/kernels/fake_quantize/fake_quantize_f32_c99.c",
               *sorted((ROOT / "src/kernels/math").glob("*.c"))]  # fmt: skip
    subprocess.run(
        ["cc", "-std=c99", "-O1", "-ffp-contract=off", "-fPIC", "-shared",
         f"-I{ROOT / 'src'}", "-o", path, *sources, "-lm"],
        check=True)  # fmt: skip
    library = ctypes.CDLL(str(path))

    def call(op, params, inputs, outputs):
        function = getattr(library, f"ft_{op}_f32_c99")
        args = Args(pointers(inputs), None, pointers(outputs), None)
        function(ctypes.byref(params), ctypes.byref(args))
        return outputs

    return call


def layout(shape, axis=None):
    """row, block and groups of a tensor: whole, or by the channels of an axis."""
    count = int(np.prod(shape))
    if axis is None:
        return count, count, 1
    inner = int(np.prod(shape[axis + 1 :]))
    return inner, inner, shape[axis]


def params_of(shape, axis, qmin, qmax, symmetric, grad_scale=1.0):
    row, block, groups = layout(shape, axis)
    return Params(int(np.prod(shape)), row, block, groups, qmin, qmax,
                  int(symmetric), grad_scale)  # fmt: skip


def rounding_ties(x, scale):
    """Where x / scale and x * (1 / scale) may round to different integers."""
    v = x.astype(np.float64) / scale
    return np.abs(np.abs(v - np.floor(v)) - 0.5) < 1e-4


CASES = [(bits, symmetric, axis)
         for bits in (2, 3, 4, 8) for symmetric in (True, False)
         for axis in (None, 0, 1)]  # fmt: skip


@pytest.mark.parametrize("bits,symmetric,axis", CASES)
def test_values_and_learned_gradients(kernels, bits, symmetric, axis):
    rng = np.random.default_rng(bits * 10 + symmetric)
    shape = (6, 5, 70)
    qmax = 2 ** (bits - 1) - 1
    qmin = -qmax if symmetric else -(2 ** (bits - 1))
    groups = layout(shape, axis)[2]
    x = rng.normal(0.1, 1, shape).astype(np.float32)
    dy = rng.normal(0, 1, shape).astype(np.float32)
    # Small enough that some values saturate on both sides.
    scale = (rng.uniform(0.7, 1.3, groups) / qmax).astype(np.float32)
    # PyTorch's backward pass rounds negative zero points the other way.
    zero = rng.uniform(0, qmax / 3, groups).astype(np.float32)
    if symmetric:
        zero[:] = 0
    factor = 1 / np.sqrt(x.size / groups * qmax)
    p = params_of(shape, axis, qmin, qmax, symmetric, factor)
    given = None if symmetric else zero

    tensors = [torch.tensor(a, requires_grad=True) for a in (x, scale, zero)]
    if axis is None:
        y = LEARNABLE(*tensors, qmin, qmax, factor)
    else:
        y = LEARNABLE_PER_CHANNEL(*tensors, axis, qmin, qmax, factor)
    y.backward(torch.tensor(dy))

    ours, = kernels("fake_quantize", p, [x, scale, given], [np.empty_like(x)])
    per_value = scale if axis is None else scale.reshape(
        [-1 if d == axis else 1 for d in range(3)])  # fmt: skip
    sure = ~rounding_ties(x, per_value)
    assert sure.mean() > 0.99
    np.testing.assert_allclose(ours[sure], y.detach().numpy()[sure], rtol=1e-6)
    dx, = kernels("fake_quantize_grad", p, [dy, x, scale, given],
                  [np.empty_like(x)])  # fmt: skip
    np.testing.assert_array_equal(dx[sure], tensors[0].grad.numpy()[sure])
    steps = [np.empty_like(scale), np.empty_like(scale)]
    kernels("fake_quantize_step_grad", p, [dy, x, scale, given],
            steps[: 1 if symmetric else 2])  # fmt: skip
    wanted = [tensors[1].grad.numpy()] + ([] if symmetric
                                          else [tensors[2].grad.numpy()])
    for got, want in zip(steps, wanted, strict=False):
        most = np.abs(want).max()
        np.testing.assert_allclose(got, want, atol=1e-4 * max(most, 1e-3))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("axis", [None, 0])
def test_ranges_as_the_observers_have_them(kernels, symmetric, axis):
    rng = np.random.default_rng(5)
    x = rng.normal(0.3, 1, (7, 33)).astype(np.float32)
    x[3] = np.abs(x[3])
    qmin, qmax = (-127, 127) if symmetric else (-128, 127)
    schemes = {(None, True): torch.per_tensor_symmetric,
               (None, False): torch.per_tensor_affine,
               (0, True): torch.per_channel_symmetric,
               (0, False): torch.per_channel_affine}  # fmt: skip
    settings = dict(dtype=torch.qint8, qscheme=schemes[axis, symmetric],
                    quant_min=qmin, quant_max=qmax, eps=1e-12)  # fmt: skip
    observer = (MinMaxObserver(**settings) if axis is None
                else PerChannelMinMaxObserver(ch_axis=0, **settings))
    observer(torch.tensor(x))
    scale, zero = (a.numpy().reshape(-1) for a in
                   observer.calculate_qparams())  # fmt: skip
    p = params_of(x.shape, axis, qmin, qmax, symmetric)
    ours = [np.empty(p.groups, np.float32) for _ in range(2)]
    kernels("minmax_quantizer", p, [x, None, None], ours)
    # Ours are rounded up by 2^-15 at most, so that products with integers are exact.
    assert np.all(ours[0] >= scale * (1 - 1e-6))
    np.testing.assert_allclose(ours[0], scale, rtol=3.1e-5)
    if not symmetric:
        np.testing.assert_array_equal(np.rint(ours[1]), zero)


@pytest.mark.parametrize("name,torch_dtype", [(0, torch.float16),
                                              (1, torch.bfloat16)])
def test_sixteen_bit_floats(kernels, name, torch_dtype):
    class Round(ctypes.Structure):
        _fields_ = [("count", ctypes.c_int32), ("format", ctypes.c_int32)]

    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**32, 200_000, dtype=np.uint64).astype(np.uint32)
    x = np.concatenate([bits.view(np.float32),
                        rng.normal(0, 1e-6, 20_000).astype(np.float32),
                        np.float32([0, -0.0, 65504, 65519.9, 6e-8, 3e-8])])
    x = np.ascontiguousarray(x[np.isfinite(x)], np.float32)
    y, = kernels("round_float", Round(x.size, name), [x], [np.empty_like(x)])
    # PyTorch's infinities are the largest finite number here.
    limits = torch.finfo(torch_dtype)
    with np.errstate(over="ignore"):
        want = torch.tensor(x).to(torch_dtype).float()
    want = want.clamp(limits.min, limits.max).numpy()
    np.testing.assert_array_equal(y.view(np.uint32), want.view(np.uint32))
