"""Import of recurrent .tflite models: answers against LiteRT and PyTorch, and
what is refused."""

import flatbuffers
import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from fieldtune_cli import run
from recurrent_models import LstmWeights, hybrid, lstm_forward, lstm_model
from tflite_models import (
    Tensor,
    make_reference,
    run_fieldtune,
    run_interpreter,
    single_op_model,
)

TIME, INPUTS, HIDDEN, SAMPLES = 9, 5, 7, 4
torch.set_num_threads(1)


def samples(seed, inputs=INPUTS):
    rng = np.random.default_rng(seed)
    return rng.normal(size=[SAMPLES, TIME, inputs]).astype(np.float32)


def run_litert(model, x):
    """One run a sample, each from zero states."""
    out = []
    for sample in x:
        interpreter = make_reference(model)
        out.append(run_interpreter(interpreter, [sample[None]])[0])
    return np.concatenate(out)


def run_torch(lstm, x, **settings):
    values = [torch.tensor(v) for v in (x, lstm.w, lstm.r, lstm.b)]
    return lstm_forward(*values, **settings).numpy()


def assert_close(got, want):
    np.testing.assert_allclose(got.reshape(want.shape), want, 1e-5, 1e-5)


@pytest.mark.parametrize("gates", [4, 3])
@pytest.mark.parametrize(
    "settings",
    [{}, {"timeMajor": True}, {"cellClip": 0.4}, {"projClip": 0.1}],
    ids=lambda s: "-".join(s) or "plain",
)
def test_lstm_equals_litert_and_torch(tmp_path, gates, settings):
    lstm = LstmWeights.random(np.random.default_rng(1), INPUTS, HIDDEN, gates)
    model, x = lstm_model(lstm, TIME, **settings), samples(2)
    got = run_fieldtune(model, x, tmp_path)
    assert_close(got, run_litert(model, x))
    clip = settings.get("cellClip", 0.0)
    assert_close(got, run_torch(lstm, x, cell_clip=clip))


def test_lstm_equals_the_layer_of_torch(tmp_path):
    torch.manual_seed(3)
    layer = torch.nn.LSTM(INPUTS, 16, batch_first=True)
    x = samples(4)
    got = run_fieldtune(lstm_model(LstmWeights.of(layer), TIME), x, tmp_path)
    with torch.no_grad():
        assert_close(got, layer(torch.tensor(x))[0].numpy())


def test_hybrid_weights_are_used_dequantized(tmp_path):
    """LiteRT quantizes activations on the fly as well, so it is no oracle."""
    lstm = LstmWeights.random(np.random.default_rng(5), INPUTS, HIDDEN)
    model, x = lstm_model(lstm, TIME, as_hybrid=True), samples(6)
    rows = lambda m: np.concatenate([hybrid(g)[2] for g in np.split(m, 4)])
    real = LstmWeights(rows(lstm.w), rows(lstm.r), lstm.b)
    assert_close(run_fieldtune(model, x, tmp_path), run_torch(real, x))


def packed(model):
    builder = flatbuffers.Builder(1 << 14)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def edited(change):
    """A model whose one operator `change(operator, tensors)` has altered."""
    lstm = LstmWeights.random(np.random.default_rng(7), INPUTS, HIDDEN)
    model = schema.ModelT.InitFromPackedBuf(lstm_model(lstm, TIME), 0)
    graph = model.subgraphs[0]
    operator = graph.operators[0]
    operator.inputs = list(operator.inputs)
    change(operator, graph.tensors)
    return packed(model)


def point(operand, at):
    def change(operator, tensors):
        operator.inputs[operand] = operator.inputs[at] if at >= 0 else -1

    return change


def activation(operator, tensors):
    operator.builtinOptions.fusedActivationFunction = 1


def diagonal(operator, tensors):
    operator.builtinOptions.diagonalRecurrentTensors = True


def no_variable(operator, tensors):
    tensors[operator.inputs[18]].isVariable = False


@pytest.mark.parametrize(
    "change, sentence",
    [
        (point(9, 12), "peephole weights are not supported"),
        (point(16, 5), "a projection is not supported"),
        (point(20, 12), "layer normalization is not supported"),
        (point(12, -1), "the tensors of the input gate are incomplete"),
        (point(6, 12), "needs the shape of"),
        (activation, "only the activation TANH is supported"),
        (diagonal, "diagonal recurrent weights are not supported"),
        (no_variable, "must be a variable that starts at zero"),
    ],
    ids=lambda v: v.replace(" ", "_") if isinstance(v, str) else v.__name__,
)
def test_what_cannot_be_honoured_is_refused(tmp_path, change, sentence):
    path = tmp_path / "model.tflite"
    path.write_bytes(edited(change))
    done = run("inspect", path)
    assert done.returncode == 3
    assert sentence in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("act", ["NONE", "RELU", "RELU6"])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("rank", [1, 2])
def test_svdf_equals_litert(tmp_path, rank, has_bias, act):
    rng = np.random.default_rng(19)
    units, memory = 6, 4
    draw = lambda *shape: Tensor(
        list(shape), data=rng.normal(size=shape).astype(np.float32)
    )
    options = schema.SVDFOptionsT()
    options.rank = rank
    options.fusedActivationFunction = getattr(
        schema.ActivationFunctionType, act
    )
    filters = units * rank
    operands = [Tensor([1, INPUTS]), draw(filters, INPUTS)]
    operands += [draw(filters, memory), draw(units) if has_bias else None]
    operands += [Tensor([1, memory * filters], is_variable=True)]
    model = single_op_model("SVDF", operands, [Tensor([1, units])], options)
    x = samples(20)[:, 0]
    assert_close(run_fieldtune(model, x, tmp_path), run_litert(model, x))


def test_a_loop_is_refused_with_the_way_out(tmp_path):
    model = schema.ModelT.InitFromPackedBuf(edited(lambda *_: None), 0)
    loop = schema.OperatorCodeT()
    loop.builtinCode = loop.deprecatedBuiltinCode = (
        schema.BuiltinOperator.WHILE
    )
    model.operatorCodes.append(loop)
    path = tmp_path / "model.tflite"
    path.write_bytes(packed(model))
    done = run("inspect", path)
    assert done.returncode == 3
    assert "WHILE" in done.stderr and "unroll=True" in done.stderr
