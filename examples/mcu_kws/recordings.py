"""Recordings of one speaker's digits, as a device of 16 kHz hears them: in
windows of a second, and in a session with pauses."""

import wave

import numpy as np

RATE, HOP = 16000, 320
DIGITS = "zero one two three four five six seven eight nine".split()
NOISE = 8  # of the room, in units of the 16-bit converter


def read(path):
    """An 8 kHz recording at 16 kHz: its spectrum with zeros behind."""
    with wave.open(str(path)) as f:
        assert (f.getframerate(), f.getsampwidth()) == (8000, 2)
        x = np.frombuffer(f.readframes(f.getnframes()), "<i2")
    spectrum = np.fft.rfft(x.astype("f8"))
    return np.fft.irfft(spectrum, 2 * len(x)) * 2


def load(folder, speaker):
    """{word: [take]}; takes are not cut or padded."""
    return {word: [read(folder / speaker / f"{digit}_{speaker}_{take}.wav")
                   for take in range(50)]
            for digit, word in enumerate(DIGITS)}


def to_samples(x):
    return np.clip(np.rint(x), -32768, 32767).astype("<i2")


def window(rng, take, at, noise=NOISE):
    """A second of the room in which `take` begins at sample `at`; what does not
    fit is cut off."""
    x = rng.normal(size=RATE) * noise
    low, high = max(at, 0), min(at + len(take), RATE)
    if high > low:
        x[low:high] += take[low - at:high - at]
    return to_samples(x)


class Session:
    """What is said, one after the other, and what happens meanwhile."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.parts, self.events, self.samples = [], [], 0

    def hop(self):
        return self.samples // HOP

    def pause(self, seconds):
        self._add(self.rng.normal(size=int(seconds * RATE)) * NOISE)

    def say(self, take):
        """Ends on a hop; where it began, in seconds."""
        began = self.samples / RATE
        self._add(np.pad(take, (0, -(self.samples + len(take)) % HOP)))
        return began

    def event(self, what, later=0):
        """`later`: hops from now."""
        self.events.append(f"{self.hop() + later} {what}\n")

    def _add(self, x):
        self.parts.append(to_samples(x + self.rng.normal(size=len(x))))
        self.samples += len(x)

    def write(self, folder):
        with wave.open(str(folder / "session.wav"), "wb") as f:
            f.setnchannels(1)
            f.setsampwidth(2)
            f.setframerate(RATE)
            f.writeframes(np.concatenate(self.parts).tobytes())
        (folder / "events.txt").write_text("".join(self.events))
