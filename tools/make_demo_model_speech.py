"""Speech for the demo's base model: espeak-ng in many voices, as MFCC features.

Everything is drawn from one seed. Features are those of `--front-end
mlperf-kws`: tests/python/tf_frontend.py is the definition, and features() is
the same arithmetic for many clips at once (check_features() compares them).
"""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import tf_frontend

KEYWORDS = ["yes", "no", "up", "down", "left", "right", "on", "off"]
SILENCE, UNKNOWN = len(KEYWORDS), len(KEYWORDS) + 1
CLASSES = [*KEYWORDS, "silence", "unknown"]

# The words of the demo's user (src/cli/demo/speech.cc) must not be among them.
OTHER_WORDS = """house bird tree river stone paper winter garden seven three
    five market table orange silver bottle dog cat finger mountain yellow
    mother sister letter doctor number bridge engine simple carry hello people
    circle follow object pocket shadow thunder velvet whistle basket copper
    dinner family happy island jungle""".split()

RATE, CLIP = 16000, 16000
ACCENTS = [
    "en-us", "en-gb", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd",
    "en-us-nyc", "en-029",
]
# No whispers, robots or announcers: they are not speakers.
TRAIN_VARIANTS = """Alex Alicia Andrea Andy Denis Diogo Gene Henrique Jacky Lee
    Marco Mario Michael Nguyen Storm adam antonio belinda benjamin boris caleb
    david edward f1 f2 f4 f5 gustave iven john linda m1 m2 m3 m4 m6 m7 max
    miguel norbert pablo pedro quincy robert sandro steph victor zac""".split()
HELD_OUT_VARIANTS = "Annie Hugo Mike anika ed f3 m5 m8 marcelo paul".split()


@dataclass
class Utterance:
    word: str
    label: int
    voice: str
    speed: int  # words a minute
    pitch: int  # 0 to 99


def plan_utterances(random, variants, takes_per_keyword):
    """Who says what: keywords and, as often as three of them, other words."""
    def draw(word, label):
        accent, variant = random.choice(ACCENTS), random.choice(variants)
        return Utterance(word, label, f"{accent}+{variant}",
                         int(random.integers(110, 230)),
                         int(random.integers(15, 85)))

    plan = [draw(word, label) for label, word in enumerate(KEYWORDS)
            for _ in range(takes_per_keyword)]
    return plan + [draw(str(random.choice(OTHER_WORDS)), UNKNOWN)
                   for _ in range(3 * takes_per_keyword)]


def speak(utterance):
    """16 kHz samples without the silence around the word."""
    run = subprocess.run(
        ["espeak-ng", "-v", utterance.voice, "-s", str(utterance.speed),
         "-p", str(utterance.pitch), "--stdout", utterance.word],
        check=True, capture_output=True)
    # A WAV header of 44 bytes; that of a stream states no length.
    assert int.from_bytes(run.stdout[24:28], "little") == 22050
    samples = resample(np.frombuffer(run.stdout[44:], "<i2") / 32768.0)
    loud = np.nonzero(np.abs(samples) > 0.01 * np.abs(samples).max())[0]
    return samples[loud[0]:loud[-1] + 1].astype(np.float32)[:CLIP]


def resample(samples):
    """22,050 Hz to 16,000 Hz by cutting the spectrum."""
    padded = np.pad(samples, (0, -len(samples) % 441))
    size = len(padded) // 441 * 320
    return np.fft.irfft(np.fft.rfft(padded)[:size // 2 + 1], size) * 320 / 441


def speak_all(plan):
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(speak, plan))


def noise(random, samples):
    """White to brown noise of standard deviation 1."""
    spectrum = np.fft.rfft(random.standard_normal(samples))
    tilt = np.maximum(np.arange(len(spectrum)), 20) ** -random.uniform(0, 1)
    out = np.fft.irfft(spectrum * tilt, samples)
    return out / out.std()


def place(random, speech, snr_db):
    """One second with the word somewhere in it, and noise."""
    clip = np.zeros(CLIP, np.float32)
    at = int(random.integers(0, min(CLIP - len(speech), 5000) + 1))
    clip[at:at + len(speech)] = speech
    level = np.sqrt(np.mean(speech**2)) * 10 ** (-snr_db / 20)
    return clip + (level * noise(random, CLIP)).astype(np.float32)


def silence(random):
    return noise(random, CLIP).astype(np.float32)


_WINDOW = tf_frontend.hann_periodic(480).astype(np.float32)
_MEL = tf_frontend.mel_matrix(40, 257, RATE, 20.0, 4000.0).astype(np.float32)


def features(clips):
    """[n, 16000] samples to [n, 49, 10] features."""
    clips = clips / np.maximum(clips.max(axis=1, keepdims=True), 1e-9)
    frames = np.lib.stride_tricks.sliding_window_view(clips, 480, axis=1)
    frames = frames[:, ::320] * _WINDOW
    magnitude = np.abs(np.fft.rfft(frames, 512)).astype(np.float32)
    log_mel = np.log(magnitude @ _MEL + 1e-6)
    return tf_frontend.mfccs_from_log_mel(log_mel)[..., :10].astype(np.float32)


def check_features(clips):
    for clip in clips:
        expected = tf_frontend.mlperf_kws(clip)
        assert np.abs(features(clip[None])[0] - expected).max() < 2e-3


class Speech:
    """Utterances of one set of voices; each draw adds new noise and shifts."""

    def __init__(self, seed, variants, takes_per_keyword):
        random = np.random.default_rng(seed)
        plan = plan_utterances(random, variants, takes_per_keyword)
        self.words = speak_all(plan)
        silences = takes_per_keyword
        self.labels = np.array([u.label for u in plan] + [SILENCE] * silences)

    def draw(self, seed, snr_low, snr_high):
        """Features of all clips, [n, 49, 10]."""
        random = np.random.default_rng(seed)
        clips = [place(random, w, random.uniform(snr_low, snr_high))
                 for w in self.words]
        clips += [silence(random)
                  for _ in range(len(self.labels) - len(clips))]
        check_features(clips[:2])
        return np.concatenate([features(np.stack(clips[i:i + 256]))
                               for i in range(0, len(clips), 256)])
