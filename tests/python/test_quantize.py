"""`fieldtune quantize`: int8 models of float ones by the TensorFlow Lite
quantization specification, run by LiteRT and by us, on real data.
"""

import sys

import numpy as np
import pytest
from fieldtune_cli import MODELS, ROOT, run, run_json
from torch_tflite import litert_interpreter, run_litert

sys.path.insert(0, str(ROOT / "bench"))
import real_job  # noqa: E402

pytestmark = pytest.mark.usefixtures("shared")
KWS = MODELS / "kws_ref_model_float32.tflite"  # int8 weights, float activations
VWW = MODELS / "vww_96_float.tflite"


@pytest.fixture(scope="module")
def digits(tmp_path_factory, shared):
    """A float model that knows the ten digits of one speaker, and its data."""
    folder = tmp_path_factory.mktemp("digits")
    adapter, model = folder / "theo.safetensors", folder / "theo.tflite"
    data = [*real_job.data_args("theo"), "--train-per-class", 10, "--seed", 1]
    run_json("train", KWS, *data, "--new-head", "--precision", "f32",
             "--epochs", 12, "--out", adapter)  # fmt: skip
    run_json("merge", KWS, "--adapter", adapter, "--out", model)
    return model, data


@pytest.mark.parametrize("observer", ["min-max", "moving-average",
                                      "percentile", "mse"])  # fmt: skip
def test_accuracy_of_the_digits(digits, tmp_path, observer):
    model, data = digits
    out = tmp_path / "int8.tflite"
    done = run_json("quantize", model, *data, "--observer", observer,
                    "--out", out)  # fmt: skip
    print(observer, done["accuracy_f32"], done["accuracy_int8"])
    assert done["samples"] == 400 and done["calibration_samples"] == 100
    assert done["accuracy_f32"] > 0.9
    assert done["accuracy_int8"] >= done["accuracy_f32"] - 0.015
    assert done["file_bytes"] < 0.6 * done["float_file_bytes"]


def test_a_quantized_model_is_a_base_for_integer_training(digits, tmp_path):
    model, data = digits
    base, adapter = tmp_path / "int8.tflite", tmp_path / "a.safetensors"
    quantized = run_json("quantize", model, *data, "--out", base)
    for precision in ("mixed", "integer"):
        trained = run_json("train", base, *data, "--precision", precision,
                           "--epochs", 1, "--lr", 1e-3,
                           "--out", adapter)  # fmt: skip
        # What B = 0 answers is what the int8 model answers.
        assert trained["accuracy_before"] == quantized["accuracy_int8"]
        assert trained["accuracy_after"] > 0.9
    assert real_job.litert_answers(base, "theo") == (0, 500)


def calibrated(model, tmp_path, samples, *options):
    np.save(tmp_path / "x.npy", samples)
    out = tmp_path / "int8.tflite"
    done = run("quantize", model, "--data", tmp_path / "x.npy", "--out", out,
               *options)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def vww_ranges(tmp_path_factory, shared):
    """The int8 model and the range of every tensor of the float one in LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    folder = tmp_path_factory.mktemp("vww")
    x = np.random.default_rng(4).uniform(0, 1, [2, 96, 96, 3])
    x = x.astype(np.float32)
    out = calibrated(VWW, folder, x)
    interpreter = Interpreter(
        str(VWW), experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=_reference())  # fmt: skip
    interpreter.allocate_tensors()
    low, high = {}, {}
    for sample in x:
        index = interpreter.get_input_details()[0]["index"]
        interpreter.set_tensor(index, sample[None])
        interpreter.invoke()
        for t in interpreter.get_tensor_details():
            if t["dtype"] != np.float32 or not t["name"]:
                continue
            try:
                v = interpreter.get_tensor(t["index"])
            except ValueError:  # a temporary of a kernel
                continue
            i = t["index"]
            low[i] = min(low.get(i, 0), v.min())
            high[i] = max(high.get(i, 0), v.max())
    return out, low, high, {t["index"]: t
                            for t in interpreter.get_tensor_details()}


def _reference():
    from ai_edge_litert.interpreter import OpResolverType

    return OpResolverType.BUILTIN_REF


def test_quantizers_follow_the_specification(vww_ranges):
    out, low, high, float_tensors = vww_ranges
    interpreter = litert_interpreter(out)
    tensors = {t["index"]: t for t in interpreter.get_tensor_details()}
    checked = 0
    for op in interpreter._get_ops_details():
        y = tensors[op["outputs"][0]]
        scale, zero = (y["quantization_parameters"][k]
                       for k in ("scales", "zero_points"))  # fmt: skip
        assert y["dtype"] == np.int8 and len(scale) == 1
        if op["op_name"] == "SOFTMAX":
            assert scale[0] == 1 / 256 and zero[0] == -128
            continue
        if op["op_name"] in ("RESHAPE", "AVERAGE_POOL_2D"):
            x = tensors[op["inputs"][0]]["quantization_parameters"]
            assert x["scales"] == scale and x["zero_points"] == zero
            continue
        x, w, b = (tensors[i] for i in op["inputs"])
        # RESHAPE and pooling share a quantizer with what stands before them,
        # whose values hold theirs.
        i = y["index"]
        np.testing.assert_allclose(scale[0], (high[i] - low[i]) / 255, rtol=1e-5)
        depthwise = op["op_name"] == "DEPTHWISE_CONV_2D"
        axis = 3 if depthwise else 0
        q = w["quantization_parameters"]
        assert w["dtype"] == np.int8 and not np.any(q["zero_points"])
        real = float_weight(float_tensors, w["index"])
        if op["op_name"] == "FULLY_CONNECTED":
            np.testing.assert_allclose(q["scales"], [np.abs(real).max() / 127],
                                       rtol=1e-6)  # fmt: skip
        else:
            assert q["quantized_dimension"] == axis
            rest = tuple(d for d in range(4) if d != axis)
            np.testing.assert_allclose(q["scales"],
                                       np.abs(real).max(axis=rest) / 127,
                                       rtol=1e-6)  # fmt: skip
        x_scale = x["quantization_parameters"]["scales"][0]
        assert b["dtype"] == np.int32
        np.testing.assert_allclose(b["quantization_parameters"]["scales"],
                                   x_scale * q["scales"], rtol=1e-6)  # fmt: skip
        checked += 1
    assert checked == 28


def float_weight(tensors, index):
    interpreter = litert_interpreter(VWW)
    assert tensors[index]["dtype"] == np.float32
    return interpreter.get_tensor(index)


@pytest.mark.parametrize("name,count", [("ad01_fp32", 8),
                                        ("pretrainedResnet", 4),
                                        ("vww_96_float", 2)])  # fmt: skip
def test_other_models_run_alike_in_litert(tmp_path, name, count):
    model = MODELS / f"{name}.tflite"
    shape = litert_interpreter(model).get_input_details()[0]["shape"][1:]
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 1, [count, *shape]).astype(np.float32)
    if name == "pretrainedResnet":
        x *= 255
    out = calibrated(model, tmp_path, x)
    interpreter = litert_interpreter(out)
    scale, zero = interpreter.get_input_details()[0]["quantization"]
    q = np.clip(np.round(x / scale) + zero, -128, 127).astype(np.int8)
    np.save(tmp_path / "q.npy", q)
    run_json("run", out, "--input", tmp_path / "q.npy", "--output",
             tmp_path / "y.npy")  # fmt: skip
    ours = np.load(tmp_path / "y.npy").reshape(count, -1)
    theirs = run_litert(out, q).reshape(count, -1)
    np.testing.assert_array_equal(ours, theirs)
    scale, zero = interpreter.get_output_details()[0]["quantization"]
    want = run_litert(model, x).reshape(count, -1)
    error = (theirs.astype(np.float64) - zero) * scale - want
    signal = np.sqrt(np.mean(want**2))
    print(name, np.sqrt(np.mean(error**2)) / signal)
    assert np.sqrt(np.mean(error**2)) < 0.1 * signal


def test_what_cannot_be_quantized(tmp_path, digits):
    def refused(model, x, code, words, *options):
        np.save(tmp_path / "x.npy", x)
        out = tmp_path / "no.tflite"
        done = run("quantize", model, "--data", tmp_path / "x.npy",
                   "--out", out, *options)  # fmt: skip
        assert done.returncode == code, done.stderr
        assert words in done.stderr and done.stderr.count("\n") == 1
        assert not out.exists()

    x = np.random.default_rng(1).normal(0, 10, [4, 49, 10, 1])
    x = x.astype(np.float32)
    refused(KWS, np.full_like(x, 2.5), 3, "hold one value only, 2.5")
    refused(MODELS / "kws_ref_model.tflite", x, 3, "int8")
    refused(KWS, x[:, :48], 3, "values a sample")
    refused(KWS, x[:0], 3, "")
    refused(KWS, x, 2, "no observer 'max'; there are: min-max",
            "--observer", "max")  # fmt: skip
    refused(KWS, x, 2, "--percentile 20", "--percentile", 20)
