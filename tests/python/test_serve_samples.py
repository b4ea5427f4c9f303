"""Samples that `fieldtune serve` was given: what it answered is on disk and is
learned from after a kill; what cannot be used is refused with a sentence and
can be deleted."""

import json
import os
import signal
import subprocess
import time

import numpy as np
import pytest
from fieldtune_cli import BINARY, ROOT, run, run_json
from serve_client import classes, kws, serve  # noqa: F401 (fixtures)

BASE = ROOT / "examples" / "demo" / "keyword_base.tflite"
RECORDER = BINARY.parent / "libft_fault_recorder.so"
START = {"adapter": "me", "classes": ["up", "down"], "total_steps": 40,
         "rank": 2, "batch": 2, "publish_every": 20, "least_held_back": 2,
         "seed": 5}  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """Options of a service with an empty store and a folder to work in, which
    trains when it is told to (test_serve_resume.py: by itself)."""
    run_json("store", "init", tmp_path / "store")
    (tmp_path / "work").mkdir()
    return [BASE, "--store", tmp_path / "store", "--work", tmp_path / "work",
            "--no-resume-training"]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "work" / "me.samples"


def sample(i):
    rng = np.random.default_rng(i)
    x = rng.normal(size=490) + 9 * (np.arange(490) * 2 // 490 == i % 2)
    return {"features": [float(v) for v in x.astype("f4")],
            "label": ["up", "down"][i % 2]}  # fmt: skip


def kill(server):
    server.process.kill()
    server.process.communicate()


def kept(folder):
    return {k["adapter"]: k for k in
            run_json("samples", "list", folder / "work")["kept"]}  # fmt: skip


def wait_until_finished(server):
    until = time.monotonic() + 120
    while (now := server.get("/v1/train"))["state"] != "finished":
        assert now["state"] not in ("none", "stopped", "failed"), now
        assert time.monotonic() < until, now
        time.sleep(0.02)
    return now


def test_what_was_answered_survives_kills(serve, place, file, tmp_path):
    """Killed before and after each of the first samples, then all at once; the
    last training learns from all of them."""
    given = 0
    for i in range(4):
        server = serve(*place)
        assert server.post("/v1/train/start", **START)["samples"] == given
        told = server.post("/v1/samples", **sample(given))
        given += 1
        assert told["samples"] == told["kept_samples"] == given
        kill(server)
        assert kept(tmp_path)["me"]["samples"] == given
    server = serve(*place)
    server.post("/v1/train/start", **START)
    server.post("/v1/samples", samples=[sample(i) for i in range(4, 12)])
    done = wait_until_finished(server)
    assert done["samples"] == done["kept_samples"] == 12
    assert server.metrics()[
        'fieldtune_training_kept_samples{adapter="me"}'] == 12
    assert server.get("/v1/status")["training"]["kept_samples"] == 12
    assert server.end() == (0, "")
    assert os.stat(file).st_mode & 0o777 == 0o600
    again = serve(*place)
    assert again.get("/v1/samples") == {"on_disk": True, "adapters": [
        {"adapter": "me", "samples": 12, "features": 490,
         "classes": ["up", "down"], "bytes": kept(tmp_path)["me"]["file_bytes"],
         "encrypted": False, "problem": ""}]}  # fmt: skip


def test_killed_while_samples_come(serve, place, tmp_path):
    """Nobody waits for the kill: at least what was answered is there, and at
    most what was sent."""
    for round in range(3):
        server = serve(*place)
        server.post("/v1/train/start", **{**START, "total_steps": 100000,
                                          "publish_every": 100000})
        before = server.get("/v1/train")["samples"]
        answered, sent = before, before
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.{2 + 3 * round}; "
                                   f"kill -9 {server.process.pid}"])
        try:
            while True:
                sent += 3
                answered = server.post("/v1/samples", samples=[
                    sample(i) for i in range(sent - 3, sent)])["kept_samples"]
                assert answered == sent
        except (OSError, EOFError):  # what http.client raises, too
            pass
        killer.wait()
        server.process.communicate()
        there = kept(tmp_path)["me"]["samples"]
        assert there in (answered, sent) and there % 3 == 0


def test_a_restart_ends_in_the_same_adapter(serve, place, tmp_path):
    """With a checkpoint and the samples it goes on as if it had never ended."""

    def answer_of(work, stops, **more):
        (tmp_path / work).mkdir()
        args = [*place[:4], tmp_path / work]
        server = serve(*args)
        start = {**START, "adapter": work, "total_steps": 60,
                 "publish_every": 60, "least_gain": -1, **more}
        server.post("/v1/train/start", **start)
        server.post("/v1/train/pause")
        server.post("/v1/samples", samples=[sample(i) for i in range(12)])
        server.post("/v1/train/resume")
        for number in stops:
            until = time.monotonic() + 120
            while server.get("/v1/train")["steps"] < 3:
                assert time.monotonic() < until
            assert server.end(number) == (0, "")
            server = serve(*args)
            assert server.post("/v1/train/start", **start)["samples"] == 12
        wait_until_finished(server)
        given = classes(server, sample(50)["features"], adapter=work)
        assert server.end() == (0, "") and given["version"] == 1
        return given["answer"]

    one = answer_of("one", [])
    assert one == answer_of("two", [signal.SIGTERM, signal.SIGINT])
    assert one != answer_of("three", [], seed=6)


def teach(serve, place, *options, **start):
    server = serve(*place, *options)
    server.post("/v1/train/start", **{**START, **start})
    server.post("/v1/samples", samples=[sample(i) for i in range(6)])
    assert server.end() == (0, "")


def test_what_does_not_fit_is_refused_and_can_be_deleted(
        serve, place, file, tmp_path):
    teach(serve, place)
    server = serve(*place, "--max-samples", 5)
    server.refused(409, "6 samples of 'me' are kept, the training takes 5",
                   "/v1/train/start", START)
    server.end()
    server = serve(*place)
    for classes in (["down", "up"], ["up"], []):
        server.refused(409, "other classes, [\"up\",\"down\"]",
                       "/v1/train/start", {**START, "classes": classes})
    more = {**START, "classes": ["up", "down", "left"], "fresh": True}
    assert server.post("/v1/train/start", **more)["samples"] == 6
    server.refused(409, "stop it before", "/v1/samples/delete",
                   {"adapter": "me"})
    assert run("samples", "delete", tmp_path / "work", "me").returncode == 5
    assert "being written by another" in kept(tmp_path)["me"]["problem"]
    server.post("/v1/train/stop")
    server.refused(404, "no samples of 'you'", "/v1/samples/delete",
                   {"adapter": "you"})
    server.refused(400, "missing", "/v1/samples/delete", {})
    server.refused(404, "name", "/v1/samples/delete", {"adapter": "../me"})
    assert server.post("/v1/samples/delete", adapter="me") == {"deleted": "me"}
    assert server.get("/v1/samples")["adapters"] == []
    assert not list((tmp_path / "work").glob("me.samples*"))
    fresh = {**START, "classes": [], "fresh": True}
    assert server.post("/v1/train/start", **fresh)["samples"] == 0
    # A training that nothing was given to leaves no file.
    assert server.end() == (0, "")
    assert not list((tmp_path / "work").glob("me.samples*"))


def test_samples_of_another_base_are_refused(serve, place, kws, file):
    teach(serve, place)
    before = file.read_bytes()
    server = serve(kws, *place[1:])
    server.refused(422, "another base model", "/v1/train/start", START)
    assert server.end() == (0, "")
    assert file.read_bytes() == before


@pytest.mark.parametrize("damage", ["empty", "text", "a bit", "cut off"])
def test_a_damaged_file_is_refused_and_says_what_to_do(
        serve, place, file, tmp_path, damage):
    teach(serve, place)
    data = bytearray(file.read_bytes())
    first = np.float32(sample(0)["features"][7]).tobytes()
    data[data.index(first)] ^= 1
    file.write_bytes({"empty": b"", "text": b"no database", "a bit": data,
                      "cut off": data[:-4096]}[damage])  # fmt: skip
    before = file.read_bytes()
    server = serve(*place)
    server.refused(422, "POST /v1/samples/delete removes them",
                   "/v1/train/start", START)
    assert server.get("/v1/train")["state"] == "none"
    assert file.read_bytes() == before
    done = run("samples", "delete", tmp_path / "work", "me")
    assert (done.returncode, done.stdout) == (0, "samples of 'me' are deleted\n")
    assert server.post("/v1/train/start", **START)["samples"] == 0
    server.post("/v1/samples", **sample(0))


def test_encrypted_with_the_key_of_the_store(serve, place, file, tmp_path):
    key, other = tmp_path / "key", tmp_path / "other"
    for name in (key, other):
        name.write_bytes(os.urandom(32))
        name.chmod(0o600)
    (tmp_path / "store").rename(tmp_path / "plain")
    run_json("store", "init", tmp_path / "store", "--encrypt", "--key-file",
             key)  # fmt: skip
    teach(serve, place, "--key-file", key)
    assert kept(tmp_path)["me"]["encrypted"]
    for part in sample(0)["features"][:3]:
        for name in (tmp_path / "work").glob("me.samples*"):
            assert np.float32(part).tobytes() not in name.read_bytes()
    server = serve(*place, "--key-file", key)
    assert server.post("/v1/train/start", **START)["samples"] == 6
    server.end()
    plain = [*place[:2], tmp_path / "plain", *place[3:]]
    server = serve(*plain)
    server.refused(409, "their key is needed", "/v1/train/start", START)


def test_in_memory_alone(serve, place, tmp_path):
    server = serve(*place, "--samples", "memory")
    server.post("/v1/train/start", **START)
    told = server.post("/v1/samples", **sample(0))
    assert told["samples"] == 1 and told["kept_samples"] == 0
    assert server.get("/v1/samples") == {"on_disk": False, "adapters": []}
    assert not list((tmp_path / "work").glob("*.samples*"))


@pytest.mark.skipif(not RECORDER.exists(),
                    reason="libft_fault_recorder.so was not built")
@pytest.mark.parametrize("error", ["enospc", "eio"])
def test_a_disk_that_takes_no_more(
        serve, place, file, tmp_path, monkeypatch, error):
    """From some call on nothing can be written: the request is told, nothing
    of it is learned from, and the service answers on."""
    teach(serve, place)
    refused = 0
    for at in range(1, 40, 5):
        monkeypatch.setenv("LD_PRELOAD", str(RECORDER))
        monkeypatch.setenv("FT_FAULT_ROOT", str(tmp_path / "work"))
        monkeypatch.setenv("FT_FAULT_AT", str(at))
        monkeypatch.setenv("FT_FAULT_FOR", "0")
        monkeypatch.setenv("FT_FAULT_KIND", error)
        server = serve(*place)
        monkeypatch.undo()
        status, told = server.ask("POST", "/v1/train/start", START)
        if status == 200:
            had = told["samples"]
            for i in range(5):
                status, told = server.ask("POST", "/v1/samples", sample(i))
                if status != 200:
                    break
                had += 1
            now = server.get("/v1/train")
            assert now["samples"] == now["kept_samples"] == had
        if status != 200:
            refused += 1
            assert status == 500 and list(told) == ["error"], told
            # SQLite does not keep why the file beside its log cannot grow.
            words = {"enospc": ["disk is full", "No space", "disk I/O error"],
                     "eio": ["I/O error", "Input/output error"]}[error]
            assert any(w in told["error"] for w in words), told
        assert server.get("/healthz") == {"status": "ok"}
        kill(server)
    assert refused > 2
    server = serve(*place)
    assert server.post("/v1/train/start", **START)["samples"] >= 6


def test_help_and_usage(place, tmp_path):
    for command in ("list", "delete"):
        text = run("samples", command, "--help").stdout
        assert f"fieldtune samples {command}" in text
    assert "fieldtune samples" in run("serve", "--help").stdout
    assert run("samples", "list", tmp_path / "none").returncode == 5
    assert run("samples", "delete", tmp_path, "me").returncode == 2
    assert json.loads(run("samples", "list", tmp_path, "--json").stdout)[
        "kept"] == []
