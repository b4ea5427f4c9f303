"""A training of `fieldtune serve` goes on by itself after a kill, a signal or a
power cut, until it is stopped by request."""

import json
import shutil
import time

import pytest
from fieldtune_cli import run, run_json
from serve_client import serve  # noqa: F401 (fixtures)
from test_serve_samples import (  # noqa: F401 (fixtures)
    BASE,
    START,
    kill,
    sample,
)

LONG = {**START, "total_steps": 100000, "publish_every": 100000}


@pytest.fixture
def place(tmp_path):
    """Options of a service with an empty store and a folder to work in."""
    run_json("store", "init", tmp_path / "store")
    (tmp_path / "work").mkdir()
    return [BASE, "--store", tmp_path / "store", "--work", tmp_path / "work"]


def wait_for(server, *states):
    until = time.monotonic() + 240
    while (now := server.get("/v1/train"))["state"] not in states:
        assert time.monotonic() < until, now
        time.sleep(0.02)
    return now


def begin(server, start, samples=12):
    server.post("/v1/train/start", **start)
    server.post("/v1/train/pause")
    server.post("/v1/samples", samples=[sample(i) for i in range(samples)])
    server.post("/v1/train/resume")


def test_ends_in_the_same_adapter_without_being_asked(serve, place, tmp_path):
    def sha_of(work, kills, seconds=30):
        (tmp_path / work).mkdir()
        args = [*place[:4], tmp_path / work, "--checkpoint-seconds", seconds]
        start = {**START, "adapter": "me" + work, "total_steps": 60,
                 "publish_every": 20, "least_gain": -1}  # fmt: skip
        server = serve(*args)
        begin(server, start)
        for stop in kills:
            until = time.monotonic() + 240
            while server.get("/v1/train")["steps"] < 3:
                assert time.monotonic() < until
            stop(server)
            server = serve(*args)
            wait_for(server, "training", "finished")
            now = server.get("/v1/train")
            assert now["resumed"] and now["samples"] == 12, now
            assert server.metrics()["fieldtune_training_resumed"] == 1
        done = wait_for(server, "finished")
        assert done["steps"] == 60 and done["problem"] == ""
        assert server.end() == (0, "")
        assert not (tmp_path / work / "training.json").exists()
        rows = run_json("store", "list", tmp_path / "store",
                        "me" + work)["adapters"]  # fmt: skip
        return [row["adapter_sha256"] for row in rows]

    whole = sha_of("a", [])
    assert len(whole) == 3
    # A name is in the file, so the same one is trained elsewhere.
    (tmp_path / "store").rename(tmp_path / "first")
    (tmp_path / "a").rename(tmp_path / "b")
    run_json("store", "init", tmp_path / "store")
    assert sha_of("a", [kill, lambda s: s.end(), kill], 0.01) == whole


@pytest.mark.parametrize("seconds", [0, 1, 3600])
def test_a_kill_takes_no_more_than_the_seconds(serve, place, seconds):
    """Nothing is published in it: before, it began anew after each kill."""
    args = [*place, "--checkpoint-seconds", seconds]
    server = serve(*args)
    begin(server, LONG)
    saved = 0
    for _ in range(2):
        first = wait_for(server, "training")["steps"]
        until = time.monotonic() + 240
        while (
            (now := server.get("/v1/train"))["steps"] < first + 2
            or seconds == 1 and now["saved_steps"] == saved
        ):
            assert time.monotonic() < until
            time.sleep(0.01)
        server.post("/v1/train/pause")
        now = wait_for(server, "paused")
        kill(server)
        server = serve(*args)
        again = wait_for(server, "paused")
        assert again["steps"] == again["saved_steps"] == now["saved_steps"]
        if seconds == 0:
            assert now["saved_steps"] == now["steps"], now
        elif seconds == 1:
            assert now["saved_steps"] > saved, now
        else:
            assert now["saved_steps"] == 0, now
        saved = now["saved_steps"]
        assert server.metrics()[
            'fieldtune_training_saved_steps{adapter="me"}'] == again["steps"]
        server.post("/v1/train/resume")


def test_stopped_by_request_it_stays_stopped(serve, place, tmp_path):
    server = serve(*place)
    begin(server, LONG)
    kept = json.loads((tmp_path / "work" / "training.json").read_text())
    assert kept["request"]["adapter"] == "me" and not kept["paused"]
    server.post("/v1/train/stop")
    kill(server)
    again = serve(*place)
    assert again.get("/v1/train") == {
        "running": False, "state": "none", "problem": ""}
    assert again.end() == (0, "")


def test_a_pause_is_kept_and_the_same_start_is_told_so(serve, place):
    server = serve(*place)
    begin(server, LONG)
    server.post("/v1/train/pause")
    kill(server)
    again = serve(*place)
    assert wait_for(again, "paused")["resumed"]
    told = again.post("/v1/train/start", **LONG)
    assert told["resumed"] and told["samples"] == 12
    again.refused(409, "runs; stop it", "/v1/train/start",
                  {**LONG, "rank": 4})  # fmt: skip
    again.refused(409, "runs; stop it", "/v1/train/start",
                  {**LONG, "fresh": True})  # fmt: skip
    again.post("/v1/train/resume")
    assert wait_for(again, "training")["steps"] >= 0
    assert again.end() == (0, "")


def test_not_where_it_is_not_wanted(serve, place):
    server = serve(*place)
    begin(server, LONG)
    kill(server)
    again = serve(*place, "--no-resume-training")
    time.sleep(0.5)
    assert again.get("/v1/train")["state"] == "none"
    # Kept for the next one.
    assert again.end() == (0, "")
    third = serve(*place)
    assert wait_for(third, "training")["resumed"]
    assert "--no-resume-training" in run("serve", "--help").stdout


@pytest.mark.parametrize("samples", ["disk", "memory"])
def test_one_service_trains_in_a_work_folder(serve, place, tmp_path, samples):
    """Two mixed their checkpoints, and one forgot what the other was told."""
    args = [*place, "--samples", samples]
    first = serve(*args)
    begin(first, LONG)
    record = (tmp_path / "work" / "training.json").read_text()
    second = serve(*args, port=True)
    until = time.monotonic() + 60
    while not (now := second.get("/v1/train"))["problem"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert "being written by another process" in now["problem"], now
    for name in ("me", "you"):
        second.refused(500, "being written by another process",
                       "/v1/train/start", {**LONG, "adapter": name})  # fmt: skip
    assert (tmp_path / "work" / "training.json").read_text() == record
    assert first.get("/v1/train")["running"]
    first.post("/v1/train/stop")
    assert second.post("/v1/train/start", **LONG)["problem"] == ""
    first.refused(500, "being written by another process", "/v1/train/start",
                  LONG)  # fmt: skip
    kill(second)
    assert first.post("/v1/train/start", **LONG)["problem"] == ""
    assert first.end() == (0, "")


@pytest.mark.parametrize("file, words", [
    ("training.json", "'{work}/training.json' is damaged"),
    ("me.samples", "its database is not of samples"),
    ("me.checkpoint", "safetensors: 1 bytes")])  # fmt: skip
def test_what_cannot_go_on_says_why(serve, place, tmp_path, file, words):
    server = serve(*place)
    begin(server, LONG)
    wait_for(server, "training")
    assert server.end() == (0, "")
    work = tmp_path / "work"
    (work / file).write_text("{")
    again = serve(*place)
    until = time.monotonic() + 60
    while not (now := again.get("/v1/train"))["problem"]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert words.format(work=work) in now["problem"], now
    assert "does not go on" in now["problem"] and now["state"] == "none"
    assert again.get("/v1/status")["training"]["problem"] == now["problem"]
    assert again.metrics()["fieldtune_training_problem"] == 1
    again.post("/v1/samples/delete", adapter="me")
    fresh = again.post("/v1/train/start", **{**LONG, "fresh": True})
    assert fresh["problem"] == "" and not fresh["resumed"]


def test_a_work_folder_that_is_deleted_under_it(serve, place, tmp_path):
    """Samples that would be in no folder are refused; the rest goes on."""
    server = serve(*place)
    begin(server, LONG)
    shutil.rmtree(tmp_path / "work")
    server.refused(500, "were removed while they were open", "/v1/samples",
                   sample(1))  # fmt: skip
    now = server.get("/v1/train")
    assert now["samples"] == now["kept_samples"] == 12
    told = server.post("/v1/train/pause")
    assert "would not know of the pause" in told["problem"]
    assert wait_for(server, "paused")["samples"] == 12
    server.refused(500, "checkpoint", "/v1/train/stop", {})
    assert server.get("/v1/train")["state"] == "stopped"
    assert server.get("/healthz") == {"status": "ok"}
