"""Recurrent .tflite models, and the same arithmetic in PyTorch.

    lstm = LstmWeights.random(rng, inputs=5, hidden=7)
    model = lstm_model(lstm, time=9)

Weights have PyTorch's layout and gate order (i, f, g, o), which is the order of
TensorFlow Lite's operands too. A coupled LSTM (no input gate) has three gates.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from ai_edge_litert import schema_py_generated as schema
from tflite_chain import Chain
from tflite_models import Tensor

GATES = "input forget cell output".split()


@dataclass
class LstmWeights:
    w: np.ndarray  # [gates * hidden, inputs]
    r: np.ndarray  # [gates * hidden, hidden]
    b: np.ndarray  # [gates * hidden]

    @staticmethod
    def random(rng, inputs, hidden, gates=4, scale=0.5):
        draw = lambda *shape: rng.normal(0, scale, shape).astype(np.float32)
        return LstmWeights(
            draw(gates * hidden, inputs),
            draw(gates * hidden, hidden),
            draw(gates * hidden),
        )

    @staticmethod
    def of(layer):
        """Of a torch.nn.LSTM with one layer."""
        value = lambda p: p.detach().numpy().copy()
        return LstmWeights(
            value(layer.weight_ih_l0),
            value(layer.weight_hh_l0),
            value(layer.bias_ih_l0) + value(layer.bias_hh_l0),
        )

    @property
    def hidden(self):
        return self.r.shape[1]

    @property
    def gates(self):
        return GATES[4 - len(self.b) // self.hidden :]


def lstm_forward(x, w, r, b, cell_clip=0.0):
    """x: [batch, time, inputs] -> [batch, time, hidden]; tensors of PyTorch."""
    hidden = r.shape[1]
    coupled = len(r) == 3 * hidden
    h = c = x.new_zeros(x.shape[0], hidden)
    out = []
    for t in range(x.shape[1]):
        a = (F.linear(x[:, t], w, b) + F.linear(h, r)).split(hidden, 1)
        f, g, o = torch.sigmoid(a[-3]), torch.tanh(a[-2]), torch.sigmoid(a[-1])
        i = 1 - f if coupled else torch.sigmoid(a[0])
        c = f * c + i * g
        if cell_clip > 0:
            c = c.clamp(-cell_clip, cell_clip)
        h = o * torch.tanh(c)
        out.append(h)
    return torch.stack(out, 1)


def hybrid(weight):
    """The weight as int8 with one scale, and its real values."""
    scale = np.float32(np.abs(weight).max() / 127)
    q = np.round(weight / scale).astype(np.int8)
    return q, scale, (q * scale).astype(np.float32)


class FloatChain(Chain):
    """Layers of a float model. Shapes are of one sample with its batch axis."""

    def ints(self, values):
        values = np.array(values, np.int32)
        return Tensor(list(values.shape), "int32", data=values)

    def reshape(self, shape):
        options = schema.ReshapeOptionsT()
        options.newShape = np.array(shape, np.int32)
        return self.append(
            "RESHAPE", [self.last, self.ints(shape)], Tensor(shape), options
        )

    def transpose(self, perm, shape):
        return self.append(
            "TRANSPOSE",
            [self.last, self.ints(perm)],
            Tensor(shape),
            schema.TransposeOptionsT(),
        )

    def lstm(self, weights, shape, name="lstm", as_hybrid=False, **settings):
        """`shape` of the output: [1, time, hidden], or [time, 1, hidden] with
        timeMajor. Weights as int8 with a scale of their own if `as_hybrid`."""
        n = weights.hidden

        def parts(matrix, what):
            out = {}
            for i, gate in enumerate(weights.gates):
                data = matrix[i * n : (i + 1) * n]
                where = f"{name}/{gate}_{what}"
                out[gate] = Tensor(list(data.shape), data=data, name=where)
                if as_hybrid and data.ndim == 2:
                    q, scale, _ = hybrid(data)
                    out[gate] = Tensor(
                        list(q.shape), "int8", scale, data=q, name=where
                    )
            return [out.get(gate) for gate in GATES]

        batch = shape[1 if settings.get("timeMajor") else 0]
        state = lambda: Tensor([batch, n], is_variable=True)
        operands = [self.last, *parts(weights.w, "weights")]
        operands += [*parts(weights.r, "recurrent"), None, None, None]
        operands += [*parts(weights.b, "bias"), None, None, state(), state()]
        operands += [None] * 4
        options = schema.UnidirectionalSequenceLSTMOptionsT()
        options.fusedActivationFunction = schema.ActivationFunctionType.TANH
        for key, value in settings.items():
            setattr(options, key, value)
        return self.append(
            "UNIDIRECTIONAL_SEQUENCE_LSTM",
            operands,
            Tensor(shape, name=f"{name}/output"),
            options,
        )

    def last_step(self, time, hidden):
        """[1, time, hidden] -> [1, hidden]; any batch passes."""
        options = schema.StridedSliceOptionsT()
        options.beginMask = options.endMask = 0b101
        options.shrinkAxisMask = 0b010
        operands = [self.last, self.ints([0, time - 1, 0])]
        operands += [self.ints([0, time, 0]), self.ints([1, 1, 1])]
        return self.append(
            "STRIDED_SLICE", operands, Tensor([1, hidden]), options
        )

    def dense(self, weight, bias, name="classifier"):
        n, k = weight.shape
        operands = [
            self.last,
            Tensor([n, k], data=weight, name=f"{name}/MatMul"),
            Tensor([n], data=bias, name=f"{name}/bias"),
        ]
        return self.append(
            "FULLY_CONNECTED",
            operands,
            Tensor([1, n], name=f"{name}/BiasAdd"),
            schema.FullyConnectedOptionsT(),
        )

    def softmax(self, classes):
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        return self.append(
            "SOFTMAX", [self.last], Tensor([1, classes]), options
        )


def lstm_model(weights, time, as_hybrid=False, **settings):
    """[1, time, inputs] -> [1, time, hidden]; between transposes if
    timeMajor."""
    inputs, n = weights.w.shape[1], weights.hidden
    chain = FloatChain("lstm", Tensor([1, time, inputs], name="x"))
    shape = [1, time, n]
    if settings.get("timeMajor"):
        chain.transpose([1, 0, 2], [time, 1, inputs])
        shape = [time, 1, n]
    chain.lstm(weights, shape, as_hybrid=as_hybrid, **settings)
    if settings.get("timeMajor"):
        chain.transpose([1, 0, 2], [1, time, n])
    return chain.finish("made by a test")


def classifier_model(lstm, weight, bias, time, as_hybrid=False):
    """LSTM, its last step, a dense layer and softmax: [1, time, inputs] ->
    [1, classes]."""
    chain = FloatChain("recurrent", Tensor([1, time, lstm.w.shape[1]], name="x"))
    chain.lstm(lstm, [1, time, lstm.hidden], as_hybrid=as_hybrid)
    chain.last_step(time, lstm.hidden)
    chain.dense(weight, bias)
    chain.softmax(len(bias))
    return chain.finish("made by a test")


def gru_model(layer, weight, bias, time):
    """A torch.nn.GRU as converters unroll it, a dense layer and softmax:
    [1, time, inputs] -> [1, classes]."""
    value = lambda p: p.detach().numpy().copy()
    n, inputs = layer.hidden_size, layer.input_size
    chain = FloatChain("gru", Tensor([1, time, inputs], name="x"))
    constant = lambda data, name: chain.add(
        Tensor(list(data.shape), data=data, name=name)
    )
    w = constant(value(layer.weight_ih_l0), "gru/input/MatMul")
    r = constant(value(layer.weight_hh_l0), "gru/recurrent/MatMul")
    w_bias = constant(value(layer.bias_ih_l0), "gru/input/bias")
    r_bias = constant(value(layer.bias_hh_l0), "gru/recurrent/bias")
    axis = chain.add(Tensor([], "int32", data=np.array(1, np.int32)))
    h = constant(np.zeros([1, n], np.float32), "gru/zeros")
    unpack = schema.UnpackOptionsT()
    unpack.num, unpack.axis = time, 1
    steps = chain.append_all(
        "UNPACK", [chain.last], [Tensor([1, inputs])] * time, unpack
    )

    def dense(x, weights, biases):
        options = schema.FullyConnectedOptionsT()
        out = chain.append(
            "FULLY_CONNECTED", [x, weights, biases], Tensor([1, 3 * n]), options
        )
        options = schema.SplitOptionsT()
        options.numSplits = 3
        return chain.append_all(
            "SPLIT", [axis, out], [Tensor([1, n])] * 3, options
        )

    def both(op, a, b):
        options = getattr(schema, op.capitalize() + "OptionsT")()
        return chain.append(op, [a, b], Tensor([1, n]), options)

    squash = lambda op, a: chain.append(op, [a], Tensor([1, n]))
    for x in steps:
        (xr, xz, xn), (hr, hz, hn) = dense(x, w, w_bias), dense(h, r, r_bias)
        reset = squash("LOGISTIC", both("ADD", xr, hr))
        update = squash("LOGISTIC", both("ADD", xz, hz))
        new = squash("TANH", both("ADD", xn, both("MUL", reset, hn)))
        h = both("ADD", new, both("MUL", update, both("SUB", h, new)))
    chain.dense(weight, bias)
    chain.softmax(len(bias))
    return chain.finish("made by a test")
