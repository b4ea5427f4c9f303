"""`fieldtune serve` that learns from real speech in the background: what it
publishes is in the store, answers, and is there after a restart or a kill."""

import signal
import time

import numpy as np
import pytest
import tf_frontend
from fieldtune_cli import FSDD, run_json
from serve_client import classes, kws, serve  # noqa: F401 (fixtures)

WORDS = ["zero", "one", "two"]
START = {"adapter": "digits", "classes": WORDS, "total_steps": 120, "rank": 4,
         "batch": 4, "publish_every": 40, "learning_rate": 0.01,
         "use": True, "seed": 3}  # fmt: skip


@pytest.fixture(scope="module")
def speech(shared, root):
    """(features, word) of three digits by one speaker, through the model's own
    front end."""
    folder = shared / "data" / "fsdd" / "theo"
    if not folder.is_dir():
        pytest.skip(f"real speech is absent: no folder {folder}")
    return [(features_of(path), word)
            for digit, word in enumerate(WORDS)
            for path in sorted(folder.glob(f"{digit}_*.wav"))[:12]]


def features_of(path):
    """What `mlperf-kws` makes of a recording, as numbers (10 MFCCs of 49
    frames)."""
    return [float(x) for x in tf_frontend.mlperf_kws(
        tf_frontend.twice_as_fast(tf_frontend.read_wav(path))).ravel()]


@pytest.fixture
def place(tmp_path, kws):
    """Options of a service with an empty store and a folder to work in, which
    trains when it is told to (test_serve_resume.py: by itself)."""
    run_json("store", "init", tmp_path / "store", "--model", kws)
    (tmp_path / "work").mkdir()
    return [kws, "--store", tmp_path / "store", "--work", tmp_path / "work",
            "--no-resume-training"]


def teach(server, speech):
    half, before = len(speech) // 2, server.get("/v1/train")["samples"]
    for features, word in speech[:half]:
        server.post("/v1/samples", features=features, label=word)
    told = server.post("/v1/samples", samples=[
        {"features": f, "label": WORDS.index(w)} for f, w in speech[half:]])
    assert told["samples"] == before + len(speech)


def wait_until(server, done, seconds=240):
    until = time.monotonic() + seconds
    while not done(now := server.get("/v1/train")):
        assert time.monotonic() < until and now["state"] != "failed", now
        time.sleep(0.1)
    return now


def test_learns_publishes_and_is_there_after_a_restart(serve, place, speech):
    server = serve(*place)
    assert server.get("/v1/train")["state"] == "none"
    assert server.post("/v1/train/start", **START)["state"] == "waiting"
    server.refused(409, "runs; stop it", "/v1/train/start", START)
    for words, sample in [
            ("no class 'nine'", {"features": speech[0][0], "label": "nine"}),
            ("has 3 classes", {"features": speech[0][0], "label": 3}),
            ("takes 490", {"features": [1.0], "label": 1})]:
        server.refused(400, words, "/v1/samples", sample)
        server.refused(400, words, "/v1/samples", {"samples": [
            {"features": speech[0][0], "label": 0}, sample]})
    assert server.get("/v1/train")["samples"] == 0
    teach(server, speech)
    now = wait_until(server, lambda t: t["state"] in ("finished", "stopped"))
    assert now["steps"] == 120 and now["published"] >= 1
    assert now["problem"] == "" and now["serving_accuracy"] >= 0.7
    listed = server.get("/v1/adapters")
    versions = listed["adapters"][0]["versions"]
    assert listed["active"] == "digits" and len(versions) == now["published"]
    assert versions[-1]["slot"] == "confirmed"
    right = [classes(server, f)["label"] == w for f, w in speech]
    assert np.mean(right) >= 0.7
    answer = classes(server, speech[0][0])["answer"]
    found = server.metrics()
    assert found['fieldtune_training_steps{adapter="digits"}'] == 120
    assert server.end() == (0, "")
    # One version's file stays in the work folder, the store has them all.
    again = serve(*place, "--use", "digits")
    assert classes(again, speech[0][0])["answer"] == answer
    assert again.get("/v1/status")["active_version"] == now["published"]


def test_pauses_and_goes_on_from_its_checkpoint(serve, place, speech, tmp_path):
    more = {**START, "total_steps": 3000, "publish_every": 1000}
    server = serve(*place)
    server.post("/v1/train/start", **more)
    teach(server, speech)
    wait_until(server, lambda t: t["steps"] > 0)
    server.post("/v1/train/pause")
    wait_until(server, lambda t: t["state"] == "paused")
    steps = server.get("/v1/train")["steps"]
    time.sleep(0.3)
    assert server.get("/v1/train")["steps"] == steps
    server.post("/v1/train/resume")
    wait_until(server, lambda t: t["steps"] > steps)
    stopped = server.post("/v1/train/stop")
    assert stopped["state"] == "stopped" and not stopped["running"]
    server.refused(409, "no training runs", "/v1/train/stop", {})
    on = server.post("/v1/train/start", **more)
    assert on["steps"] >= stopped["steps"] and on["samples"] == len(speech)
    # Other settings are another training.
    server.post("/v1/train/stop")
    server.refused(422, "heckpoint", "/v1/train/start", {**more, "rank": 2})
    fresh = server.post("/v1/train/start", **{**more, "rank": 2, "fresh": True})
    assert fresh["steps"] < stopped["steps"]
    assert fresh["samples"] == len(speech)
    # A signal ends it with its checkpoint.
    teach(server, speech)
    before = wait_until(server, lambda t: t["steps"] > 3)["steps"]
    assert server.end(signal.SIGINT) == (0, "")
    again = serve(*place)
    on = again.post("/v1/train/start", **{**more, "rank": 2})
    assert on["steps"] >= before


def test_killed_while_it_learns(serve, place, speech):
    """Whatever moment it is: the store opens, what was confirmed answers."""
    often = {**START, "total_steps": 4000, "publish_every": 1, "batch": 1}
    answers = set()
    for delay in (0.0, 0.05, 0.2):
        server = serve(*place)
        server.post("/v1/train/start", **often)
        teach(server, speech)
        wait_until(server, lambda t: t["published"] > 0)
        time.sleep(delay)
        server.process.kill()
        server.process.communicate()
        store = place[2]
        # A file of a version that was just being added may lie about.
        found = run_json("store", "verify", store, "--repair")["problems"]
        assert all("interrupted change" in p["problem"] for p in found)
        assert run_json("store", "verify", store)["problems"] == []
        active = run_json("store", "show", store, "digits")["version"]
        again = serve(*place, "--use", "digits")
        given = classes(again, speech[0][0])
        assert given["version"] == active
        answers.add(tuple(given["answer"]))
        assert again.end() == (0, "")
    assert answers


def test_start_is_refused_where_it_cannot_work(serve, place, kws, tmp_path):
    server = serve(*place, "--train-ram", "16K")
    for status, words, change in [
            (507, "bytes", {}),
            (400, "needs the fields", {"adapter": ""}),
            (400, "not a name", {"adapter": "../x"}),
            (400, "'total_steps' must", {"total_steps": 0}),
            (400, "no field 'step'", {"step": 1}),
            (400, "method", {"method": "magic"}),
            (400, "held_back", {"held_back": 2}),
            (400, "control character U+0007", {"classes": ["a\a", "b", "c"]}),
            (400, "has 257 bytes", {"classes": ["x" * 257, "b", "c"]}),
            (400, "'settings' must", {"settings": {"use_rslora": True}})]:
        server.refused(status, words, "/v1/train/start", {**START, **change})
    assert server.get("/v1/train")["state"] == "none"
    status, _ = server.ask("GET", "/healthz")
    assert status == 200
