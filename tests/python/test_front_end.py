"""The audio front end against TensorFlow's definition, and the keyword model's
answers on real speech."""

import subprocess
import wave

import numpy as np
import pytest
import tf_frontend
from ai_edge_litert.interpreter import Interpreter

SEED = 17
CLASSES = (
    "Down Go Left No Off On Right Stop Up Yes Silence Unknown".split()
)


@pytest.fixture
def features(program, tmp_path):
    """features(wav) are those that fieldtune computes, [49, 10]."""

    def run(path):
        out = tmp_path / "features.npy"
        tool = program("front_end_features")
        subprocess.run([tool, "mlperf-kws", path, out], check=True)
        return np.load(out)

    return run


def write_wav(path, samples, rate=16000):
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(rate)
        f.writeframes(samples.astype("<i2").tobytes())


@pytest.mark.parametrize("word", ["yes", "no"])
def test_numpy_oracle_equals_tensorflow(shared, root, word):
    """The golden files are float32 TensorFlow's, whose own rounding is 5e-5."""
    audio = tf_frontend.read_wav(
        shared / f"data/speech_samples/{word}_1000ms.wav"
    )
    golden = np.load(root / f"tests/golden/{word}_mfcc.npy")
    assert np.abs(tf_frontend.mlperf_kws(audio) - golden).max() < 1e-4


@pytest.mark.parametrize("noise_db, limit", [(-40, 1e-4), (-60, 5e-4)])
def test_random_audio_equals_the_oracle(features, tmp_path, noise_db, limit):
    """Tones in noise and decaying pulses of any length.

    With noise 60 dB below a pure tone, rounding in a float32 FFT shows: float32
    TensorFlow is then up to 4.5e-4 away from its own definition in double, and
    fieldtune up to 1.6e-4.
    """
    print("seed", SEED)
    rng = np.random.default_rng(SEED)
    worst = 0.0
    for i in range(30):
        n = int(rng.integers(200, 20000))
        t = np.arange(n)
        audio = rng.normal(size=n) * 10 ** rng.uniform(noise_db / 20, 0)
        audio += np.sin(t * rng.uniform(0.01, 2)) * rng.uniform(0, 1)
        audio *= np.exp(-t * rng.uniform(0, 3e-4))
        path = tmp_path / f"{i}.wav"
        write_wav(path, audio / np.abs(audio).max() * 32000)
        expected = tf_frontend.mlperf_kws(tf_frontend.read_wav(path))
        worst = max(worst, np.abs(features(path) - expected).max())
    print(f"largest difference {worst:.2g}")
    assert worst < limit


def some_digits(shared):
    paths = sorted((shared / "data/fsdd").glob("*/*_1[0-2].wav"))
    assert len(paths) == 120
    return paths[::3]


def test_real_speech_equals_the_oracle(features, shared, tmp_path):
    """Real recordings, played at twice their rate so that none is resampled."""
    worst = 0.0
    for path in some_digits(shared):
        fast = tmp_path / path.name
        write_wav(fast, tf_frontend.read_wav(path) * 32768)
        expected = tf_frontend.mlperf_kws(tf_frontend.read_wav(fast))
        worst = max(worst, np.abs(features(fast) - expected).max())
    print(f"largest difference {worst:.2g}")
    assert worst < 1e-4


def test_resampled_speech_is_near_an_ideal_doubling(features, shared):
    """8 kHz recordings against the oracle on their spectrum padded with zeros.
    Any two resamplers differ next to 4 kHz and at the ends, hence the limit."""
    for path in some_digits(shared):
        audio = tf_frontend.read_wav(path)
        doubled = np.fft.irfft(np.fft.rfft(audio), 2 * len(audio)) * 2
        expected = tf_frontend.mlperf_kws(doubled)
        inside = slice(1, min(49, len(doubled) // 320 - 2))
        difference = np.abs(features(path) - expected)[inside]
        assert np.median(difference) < 0.1, path


def probabilities(model, x):
    interpreter = Interpreter(str(model))
    interpreter.allocate_tensors()
    index = interpreter.get_input_details()[0]["index"]
    interpreter.set_tensor(index, x.reshape(1, 49, 10, 1).astype(np.float32))
    interpreter.invoke()
    output = interpreter.get_output_details()[0]["index"]
    return dict(zip(CLASSES, interpreter.get_tensor(output)[0]))


@pytest.mark.parametrize(
    "word, answers",
    [("yes", {"Yes": 0.999}), ("no", {"Go": 0.951, "No": 0.042})],
)
def test_keyword_model_gives_the_known_answers(features, shared, word, answers):
    """LiteRT quantizes the hybrid model's activations, hence the 0.05."""
    path = shared / f"data/speech_samples/{word}_1000ms.wav"
    model = shared / "models/mlperf_tiny/kws_ref_model_float32.tflite"
    mine = probabilities(model, features(path))
    oracle = probabilities(
        model, tf_frontend.mlperf_kws(tf_frontend.read_wav(path))
    )
    print({k: round(float(v), 3) for k, v in mine.items() if v > 0.01})
    for name, expected in answers.items():
        assert mine[name] == pytest.approx(expected, abs=0.05)
    for name in CLASSES:
        assert mine[name] == pytest.approx(oracle[name], abs=1e-3)
