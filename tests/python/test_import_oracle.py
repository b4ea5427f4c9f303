"""The eight MLPerf Tiny models through `fieldtune run` against LiteRT.

int8 outputs must equal those of LiteRT's reference kernels bit for bit, on 500
random inputs and on all real ones that are here; float outputs within 1e-5; those of the
hybrid keyword file, whose activations are quantized on the fly, within 0.05 of
each probability. The figures, and how far LiteRT's own kernels are from each
other, go to build/results/int8_parity.json.
"""

import numpy as np
import pytest
import tf_frontend
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from fieldtune_cli import ROOT, save_rows
from tflite_models import run_fieldtune

RANDOM_SAMPLES = 500
INT8 = [
    "ad01_int8.tflite",
    "kws_ref_model.tflite",
    "pretrainedResnet_quant.tflite",
    "vww_96_int8.tflite",
]
FLOAT = [
    "ad01_fp32.tflite",
    "pretrainedResnet.tflite",
    "vww_96_float.tflite",
]
HYBRID = "kws_ref_model_float32.tflite"
KERNELS = {
    "reference": OpResolverType.BUILTIN_REF,
    "optimized": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "xnnpack": OpResolverType.BUILTIN,
}


class LiteRt:
    """One model on one set of LiteRT's kernels, a sample at a time."""

    def __init__(self, model, kernels="reference"):
        self.interpreter = Interpreter(
            model_content=model,
            experimental_op_resolver_type=KERNELS[kernels],
            num_threads=1,
        )
        self.interpreter.allocate_tensors()
        self.input = self.interpreter.get_input_details()[0]
        self.output = self.interpreter.get_output_details()[0]

    def run(self, x):
        outputs = []
        for sample in x:
            self.interpreter.set_tensor(self.input["index"], sample[None])
            self.interpreter.invoke()
            outputs.append(self.interpreter.get_tensor(self.output["index"]))
        return np.concatenate(outputs)

    def quantize(self, real):
        """Real numbers as the model's input wants them."""
        if self.input["dtype"] == np.float32:
            return real.astype(np.float32)
        scale, zero_point = self.input["quantization"]
        q = np.round(real / scale) + zero_point
        return np.clip(q, -128, 127).astype(np.int8)


@pytest.fixture(scope="module")
def models(shared):
    folder = shared / "models" / "mlperf_tiny"
    if not folder.is_dir():
        pytest.skip(f"real models are absent: no folder {folder}")
    return {path.name: path.read_bytes() for path in folder.glob("*.tflite")}


@pytest.fixture(scope="module")
def keywords(shared):
    """MFCC features of a yes and a no, which the model knows."""
    paths = sorted((shared / "data" / "speech_samples").glob("*.wav"))
    if not paths:
        pytest.skip(f"real speech is absent: no WAV files in {shared}/data")
    clips = [tf_frontend.read_wav(path) for path in paths]
    return np.stack([tf_frontend.mlperf_kws(c) for c in clips])[..., None]


@pytest.fixture(scope="module")
def speech(shared, keywords):
    """MFCC features of all recordings, [n, 49, 10, 1]."""
    data = shared / "data"
    clips = [tf_frontend.twice_as_fast(tf_frontend.read_wav(p))
             for p in sorted(data.glob("fsdd/*/*.wav"))]  # fmt: skip
    if not clips:
        pytest.skip(f"real speech is absent: no WAV files below {data}/fsdd")
    features = np.stack([tf_frontend.mlperf_kws(c) for c in clips])[..., None]
    return np.concatenate([keywords, features])


@pytest.fixture(scope="module")
def digits(shared):
    """Handwritten digits as [n, 28, 28], 0 to 255."""
    path = shared / "data" / "mnist1000" / "images.npy"
    if not path.is_file():
        pytest.skip(f"real images are absent: no file {path}")
    return np.load(path).astype(np.float64)


@pytest.fixture(scope="module")
def rows():
    """Figures of this run, written once all tests are through."""
    found = []
    yield found
    save_rows(ROOT / "build" / "results" / "int8_parity.json", found)


def random_inputs(litert, samples=RANDOM_SAMPLES):
    rng = np.random.default_rng(20)
    shape = [samples, *litert.input["shape"][1:]]
    if litert.input["dtype"] == np.int8:
        return rng.integers(-128, 128, shape, dtype=np.int8)
    return rng.normal(size=shape).astype(np.float32)


def images(digits, size):
    """Digits blown up to a model's image, three equal channels."""
    grown = np.kron(digits, np.ones((1, size // 28, size // 28)))
    margin = size - grown.shape[1]
    before, after = margin // 2, margin - margin // 2
    padded = np.pad(grown, ((0, 0), (before, after), (before, after)))
    return np.repeat(padded[..., None], 3, axis=3)


def compare(name, kind, model, x, tmp_path, rows):
    """Ours against LiteRT's reference; returns the largest difference."""
    want = LiteRt(model).run(x)
    got = run_fieldtune(model, x, tmp_path)
    assert got.dtype == want.dtype and got.shape == want.shape
    row = {
        "model": name,
        "inputs": kind,
        "samples_count": len(x),
        "outputs_count": int(want.size),
        "different_from_reference_count": int((got != want).sum()),
    }
    difference = np.abs(got.astype(np.float64) - want.astype(np.float64))
    row["max_difference"] = float(difference.max())
    for kernels in ("optimized", "xnnpack"):
        other = LiteRt(model, kernels).run(x)
        row[f"litert_{kernels}_from_reference_count"] = int(
            (other != want).sum()
        )
    rows.append(row)
    print(row)
    return difference.max()


@pytest.mark.parametrize("name", INT8)
def test_int8_equals_reference_on_random_inputs(name, models, tmp_path, rows):
    x = random_inputs(LiteRt(models[name]))
    assert compare(name, "random", models[name], x, tmp_path, rows) == 0


def test_int8_equals_reference_on_speech(models, speech, tmp_path, rows):
    name = "kws_ref_model.tflite"
    x = LiteRt(models[name]).quantize(speech)
    assert compare(name, "speech", models[name], x, tmp_path, rows) == 0


@pytest.mark.parametrize(
    ("name", "size"),
    [("pretrainedResnet_quant.tflite", 32), ("vww_96_int8.tflite", 96)],
)
def test_int8_equals_reference_on_images(
    name, size, models, digits, tmp_path, rows
):
    # 0 to 255 are the model's own units: scale 1, or 1/255 of real 0 to 1.
    litert = LiteRt(models[name])
    unit = 1.0 if litert.input["quantization"][0] > 0.5 else 1 / 255
    x = litert.quantize(images(digits[:250], size) * unit)
    assert compare(name, "images", models[name], x, tmp_path, rows) == 0


@pytest.mark.parametrize("name", FLOAT)
def test_float_is_within_1e_5(name, models, tmp_path, rows):
    x = random_inputs(LiteRt(models[name]), 100)
    want = LiteRt(models[name]).run(x)
    limit = 1e-5 * max(1.0, np.abs(want).max())
    assert compare(name, "random", models[name], x, tmp_path, rows) <= limit


def test_hybrid_is_within_5_percent(models, speech, tmp_path, rows):
    """LiteRT's default kernels, which quantize the activations otherwise than
    its reference, are no nearer."""
    x = speech.astype(np.float32)
    want = LiteRt(models[HYBRID]).run(x)
    ours = np.abs(run_fieldtune(models[HYBRID], x, tmp_path) - want)
    theirs = np.abs(LiteRt(models[HYBRID], "xnnpack").run(x) - want)
    rows.append({
        "model": HYBRID,
        "inputs": "speech",
        "samples_count": len(x),
        "samples_over_0_05_count": int((ours.max(axis=1) > 0.05).sum()),
        "max_difference": float(ours.max()),
        "litert_xnnpack_samples_over_0_05_count": int(
            (theirs.max(axis=1) > 0.05).sum()
        ),
        "litert_xnnpack_max_difference": float(theirs.max()),
    })  # fmt: skip
    print(rows[-1])
    assert ours.max() <= 0.05
