"""A .tflite model as a PyTorch function, with fieldtune's adapters beside it.

The oracle of gradients: weights of any file (float, hybrid or int8) are
dequantized, the arithmetic is real, in the dtype of the input. LoRA is defined
as in src/methods/lora.cc: h = conv(x, A), y = act(conv(x, W) + b +
scaling h B^T), and for depthwise layers W + scaling (B A). Not fast (see
bench/torch_peer.py).

Parameters are a dictionary by fieldtune's keys without their prefix
('conv2d_1.lora_A.weight', 'dense.bias'); adapter files have PyTorch's layouts.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from ai_edge_litert import schema_py_generated as schema

PREFIX = "base_model.model."
_CODES = {
    value: name
    for name, value in vars(schema.BuiltinOperator).items()
    if isinstance(value, int)
}
_DTYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT32: np.int32,
}
_KINDS = {
    "CONV_2D": "conv2d",
    "DEPTHWISE_CONV_2D": "depthwise_conv2d",
    "FULLY_CONNECTED": "fully_connected",
}
_ACTIVATED = [*_KINDS, "ADD", "AVERAGE_POOL_2D"]


@dataclass
class Op:
    code: str
    inputs: list
    outputs: list
    options: object


@dataclass
class Module:
    """A linear layer; weight and bias as PyTorch has them."""

    name: str
    kind: str
    op: Op
    weight: torch.Tensor
    bias: torch.Tensor


class Net:
    """`names`: the linear layers' names in the order of the file, as
    `fieldtune inspect` gives them; default: numbers."""

    def __init__(self, path, names=None):
        model = schema.ModelT.InitFromPackedBuf(Path(path).read_bytes(), 0)
        graph = model.subgraphs[0]
        self.tensors, self.buffers = graph.tensors, model.buffers
        codes = [
            _CODES[max(c.builtinCode, c.deprecatedBuiltinCode)]
            for c in model.operatorCodes
        ]
        self.ops = [
            Op(
                codes[o.opcodeIndex],
                list(o.inputs),
                list(o.outputs),
                o.builtinOptions,
            )
            for o in graph.operators
        ]
        self.input, self.output = graph.inputs[0], graph.outputs[0]
        linear = [op for op in self.ops if op.code in _KINDS]
        if names is None:
            names = [f"layer{i}" for i in range(len(linear))]
        assert len(names) == len(linear), (names, len(linear))
        self.modules = [self._module(n, op) for n, op in zip(names, linear)]
        self._by_output = {m.op.outputs[0]: m for m in self.modules}

    def constant(self, index):
        """The tensor's values in real numbers."""
        tensor = self.tensors[index]
        data = np.frombuffer(
            bytes(self.buffers[tensor.buffer].data), _DTYPES[tensor.type]
        ).reshape(tensor.shape)
        q = tensor.quantization
        if data.dtype == np.float32 or q is None or q.scale is None:
            return data
        axis = [1] * data.ndim
        if len(q.scale) > 1:
            axis[q.quantizedDimension] = -1
        scale = np.asarray(q.scale, np.float32).reshape(axis)
        zero = np.asarray(q.zeroPoint).reshape(axis)
        return (scale * (data.astype(np.int64) - zero)).astype(np.float32)

    def _module(self, name, op):
        w = self.constant(op.inputs[1])
        layout = {"CONV_2D": (0, 3, 1, 2), "DEPTHWISE_CONV_2D": (3, 0, 1, 2)}
        if op.code in layout:
            w = w.transpose(layout[op.code])
        has_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
        b = np.zeros(w.shape[0], np.float32)
        if has_bias:
            b = self.constant(op.inputs[2])
        to_torch = lambda a: torch.tensor(np.ascontiguousarray(a))
        return Module(name, _KINDS[op.code], op, to_torch(w), to_torch(b))

    @property
    def input_shape(self):
        return list(self.tensors[self.input].shape)

    def forward(self, x, params=None, scaling=1.0):
        """x: [n, ...] as the file has it (NHWC). Returns the model's output and
        the answer of training: the logits, or the output without a softmax.

        `scaling` is a number, or one by module name. Leaves in `margins`, for
        each sample, how near any value came to the kink of a ReLU, relative to
        the largest of its layer: gradients jump there."""
        params = params or {}
        self.margins = torch.full([x.shape[0]], float("inf"))
        values = {self.input: x.permute(0, 3, 1, 2) if x.dim() == 4 else x}
        answer = None
        for op in self.ops:
            a = values[op.inputs[0]]
            if op.code in _KINDS:
                m = self._by_output[op.outputs[0]]
                s = scaling if np.isscalar(scaling) else scaling[m.name]
                y = self.run_layer(m, a, params, s)
            elif op.code == "SOFTMAX":
                answer, y = a, torch.softmax(a * op.options.beta, -1)
            elif op.code == "ADD":
                y = a + values[op.inputs[1]]
            else:
                y = _plain(op, a, self.tensors[op.outputs[0]])
            if op.code in _ACTIVATED:
                y = self._activate(y, op.options)
            values[op.outputs[0]] = self.behind(op, y, params)
        out = values[self.output]
        return out, out if answer is None else answer

    def run_layer(self, m, x, params, scaling):
        """What a linear layer gives before its activation."""
        return linear(m, x, params, scaling)

    def behind(self, op, y, params):
        """What the readers of an operator's output read."""
        return y

    def _activate(self, x, options):
        kinds = schema.ActivationFunctionType
        act = options.fusedActivationFunction
        assert act in (kinds.NONE, kinds.RELU, kinds.RELU6), act
        if act == kinds.NONE:
            return x
        size = x.detach().abs().flatten(1)
        nearest = size.min(1).values
        if act == kinds.RELU6:
            nearest = nearest.minimum((size - 6).abs().min(1).values)
        margins = nearest / size.max(1).values
        self.margins = self.margins.minimum(margins.float())
        return torch.relu(x) if act == kinds.RELU else torch.clamp(x, 0, 6)


def _plain(op, x, out):
    if op.code in ("QUANTIZE", "DEQUANTIZE"):
        return x
    if op.code == "RESHAPE":
        if x.dim() == 4:
            x = x.permute(0, 2, 3, 1)
        return x.reshape(x.shape[0], *list(out.shape)[1:])
    if op.code == "AVERAGE_POOL_2D":
        o = op.options
        window, stride = (o.filterHeight, o.filterWidth), (o.strideH, o.strideW)
        assert o.padding == schema.Padding.VALID or not any(
            same_padding(x.shape[2:], window, stride)
        )
        return F.avg_pool2d(x, window, stride)
    raise NotImplementedError(op.code)


def same_padding(size, kernel, stride, dilation=(1, 1)):
    """[left, right, top, bottom] as TensorFlow pads: the odd one goes last."""
    pads = []
    for n, k, s, d in zip(size, kernel, stride, dilation):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return [*pads[1], *pads[0]]


def linear(m, x, params, scaling):
    """Before the activation."""
    dtype = x.dtype
    w = params.get(m.name + ".weight", m.weight.to(dtype))
    b = params.get(m.name + ".bias", m.bias.to(dtype))
    lora_a = params.get(m.name + ".lora_A.weight")
    lora_b = params.get(m.name + ".lora_B.weight")
    h = None
    if m.kind == "fully_connected":
        x = x.reshape(-1, w.shape[1])
        y = F.linear(x, w)
        if lora_a is not None:
            h = F.linear(F.linear(x, lora_a), lora_b)
        y = y + b
    else:
        y, h = convolve(m, x, w, lora_a, lora_b, scaling)
        y = y + b.reshape(1, -1, 1, 1)
    return y if h is None else y + scaling * h


def conv_geometry(m):
    """(stride, dilation) of a convolution."""
    o = m.op.options
    return (o.strideH, o.strideW), (o.dilationHFactor, o.dilationWFactor)


def padded(m, x):
    """The image that the convolution reads without padding of its own."""
    if m.op.options.padding != schema.Padding.SAME:
        return x
    pads = same_padding(x.shape[2:], m.weight.shape[2:], *conv_geometry(m))
    return F.pad(x, pads)


def convolve(m, x, w, lora_a, lora_b, scaling):
    stride, dilation = conv_geometry(m)
    x = padded(m, x)
    conv = lambda weight, groups=1: F.conv2d(
        x, weight, None, stride, 0, dilation, groups
    )
    if m.kind == "depthwise_conv2d":
        if lora_a is not None:
            r = lora_a.shape[0]
            delta = lora_b.reshape(-1, r) @ lora_a.reshape(r, -1)
            w = w + scaling * delta.reshape(w.shape)
        return conv(w, x.shape[1]), None
    if lora_a is None:
        return conv(w), None
    return conv(w), F.conv2d(conv(lora_a), lora_b)


def lora_shapes(m, r):
    """Shapes of A and B in the file."""
    if m.kind == "fully_connected":
        return [r, m.weight.shape[1]], [m.weight.shape[0], r]
    return [r, *m.weight.shape[1:]], [m.weight.shape[0], r, 1, 1]


def max_rank(m):
    rows = m.weight.shape[0]
    return min(rows, m.weight.numel() // rows)


def litert_interpreter(path, reference=True, threads=1):
    # Here, so that a process that only needs PyTorch does not load LiteRT.
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    interpreter = Interpreter(
        model_path=str(path),
        num_threads=threads,
        experimental_op_resolver_type=kind,
    )
    interpreter.allocate_tensors()
    return interpreter


def run_litert(path, samples, reference=True):
    """Raw tensors in the model's own dtype, one sample a call."""
    interpreter = litert_interpreter(path, reference)
    source = interpreter.get_input_details()[0]
    target = interpreter.get_output_details()[0]
    out = []
    for sample in samples:
        interpreter.set_tensor(source["index"], sample.reshape(source["shape"]))
        interpreter.invoke()
        out.append(interpreter.get_tensor(target["index"])[0])
    return np.stack(out)
