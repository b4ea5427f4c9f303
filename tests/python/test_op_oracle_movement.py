"""Pooling, quantization and the ops that move elements, against LiteRT.

int8 results must equal those of LiteRT's reference kernels bit for bit, float
ones within 1e-5; moved elements are equal in either dtype. Shapes and
quantizers are drawn from fixed seeds.
"""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from test_op_oracle_elementwise import (
    ACTS,
    ALL_INT8,
    assert_same,
    int8,
    options_of,
    quantizer,
)
from tflite_models import Tensor, single_op_model

DTYPES = ["float32", "int8"]
CASES = 8
SAMPLES = 5


def tensor(dtype, shape, quant=(0.05, 3), data=None):
    if dtype == "int8":
        return int8(shape, quant, data)
    return Tensor(shape, dtype, data=data)


def samples(rng, dtype, shape):
    """A few samples of one input whose batch is 1."""
    shape = [SAMPLES, *shape[1:]]
    if dtype == "int8":
        return rng.integers(-128, 128, shape).astype(np.int8)
    return rng.normal(size=shape).astype(np.float32) * 3


def indices(values):
    values = np.array(values, np.int32)
    return Tensor(list(values.shape), "int32", data=values)


def check(
    op, dtype, x_shape, y_shape, tmp_path, constants=(), options=None, **model
):
    """`op` on one input and constants; the quantizer stays the same."""
    rng = np.random.default_rng(17)
    model = single_op_model(
        op,
        [tensor(dtype, x_shape), *constants],
        [tensor(dtype, y_shape)],
        options,
        **model,
    )
    assert_same(model, samples(rng, dtype, x_shape), tmp_path)


def pool_case(case):
    """A window and its image; the output's size by TensorFlow's rules."""
    rng = np.random.default_rng([case, 23])
    h, w, c = (int(v) for v in rng.integers([3, 3, 1], [17, 17, 9]))
    filter_h = int(rng.integers(1, h + 1))
    filter_w = int(rng.integers(1, w + 1))
    stride_h, stride_w = (int(v) for v in rng.integers(1, 4, 2))
    same = bool(case % 2)
    if same:
        out = [-(-h // stride_h), -(-w // stride_w)]
    else:
        out = [(h - filter_h) // stride_h + 1, (w - filter_w) // stride_w + 1]
    options = schema.Pool2DOptionsT()
    options.padding = int(not same)  # SAME 0, VALID 1
    options.strideH, options.strideW = stride_h, stride_w
    options.filterHeight, options.filterWidth = filter_h, filter_w
    options.fusedActivationFunction = getattr(
        schema.ActivationFunctionType, ACTS[case // 2 % 4]
    )
    return [1, h, w, c], [1, *out, c], options


@pytest.mark.parametrize("case", range(2 * CASES))
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", ["AVERAGE_POOL_2D", "MAX_POOL_2D"])
def test_pool(op, dtype, case, tmp_path):
    x_shape, y_shape, options = pool_case(case)
    rng = np.random.default_rng([case, 29])
    quant = quantizer(rng)
    model = single_op_model(
        op,
        [tensor(dtype, x_shape, quant)],
        [tensor(dtype, y_shape, quant)],
        options,
    )
    assert_same(model, samples(rng, dtype, x_shape), tmp_path)


@pytest.mark.parametrize("case", range(CASES))
def test_quantize_float(case, tmp_path):
    """Random values, all ties between two integers, and saturated ones."""
    rng = np.random.default_rng([case, 31])
    scale, zero_point = quantizer(rng)
    if case % 2 == 0:
        scale = 2.0 ** -(case % 5)  # ties are exact
    ties = (np.arange(-140, 140) + 0.5) * np.float32(scale)
    x = np.concatenate([ties, rng.normal(size=400) * 200 * scale])
    model = single_op_model(
        "QUANTIZE",
        [Tensor([1, x.size])],
        [int8([1, x.size], (scale, zero_point))],
        schema.QuantizeOptionsT(),
    )
    assert_same(model, x[None].astype(np.float32), tmp_path)


@pytest.mark.parametrize("case", range(3 * CASES))
def test_requantize(case, tmp_path):
    rng = np.random.default_rng([case, 37])
    qx, qy = quantizer(rng), quantizer(rng)
    if case % 3 == 0:
        qy = (qx[0], qy[1])
    model = single_op_model(
        "QUANTIZE",
        [int8([1, 256], qx)],
        [int8([1, 256], qy)],
        schema.QuantizeOptionsT(),
    )
    assert_same(model, ALL_INT8[None], tmp_path)


@pytest.mark.parametrize("case", range(CASES))
def test_dequantize(case, tmp_path):
    rng = np.random.default_rng([case, 41])
    model = single_op_model(
        "DEQUANTIZE",
        [int8([1, 256], quantizer(rng))],
        [Tensor([1, 256])],
        schema.DequantizeOptionsT(),
    )
    assert_same(model, ALL_INT8[None], tmp_path)


RESIZE_MODES = [(False, False), (True, False), (False, True)]


@pytest.mark.parametrize("size", [(7, 9), (3, 11), (1, 1), (2, 2), (16, 5)])
@pytest.mark.parametrize("align_corners, half_pixel", RESIZE_MODES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["BILINEAR", "NEAREST_NEIGHBOR"])
def test_resize(kind, dtype, align_corners, half_pixel, size, tmp_path):
    name = "ResizeBilinear" if kind == "BILINEAR" else "ResizeNearestNeighbor"
    options = getattr(schema, name + "OptionsT")()
    options.alignCorners = align_corners
    options.halfPixelCenters = half_pixel
    for h, w in [(5, 4), (1, 3), (8, 8)]:
        check(
            "RESIZE_" + kind,
            dtype,
            [1, h, w, 3],
            [1, *size, 3],
            tmp_path,
            [indices(size)],
            options,
        )


PADDINGS = [[0, 0], [1, 2], [3, 0], [0, 1]]


@pytest.mark.parametrize("dtype", DTYPES)
def test_pad(dtype, tmp_path):
    check(
        "PAD",
        dtype,
        [1, 4, 5, 3],
        [1, 7, 8, 4],
        tmp_path,
        [indices(PADDINGS)],
        schema.PadOptionsT(),
    )


@pytest.mark.parametrize("dtype, value", [("float32", -1.75), ("int8", 77)])
def test_pad_with_a_value(dtype, value, tmp_path):
    constant = tensor(dtype, [1], data=np.array([value], dtype))
    check(
        "PADV2",
        dtype,
        [1, 4, 5, 3],
        [1, 7, 8, 4],
        tmp_path,
        [indices(PADDINGS), constant],
        schema.PadV2OptionsT(),
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", ["REFLECT", "SYMMETRIC"])
def test_mirror_pad(mode, dtype, tmp_path):
    options = schema.MirrorPadOptionsT()
    options.mode = getattr(schema.MirrorPadMode, mode)
    check(
        "MIRROR_PAD",
        dtype,
        [1, 4, 5, 3],
        [1, 7, 8, 4],
        tmp_path,
        [indices(PADDINGS)],
        options,
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "perm", [(0, 2, 1, 3), (0, 3, 1, 2), (0, 2, 3, 1), (0, 3, 2, 1)]
)
def test_transpose(perm, dtype, tmp_path):
    shape = [1, 4, 5, 3]
    check(
        "TRANSPOSE",
        dtype,
        shape,
        [shape[i] for i in perm],
        tmp_path,
        [indices(perm)],
        schema.TransposeOptionsT(),
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_reshape(dtype, tmp_path):
    options = schema.ReshapeOptionsT()
    options.newShape = [1, 12, 5]
    check(
        "RESHAPE",
        dtype,
        [1, 4, 5, 3],
        [1, 12, 5],
        tmp_path,
        [indices([1, 12, 5])],
        options,
        version=1,
    )


@pytest.mark.parametrize("axis", [1, 2, 3, -1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_concatenation(dtype, axis, tmp_path):
    rng = np.random.default_rng(43)
    shape = [1, 4, 5, 3]
    shape[axis] = 2
    constant = tensor(
        dtype, shape, data=samples(rng, dtype, [1, *shape[1:]])[:1]
    )
    total = [1, 4, 5, 3]
    total[axis] += 2
    options = schema.ConcatenationOptionsT()
    options.axis = axis
    check(
        "CONCATENATION",
        dtype,
        [1, 4, 5, 3],
        total,
        tmp_path,
        [constant],
        options,
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_slice(dtype, tmp_path):
    check(
        "SLICE",
        dtype,
        [1, 6, 5, 3],
        [1, 3, 5, 2],
        tmp_path,
        [indices([0, 2, 0, 1]), indices([1, 3, -1, 2])],
        schema.SliceOptionsT(),
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_strided_slice(dtype, tmp_path):
    """Backwards along one axis, every second along another, one dropped."""
    options = schema.StridedSliceOptionsT()
    options.beginMask = 0b0001
    options.endMask = 0b0011
    options.shrinkAxisMask = 0b1000
    check(
        "STRIDED_SLICE",
        dtype,
        [1, 6, 7, 3],
        [1, 5, 3],
        tmp_path,
        [
            indices([0, 4, 1, 2]),
            indices([0, 0, 7, 3]),
            indices([1, -1, 2, 1]),
        ],
        options,
    )


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("dtype", DTYPES)
def test_gather(dtype, axis, tmp_path):
    options = options_of("GATHER", axis=axis)
    shape = [1, 5, 6, 2]
    picked = [[4, 0, 3], [1, 1, 2]]
    check(
        "GATHER",
        dtype,
        shape,
        [*shape[:axis], 2, 3, *shape[axis + 1 :]],
        tmp_path,
        [indices(picked)],
        options,
    )
