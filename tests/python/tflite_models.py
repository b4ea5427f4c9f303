"""Builds .tflite models of one operator and runs them with LiteRT.

    x = Tensor([1, 8], "int8", scale=0.1, zero_point=3)
    y = Tensor([1, 8], "int8", scale=1 / 256, zero_point=-128)
    model = single_op_model("SOFTMAX", [x], [y], softmax_options)
    outputs = run_reference(model, [array])

A tensor with `data` is a constant of the model, the others are its inputs, in
the order given. LiteRT runs with its reference kernels, the oracle of every
int8 kernel of fieldtune.
"""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from fieldtune_cli import BINARY

_TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "uint8": schema.TensorType.UINT8,
    "bool": schema.TensorType.BOOL,
}


@dataclass
class Tensor:
    """`scale` and `zero_point`: a number, or one for each index of
    `quantized_dimension`."""

    shape: list
    dtype: str = "float32"
    scale: object = None
    zero_point: object = 0
    data: np.ndarray = None
    quantized_dimension: int = 0
    name: str = ""
    is_variable: bool = False  # a state that an operator keeps


@dataclass
class _Writer:
    model: schema.ModelT = field(default_factory=schema.ModelT)
    graph: schema.SubGraphT = field(default_factory=schema.SubGraphT)

    def add(self, tensor, index):
        t = schema.TensorT()
        t.shape = list(tensor.shape)
        t.type = _TYPES[tensor.dtype]
        t.name = tensor.name or f"tensor_{index}"
        t.buffer = 0
        t.isVariable = tensor.is_variable
        if tensor.scale is not None:
            scale = np.atleast_1d(np.float32(tensor.scale))
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale = scale
            t.quantization.zeroPoint = np.broadcast_to(
                np.int64(tensor.zero_point), scale.shape
            ).copy()
            t.quantization.quantizedDimension = tensor.quantized_dimension
        if tensor.data is not None:
            buffer = schema.BufferT()
            data = np.ascontiguousarray(tensor.data, dtype=tensor.dtype)
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            t.buffer = len(self.model.buffers)
            self.model.buffers.append(buffer)
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1


# Operators that took int8 from their first version on.
_INT8_FROM_VERSION_1 = ("RELU_N1_TO_1", "HARD_SWISH", "ELU")


def single_op_model(op, inputs, outputs, options=None, version=None):
    """The bytes of a model with the builtin operator `op`, e.g. "ADD".

    An input of None is an optional one left out. `options`: the schema's
    options object, e.g. schema.AddOptionsT(). `version`: of the operator; by
    default 2 where a tensor is int8, else 1."""
    writer = _Writer()
    model, graph = writer.model, writer.graph
    model.version = 3
    model.buffers = [schema.BufferT()]
    graph.name = "main"
    graph.tensors = []
    operator = schema.OperatorT()
    operator.opcodeIndex = 0
    ids = [-1 if t is None else writer.add(t, i) for i, t in enumerate(inputs)]
    operator.inputs = ids
    operator.outputs = [
        writer.add(t, len(inputs) + i) for i, t in enumerate(outputs)
    ]
    if options is not None:
        operator.builtinOptions = options
        name = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    graph.operators = [operator]
    graph.inputs = [
        i for i, t in zip(ids, inputs)
        if t is not None and t.data is None and not t.is_variable
    ]
    graph.outputs = operator.outputs
    model.subgraphs = [graph]
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, op)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    if version is None:
        used = [t for t in [*inputs, *outputs] if t is not None]
        is_int8 = any(t.dtype == "int8" for t in used)
        version = 2 if is_int8 and op not in _INT8_FROM_VERSION_1 else 1
    code.version = version
    model.operatorCodes = [code]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def make_reference(model, resolver=OpResolverType.BUILTIN_REF):
    """A LiteRT interpreter of the bytes of a model, ready to run."""
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=resolver,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    return interpreter


def run_interpreter(interpreter, arrays):
    """The list of outputs for one array an input."""
    details = interpreter.get_input_details()
    for detail, array in zip(details, arrays, strict=True):
        interpreter.set_tensor(
            detail["index"], np.ascontiguousarray(array, detail["dtype"])
        )
    interpreter.invoke()
    return [
        interpreter.get_tensor(d["index"])
        for d in interpreter.get_output_details()
    ]


def run_reference(model, arrays, resolver=OpResolverType.BUILTIN_REF):
    """Runs the bytes of a model once in LiteRT; the list of its outputs."""
    return run_interpreter(make_reference(model, resolver), arrays)


def run_fieldtune(model, array, folder):
    """Runs the bytes of a model with one input through `fieldtune run`; the
    samples are along the first axis of `array`. FT_BIN names another command."""
    folder = Path(folder)
    (folder / "model.tflite").write_bytes(model)
    np.save(folder / "x.npy", array)
    command = [os.environ.get("FT_BIN", str(BINARY)), "run", str(folder / "model.tflite")]
    command += ["--input", str(folder / "x.npy")]
    command += ["--output", str(folder / "y.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "y.npy")
