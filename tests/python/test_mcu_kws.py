"""examples/mcu_kws, from recordings to the firmware's last line on an emulated
board: a taught word is known, also after the power failed, and old ones still."""

import dataclasses
import re
import subprocess
import sys

import pytest

from mcu_boards import ROOT, mcu, target_or_skip
from test_audio_front_end import write_wav

import numpy as np


@pytest.fixture(scope="module")
def session(shared, program, tmp_path_factory):
    """The folder that the example filled, and what it printed."""
    program("fieldtune")
    target_or_skip("cortex-m4")
    folder = tmp_path_factory.mktemp("mcu_kws")
    done = subprocess.run(
        [sys.executable, ROOT / "examples/mcu_kws/run.py", "--out", folder],
        capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_a_word_is_taught_and_outlives_the_power(session):
    printed = session[1]
    print(printed)
    story = ["started; nothing was taught yet", "take 5 is kept",
             "training begins: ", "the power fails",
             "training goes on after step ", "trained, and kept in flash",
             'heard "your word"', "the power fails",
             "what was taught is in flash", 'heard "your word"',
             "the recording ends"]
    at = 0
    for line in story:
        assert line in printed[at:], line
        at = printed.index(line, at) + len(line)
    before = printed[:printed.index("trained, and kept")]
    assert '"your word"' not in before
    assert "before it was taught: 2 of 3 words" in printed
    right, said = re.search(r"afterwards: (\d+) of (\d+)", printed).groups()
    assert int(said) == 12 and int(right) >= 11


def test_it_keeps_to_its_memory(session):
    printed = session[1]
    figure = lambda text: int(re.search(text, printed)[1].replace(",", ""))
    planned = figure(r"ram_bytes +(\d+)\n")
    linked = figure(r"RAM ([\d,]+) bytes")
    in_place_of_flash = figure(r"([\d,]+) of them in place of flash")
    stack = figure(r"([\d,]+) of [\d,]+ of stack")
    # Beside the plan: the adapter of before, lessons' and session's buffers.
    assert planned < linked - in_place_of_flash < planned + 9000
    assert stack <= figure(r"stack_bytes +(\d+)\n") + 512


@pytest.mark.parametrize("audio, events, sentence", [
    ("rate", "", "the audio is not 16-bit PCM, mono, at the model's rate"),
    ("text", "", "the audio is no WAV file"),
    ("fine", "10 sing\n", "an event is neither 'take' nor 'power'"),
    ("fine", "1 take\n" * 65, "too many events")])
def test_a_session_that_is_wrong_is_refused(session, tmp_path, audio, events,
                                            sentence):
    path = tmp_path / "session.wav"
    write_wav(path, np.zeros(16000))
    if audio == "rate":
        wav = bytearray(path.read_bytes())
        wav[24:28] = (8000).to_bytes(4, "little")
        path.write_bytes(wav)
    if audio == "text":
        path.write_text("this is no sound at all")
    (tmp_path / "events.txt").write_text(events)
    empty = {f.name: 0 for f in dataclasses.fields(mcu.Image)}
    image = mcu.Image(**{**empty, "target": target_or_skip("cortex-m4"),
                         "elf": session[0] / "image" / "image.elf"})
    with pytest.raises(mcu.RunError, match=sentence):
        mcu.run(image, folder=tmp_path)
