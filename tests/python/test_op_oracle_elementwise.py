"""Element-wise ops, softmax and reductions of fieldtune against LiteRT.

int8 results must equal those of LiteRT's reference kernels bit for bit, float
ones within 1e-5. Every int8 model takes all 256 values; quantizers are drawn
from a fixed seed.
"""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import OpResolverType
from tflite_models import (
    Tensor,
    make_reference,
    run_fieldtune,
    run_interpreter,
    single_op_model,
)

ALL_INT8 = np.arange(-128, 128, dtype=np.int8)
CASES = 12


def assert_same(model, x, tmp_path, resolver=OpResolverType.BUILTIN_REF):
    """Feeds the samples of `x` one by one."""
    got = run_fieldtune(model, x, tmp_path)
    litert = make_reference(model, resolver)
    want = np.concatenate([run_interpreter(litert, [s[None]])[0] for s in x])
    assert got.dtype == want.dtype
    assert got.size == want.size
    got = got.reshape(want.shape)
    if want.dtype == np.int8:
        different = np.flatnonzero(got != want)
        assert different.size == 0, (
            f"{different.size} of {want.size} differ, first "
            f"{got.flat[different[0]]} instead of {want.flat[different[0]]}"
        )
    else:
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def quantizer(rng, low=0.002, high=0.3):
    return float(np.exp(rng.uniform(np.log(low), np.log(high)))), int(
        rng.integers(-128, 128)
    )


def int8(shape, quant, data=None):
    return Tensor(shape, "int8", quant[0], quant[1], data)


def options_of(op, act=None, **fields):
    name = {"SUM": "Reducer", "MEAN": "Reducer", "REDUCE_MAX": "Reducer"}.get(
        op, "".join(w.capitalize() for w in op.split("_"))
    )
    options = getattr(schema, name + "OptionsT")()
    if act is not None:
        options.fusedActivationFunction = getattr(
            schema.ActivationFunctionType, act
        )
    for key, value in fields.items():
        setattr(options, key, value)
    return options


BINARY = ["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE", "MAXIMUM", "MINIMUM"]
ACTS = ["NONE", "RELU", "RELU6", "RELU_N1_TO_1"]


def binary_options(op, act):
    if op in ("ADD", "SUB", "MUL", "DIV"):
        return options_of(op, act)
    if op in ("MAXIMUM", "MINIMUM"):
        return schema.MaximumMinimumOptionsT()
    return schema.SquaredDifferenceOptionsT()


@pytest.mark.parametrize("case", range(CASES))
@pytest.mark.parametrize("op", BINARY)
def test_int8_binary_of_all_pairs(op, case, tmp_path):
    """x [1, 256, 256] holds every value against every value of a constant; it
    is broadcast along the middle axis, on either side."""
    rng = np.random.default_rng([case, 7])
    qa, qb, qy = quantizer(rng), quantizer(rng), quantizer(rng)
    if op == "SQUARED_DIFFERENCE":
        qy = quantizer(rng, 0.01, 1)
    if op in ("MAXIMUM", "MINIMUM"):
        qb = qy = qa
    x = int8([1, 256, 256], qa)
    constant = int8([1, 256], qb, ALL_INT8[None])
    inputs = [x, constant] if case % 2 == 0 else [constant, x]
    model = single_op_model(
        op,
        inputs,
        [int8([1, 256, 256], qy)],
        binary_options(op, ACTS[case % 4]),
    )
    grid = np.repeat(ALL_INT8[:, None], 256, axis=1)[None]
    assert_same(model, grid, tmp_path)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("op", [*BINARY, "DIV"])
def test_float_binary_broadcasts(op, act, tmp_path):
    rng = np.random.default_rng(3)
    b = rng.uniform(0.5, 2, (3, 1, 5)).astype(np.float32)
    model = single_op_model(
        op,
        [Tensor([1, 1, 4, 5]), Tensor([3, 1, 5], data=b)],
        [Tensor([1, 3, 4, 5])],
        binary_options(op, act),
    )
    x = rng.normal(size=(6, 1, 4, 5)).astype(np.float32) * 3
    assert_same(model, x, tmp_path)


def unary_options(op, rng):
    if op == "LEAKY_RELU":
        return options_of(op, alpha=float(rng.uniform(0, 1)))
    if op == "GELU":
        return options_of(op, approximate=bool(rng.integers(2)))
    without = ("LOGISTIC", "TANH", "ELU", "LOG", "SQRT", "RSQRT")
    if op.startswith("RELU") or op in without:
        return None
    return options_of(op)


def resolver_of(op):
    """LiteRT's reference resolver does not know ELU, and its int8 SUM never
    sets the requantization multiplier (ai-edge-litert 2.1.6): there the
    default kernels, without delegates, are the oracle."""
    if op in ("ELU", "SUM"):
        return OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    return OpResolverType.BUILTIN_REF


INT8_UNARY = [
    "RELU",
    "RELU6",
    "RELU_N1_TO_1",
    "LEAKY_RELU",
    "HARD_SWISH",
    "LOGISTIC",
    "TANH",
    "GELU",
    "ELU",
    "EXP",
    "ABS",
]


@pytest.mark.parametrize("case", range(CASES))
@pytest.mark.parametrize("op", INT8_UNARY)
def test_int8_unary_of_all_values(op, case, tmp_path):
    rng = np.random.default_rng([case, 11])
    qx, qy = quantizer(rng, 0.01, 0.2), quantizer(rng, 0.01, 0.2)
    if op == "LOGISTIC":
        qy = (1 / 256, -128)
    if op == "TANH":
        qy = (1 / 128, 0)
    if op == "HARD_SWISH":
        qy = (max(qy[0], qx[0]), qy[1])
    if op == "ABS":
        qx = (qx[0], 0)
    if op == "EXP":
        qy = (float(np.exp(127 * qx[0]) / 255), -128)
    model = single_op_model(
        op,
        [int8([1, 256], qx)],
        [int8([1, 256], qy)],
        unary_options(op, rng),
    )
    assert_same(model, ALL_INT8[None], tmp_path, resolver_of(op))


FLOAT_UNARY = [
    *INT8_UNARY,
    "LOG",
    "SQRT",
    "RSQRT",
    "SQUARE",
    "NEG",
]


@pytest.mark.parametrize("op", FLOAT_UNARY)
def test_float_unary(op, tmp_path):
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4, 333)).astype(np.float32) * 4
    if op in ("LOG", "SQRT", "RSQRT"):
        x = np.abs(x) + np.float32(0.01)
    shape = [1, 333]
    model = single_op_model(
        op, [Tensor(shape)], [Tensor(shape)], unary_options(op, rng)
    )
    assert_same(model, x, tmp_path, resolver_of(op))


@pytest.mark.parametrize("case", range(CASES))
@pytest.mark.parametrize("op", ["SOFTMAX", "LOG_SOFTMAX"])
def test_int8_softmax(op, case, tmp_path):
    """LiteRT aborts where the sum of exponentials reaches 512."""
    rng = np.random.default_rng([case, 13])
    cols = [2, 3, 10, 12, 100, 400][case % 6]
    qx = quantizer(rng, 0.005, 1.0)
    qy = (1 / 256, -128) if op == "SOFTMAX" else (1 / 16, 127)
    options = options_of(op)
    if op == "SOFTMAX":
        options.beta = [1.0, 0.5, 2.0][case % 3]
    model = single_op_model(
        op, [int8([1, cols], qx)], [int8([1, cols], qy)], options
    )
    spread = rng.integers(1, 129, (200, 1))
    x = np.clip(rng.normal(size=(200, cols)) * spread, -128, 127)
    assert_same(model, x.astype(np.int8), tmp_path)


@pytest.mark.parametrize("op", ["SOFTMAX", "LOG_SOFTMAX"])
def test_float_softmax(op, tmp_path):
    rng = np.random.default_rng(17)
    options = options_of(op)
    if op == "SOFTMAX":
        options.beta = 0.7
    model = single_op_model(
        op, [Tensor([1, 3, 37])], [Tensor([1, 3, 37])], options
    )
    x = rng.normal(size=(9, 3, 37)).astype(np.float32) * 10
    assert_same(model, x, tmp_path)


AXES = [[1, 2], [1], [3], [2, 3], [1, 2, 3], [1, 3]]


def reduce_model(op, shape, axes, keep, qx=None, qy=None):
    kept = [1 if i in axes else d for i, d in enumerate(shape)]
    out = kept if keep else [d for i, d in enumerate(shape) if i not in axes]
    axis = Tensor([len(axes)], "int32", data=np.int32(axes))
    if qx is None:
        x, y = Tensor(shape), Tensor(out)
    else:
        x, y = int8(shape, qx), int8(out, qy)
    return single_op_model(op, [x, axis], [y], options_of(op, keepDims=keep))


@pytest.mark.parametrize("case", range(CASES))
@pytest.mark.parametrize("op", ["MEAN", "SUM", "REDUCE_MAX"])
def test_int8_reduce(op, case, tmp_path):
    rng = np.random.default_rng([case, 19])
    qx, qy = quantizer(rng), quantizer(rng)
    axes = AXES[case % len(AXES)]
    shape = [1, 5, 7, 16]
    if op == "SUM":
        qy = (qx[0] * float(rng.uniform(2, 40)), qy[1])
    if op == "REDUCE_MAX" or (op == "MEAN" and case % 4 == 0):
        qy = qx
    model = reduce_model(op, shape, axes, bool(case % 2), qx, qy)
    x = rng.integers(-128, 128, (60, *shape[1:])).astype(np.int8)
    assert_same(model, x, tmp_path, resolver_of(op))


@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("op", ["MEAN", "SUM", "REDUCE_MAX"])
def test_float_reduce(op, axes, tmp_path):
    rng = np.random.default_rng(23)
    model = reduce_model(op, [1, 5, 7, 16], axes, False)
    x = rng.normal(size=(3, 5, 7, 16)).astype(np.float32)
    assert_same(model, x, tmp_path)
