#!/usr/bin/env python3
"""Computes MFCCs of WAV files with real TensorFlow and stores them as NPY.

TensorFlow is too large for every test run, so its answers are kept in
tests/golden. To make them again:

    python3 -m venv /tmp/tf && /tmp/tf/bin/pip install tensorflow-cpu==2.21.0
    /tmp/tf/bin/python tools/make_mfcc_golden.py tests/golden \\
        ../shared/data/speech_samples/{yes,no}_1000ms.wav
"""

import pathlib
import sys

import numpy as np
import tensorflow as tf


def mfcc(path):
    audio, rate = tf.audio.decode_wav(tf.io.read_file(str(path)))
    audio = tf.squeeze(audio, -1)
    assert int(rate) == 16000 and audio.shape[0] <= 16000
    audio = audio / tf.reduce_max(audio)
    audio = tf.pad(audio, [[0, 16000 - audio.shape[0]]])
    spectrum = tf.abs(
        tf.signal.stft(
            audio,
            frame_length=480,
            frame_step=320,
            window_fn=tf.signal.hann_window,
        )
    )
    weights = tf.signal.linear_to_mel_weight_matrix(
        40, spectrum.shape[-1], 16000, 20.0, 4000.0
    )
    log_mel = tf.math.log(tf.tensordot(spectrum, weights, 1) + 1e-6)
    return tf.signal.mfccs_from_log_mel_spectrograms(log_mel)[:, :10].numpy()


def main():
    out, *inputs = map(pathlib.Path, sys.argv[1:])
    for path in inputs:
        word = path.stem.split("_")[0]
        np.save(out / f"{word}_mfcc.npy", mfcc(path).astype("<f4"))


if __name__ == "__main__":
    main()
