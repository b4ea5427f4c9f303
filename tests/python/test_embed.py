"""The example that embeds the C++ interface, on real recordings; the command
evaluates the adapter that it wrote."""

import subprocess
import wave

import numpy as np
import pytest
import tf_frontend
from fieldtune_cli import BINARY, ROOT, run_json

PROGRAM = BINARY.parent / "learn_words"
BASE = ROOT / "examples" / "demo" / "keyword_base.tflite"
WORDS, TAKES = ["zero", "one", "two"], 6


@pytest.fixture
def recordings(shared, tmp_path):
    folder = shared / "data" / "fsdd" / "theo"
    if not folder.is_dir():
        pytest.skip(f"real speech is absent: no folder {folder}")
    args = []
    for digit, word in enumerate(WORDS):
        for path in sorted(folder.glob(f"{digit}_*.wav"))[:TAKES]:
            sound = tf_frontend.twice_as_fast(tf_frontend.read_wav(path))
            raw = tmp_path / f"{path.stem}.raw"
            np.round(np.clip(sound, -1, 0.9999) * 32768).astype("<i2").tofile(
                raw
            )
            args.append(f"{word}={raw}")
    return args


def test_it_learns_words_within_its_budget(recordings, tmp_path):
    out = tmp_path / "words.safetensors"
    done = subprocess.run([PROGRAM, BASE, out, *recordings],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    count = len(recordings)
    assert f"{count} of {count} recordings recognized" in done.stdout
    inspected = run_json("eval", BASE, "--adapter", out, "--data",
                         _as_folders(recordings, tmp_path))  # fmt: skip
    assert inspected["accuracy"] == 1.0
    assert inspected["samples"] == count


def _as_folders(recordings, folder):
    """The recordings as <class>/*.wav; classes in the adapter's order."""
    data = folder / "data"
    for arg in recordings:
        word, raw = arg.split("=")
        (data / word).mkdir(parents=True, exist_ok=True)
        name = raw.rsplit("/", 1)[1].replace(".raw", ".wav")
        with wave.open(str(data / word / name), "wb") as f:
            f.setparams((1, 2, 16000, 0, "NONE", ""))
            f.writeframes(open(raw, "rb").read())
    return data


@pytest.mark.parametrize(
    "args, code, says",
    [
        ([], 2, "usage"),
        (["a.safetensors", "yes"], 2, "usage"),
        (["a.safetensors", "yes", "no"], 2, "word=file"),
        (["a.safetensors", "yes=none.raw", "no=none.raw"], 5, "none.raw"),
    ],
)
def test_bad_input_is_one_sentence(args, code, says, tmp_path):
    done = subprocess.run([PROGRAM, *([BASE] if args else []), *args],
                          capture_output=True, text=True, cwd=tmp_path)  # fmt: skip
    assert done.returncode == code
    assert says in done.stderr
    assert not (tmp_path / "a.safetensors").exists()
