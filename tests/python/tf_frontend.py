"""TensorFlow's audio front end, written out in numpy from its documentation.

An independent oracle for src/kernels/mfcc: full mel matrix, numpy's FFT, double
precision. tests/golden/*_mfcc.npy (made by real TensorFlow, see
tools/make_mfcc_golden.py) show that it equals TensorFlow.
"""

import wave

import numpy as np


def read_wav(path):
    """Mono 16-bit WAV as float64 in [-1, 1)."""
    with wave.open(str(path)) as f:
        assert f.getnchannels() == 1 and f.getsampwidth() == 2
        samples = np.frombuffer(f.readframes(f.getnframes()), "<i2")
    return samples / 32768.0


def hann_periodic(n):
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)


def stft_magnitude(signal, frame, hop, fft):
    count = 1 + (len(signal) - frame) // hop
    frames = np.stack([signal[i * hop : i * hop + frame] for i in range(count)])
    return np.abs(np.fft.rfft(frames * hann_periodic(frame), fft))


def mel_matrix(bands, bins, rate, low, high):
    """tf.signal.linear_to_mel_weight_matrix: [bins, bands]."""
    mel = lambda hz: 1127.0 * np.log(1.0 + np.asarray(hz) / 700.0)
    position = mel(np.linspace(0.0, rate / 2, bins))[:, None]
    edges = np.linspace(mel(low), mel(high), bands + 2)
    rising = (position - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - position) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return weights


def mfccs_from_log_mel(log_mel):
    """tf.signal.mfccs_from_log_mel_spectrograms."""
    n = log_mel.shape[-1]
    j, k = np.arange(n), np.arange(n)[:, None]
    basis = 2 * np.cos(np.pi * k * (2 * j + 1) / (2 * n))
    return log_mel @ basis.T / np.sqrt(2.0 * n)


def mlperf_kws(audio, rate=16000, clip=16000):
    """[49, 10] features of MLPerf Tiny's keyword spotting."""
    audio = np.asarray(audio, np.float64)[:clip]
    if audio.max() > 0:
        audio = audio / audio.max()
    audio = np.pad(audio, (0, clip - len(audio)))
    magnitude = stft_magnitude(audio, 480, 320, 512)
    mel = magnitude @ mel_matrix(40, 257, rate, 20.0, 4000.0)
    return mfccs_from_log_mel(np.log(mel + 1e-6))[:, :10]


def twice_as_fast(audio):
    """Band-limited doubling of the sample rate."""
    spectrum = np.fft.rfft(audio)
    padded = np.pad(spectrum, (0, len(audio) + 1 - len(spectrum)))
    return np.fft.irfft(padded, 2 * len(audio)) * 2
