"""Layers of int8 weights behind float activations against LiteRT's reference
kernels, which quantize the activations while they run.

A value on the edge between two integers may fall to the other side, so the
measure is how far float activations would be from LiteRT.
"""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from tflite_models import (
    Tensor,
    run_fieldtune,
    run_reference,
    single_op_model,
)

BATCH = 3


def conv(kind, weight_shape, channels):
    options = getattr(schema, f"{kind}OptionsT")()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = 1
    options.dilationHFactor = options.dilationWFactor = 1
    if kind == "DepthwiseConv2D":
        options.depthMultiplier = 1
    return options, weight_shape, [1, 6, 5, channels]


def dense(asymmetric):
    options = schema.FullyConnectedOptionsT()
    options.asymmetricQuantizeInputs = asymmetric
    return options, [7, 20], [1, 20]


CASES = {
    "conv, one scale": ("CONV_2D", conv("Conv2D", [8, 3, 3, 4], 4), None),
    "conv": ("CONV_2D", conv("Conv2D", [8, 3, 3, 4], 4), 0),
    "depthwise": (
        "DEPTHWISE_CONV_2D",
        conv("DepthwiseConv2D", [1, 3, 3, 4], 4),
        3,
    ),
    "dense": ("FULLY_CONNECTED", dense(False), None),
    "dense, asymmetric": ("FULLY_CONNECTED", dense(True), None),
}


def layer_model(name, as_float):
    op, (options, shape, x_shape), axis = CASES[name]
    rng = np.random.default_rng(5)
    weight = rng.integers(-127, 128, shape)
    channels = shape[3] if op == "DEPTHWISE_CONV_2D" else shape[0]
    scale = 0.01 * (1 + np.arange(1 if axis is None else channels))
    along = [-1 if i == axis else 1 for i in range(len(shape))]
    if as_float:
        w = Tensor(shape, data=weight * scale.reshape(along))
    else:
        w = Tensor(shape, "int8", scale, data=weight,
                   quantized_dimension=axis or 0)  # fmt: skip
    bias = Tensor([channels], data=rng.normal(size=channels))
    out = Tensor(x_shape[:-1] + [channels])
    version = {"CONV_2D": 5, "DEPTHWISE_CONV_2D": 6, "FULLY_CONNECTED": 9}[op]
    inputs = [Tensor(x_shape), w, bias]
    return single_op_model(op, inputs, [out], options, version), x_shape


@pytest.mark.parametrize("name", CASES)
def test_activations_are_quantized_as_litert_does(name, tmp_path):
    model, shape = layer_model(name, as_float=False)
    x = np.random.default_rng(6).normal(2, 3, [BATCH] + shape[1:])
    x = x.astype(np.float32)
    want = np.concatenate([run_reference(model, [sample[None]])[0] for sample in x])
    ours = run_fieldtune(model, x, tmp_path)
    in_float = run_fieldtune(layer_model(name, as_float=True)[0], x, tmp_path)
    error = np.abs(ours - want).mean()
    unquantized = np.abs(in_float - want).mean()
    print(f"{name}: {error:.2e}, without quantization {unquantized:.2e}")
    assert unquantized > 0
    assert error <= 0.1 * unquantized
