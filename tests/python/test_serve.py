"""`fieldtune serve`, as a client sees it: a real model, adapters of a store or a
folder, both kinds of socket, and how it ends."""

import http.client
import os
import threading
import time

import numpy as np
import pytest
from fieldtune_cli import run, run_json
from serve_client import (  # noqa: F401 (fixtures)
    Server,
    adapters,
    classes,
    features,
    kws,
    serve,
    store,
)


@pytest.mark.parametrize("port", [False, True])
def test_predicts_by_the_version_that_it_names(serve, store, kws, features, port):
    server = serve(kws, "--store", store, port=port)
    assert server.get("/healthz") == {"status": "ok"}
    base = classes(server, features)
    assert base["adapter"] is None and base["version"] is None
    assert base["class"] == int(np.argmax(base["answer"]))
    one = classes(server, features, adapter="me")
    two = classes(server, features, adapter="me", version=2)
    you = classes(server, features, adapter="you")
    assert (one["adapter"], one["version"]) == ("me", 1)
    assert (two["adapter"], two["version"]) == ("me", 2)
    assert len({tuple(a["answer"]) for a in (base, one, two, you)}) == 4

    batch = server.post("/v1/predict", requests=[
        {"adapter": "you", "features": features},
        {"adapter": "me", "version": 2, "features": features},
        {"adapter": None, "features": features}])["answers"]
    assert [a["answer"] for a in batch] == [
        you["answer"], two["answer"], base["answer"]]

    assert server.post("/v1/use", adapter="me") == {
        "adapter": "me", "version": 1}
    assert classes(server, features)["answer"] == one["answer"]
    assert server.post("/v1/use", adapter="me", version=2)["version"] == 2
    assert classes(server, features)["answer"] == two["answer"]
    assert run_json("store", "show", store, "me")["slot"] == "trial"
    server.post("/v1/use", adapter="me", confirm=True)
    assert run_json("store", "show", store, "me@2")["slot"] == "confirmed"
    assert server.post("/v1/rollback", adapter="me")["version"] == 1
    assert classes(server, features)["answer"] == one["answer"]
    assert server.end() == (0, "")


def test_answers_as_the_command_does(serve, store, kws, adapters, features,
                                     tmp_path):
    """A store's adapters, and the same files of a folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "first.safetensors").write_bytes(adapters[0].read_bytes())
    server = serve(kws, "--adapters", folder, "--use", "first")
    other = Server(tmp_path, kws, "--store", store, port=True)
    ours = classes(server, features)
    assert ours["adapter"] == "first"
    assert ours["answer"] == classes(other, features, adapter="me")["answer"]
    assert other.end() == (0, "")
    # A file that comes, one that takes another's place, one that goes.
    (folder / "second.safetensors").write_bytes(adapters[1].read_bytes())
    server.post("/v1/adapters/load", adapter="second")
    second = classes(server, features, adapter="second")
    os.replace(folder / "second.safetensors", folder / "first.safetensors")
    server.post("/v1/reload")
    assert classes(server, features)["answer"] == second["answer"]
    server.refused(404, "no adapter 'second'", "/v1/predict",
                   {"adapter": "second", "features": features})


def test_sees_what_another_process_changed(serve, store, kws, features):
    server = serve(kws, "--store", store, "--use", "me", "--watch", 50)
    assert classes(server, features)["version"] == 1
    run_json("store", "use", store, "me@2")
    until = time.monotonic() + 10
    while classes(server, features)["version"] == 1:
        assert time.monotonic() < until
        time.sleep(0.02)
    run_json("store", "rollback", store, "me")
    assert server.post("/v1/reload")["problem"] == ""
    assert classes(server, features)["version"] == 1


def test_loads_and_unloads(serve, store, kws, features):
    server = serve(kws, "--store", store, "--budget", "1M")
    one = server.post("/v1/adapters/load", adapter="me")
    assert one == {"adapter": "me", "version": 1}

    def version(name, number):
        for entry in server.get("/v1/adapters")["adapters"]:
            for v in entry["versions"]:
                if (entry["adapter"], v["version"]) == (name, number):
                    return v

    held = version("me", 1)
    assert held["kept"] and held["in_memory_bytes"] > 0
    assert held["slot"] == "confirmed" and version("me", 2)["slot"] == "staged"
    assert version("you", 1)["in_memory_bytes"] == 0
    status = server.get("/v1/status")
    assert status["memory"]["adapter_bytes"] == held["in_memory_bytes"]
    assert status["memory"]["budget_bytes"] == 1 << 20
    server.post("/v1/adapters/unload", adapter="me")
    assert version("me", 1)["in_memory_bytes"] == 0
    assert server.get("/v1/status")["memory"]["adapter_bytes"] == 0
    server.post("/v1/use", adapter="me")
    server.refused(409, "is the active one", "/v1/adapters/unload",
                   {"adapter": "me"})
    assert classes(server, features)["version"] == 1


def test_a_budget_below_one_adapter_is_told(serve, store, kws, features):
    server = serve(kws, "--store", store, "--budget", "1K")
    server.refused(507, "do not fit", "/v1/predict",
                   {"adapter": "me", "features": features})
    server.refused(507, "do not fit", "/v1/use", {"adapter": "me"})
    assert classes(server, features)["adapter"] is None


def test_feedback_is_counted_once(serve, store, kws, features):
    server = serve(kws, "--store", store)
    given = classes(server, features, adapter="me")
    for right in (True, False):
        given = classes(server, features, adapter="me")
        told = given["class"] if right else (given["class"] + 1) % 12
        assert server.post("/v1/feedback", id=given["id"], **{"class": told}) == {
            "adapter": "me", "version": 1, "right": right}
        server.refused(404, "judged before", "/v1/feedback",
                       {"id": given["id"], "class": told})
    found = server.metrics()
    for right in ("true", "false"):
        assert found['fieldtune_feedback_total{adapter="me",version="1",'
                     f'right="{right}"}}'] == 1


def test_metrics_are_prometheus_text(serve, store, kws, features):
    server = serve(kws, "--store", store, "--use", "me", "--budget", "1M")
    for _ in range(5):
        classes(server, features)
    server.refused(400, "not JSON", "/v1/predict", "{")
    text = server.get("/metrics")
    kind, helped = {}, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped.add(line.split()[2])
        elif line.startswith("# TYPE "):
            name, type_ = line.split()[2:]
            assert name in helped and name not in kind
            kind[name] = type_
        else:
            name = line.split("{")[0].split()[0]
            family = next((name.removesuffix(e) for e in
                           ("_bucket", "_sum", "_count")
                           if name.endswith(e) and name.removesuffix(e) in kind),
                          name)  # fmt: skip
            assert family in kind, line
            float(line.rsplit(" ", 1)[1])
    found = server.metrics()
    assert found['fieldtune_http_requests_total{route="/v1/predict",'
                 'status="200"}'] == 5
    assert found['fieldtune_http_requests_total{route="/v1/predict",'
                 'status="400"}'] == 1
    buckets = [v for k, v in found.items()
               if k.startswith("fieldtune_http_request_duration_seconds_bucket")
               and 'route="/v1/predict"' in k]
    assert buckets == sorted(buckets) and buckets[-1] == 6
    assert found['fieldtune_answers_total{adapter="me",version="1"}'] == 5
    assert found["fieldtune_adapter_swaps_total"] == 1
    assert found["fieldtune_adapter_budget_bytes"] == 1 << 20
    assert found["process_resident_memory_bytes"] > 1 << 20


def test_ends_gracefully_with_requests_under_way(serve, store, kws, features):
    server = serve(kws, "--store", store, "--use", "me")
    expected = classes(server, features)["answer"]
    good, refused, wrong = [], [], []
    stop = threading.Event()

    def client():
        while not stop.is_set():
            try:
                status, answer = server.ask("POST", "/v1/predict",
                                            {"features": features})
                ok = status == 200 and answer["answer"] == expected
                (good if ok else wrong).append((status, answer))
            except (ConnectionError, FileNotFoundError,
                    http.client.RemoteDisconnected) as gone:
                refused.append(gone)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    assert server.end() == (0, "")
    stop.set()
    for thread in threads:
        thread.join()
    assert good and not wrong
    assert not server.socket.exists()


def test_killed_and_started_again(serve, store, kws, features):
    server = serve(kws, "--store", store)
    server.post("/v1/use", adapter="me", version=2)
    server.process.kill()
    server.process.communicate()
    assert server.socket.exists()  # stale
    again = serve(kws, "--store", store, "--use", "me")
    assert classes(again, features)["version"] == 2
    # A live one is not taken over, nor is a file.
    done = run("serve", kws, "--store", store, "--socket", again.socket)
    assert done.returncode == 5 and "another service" in done.stderr
    file = again.socket.with_name("file")
    file.write_text("mine")
    done = run("serve", kws, "--store", store, "--socket", file)
    assert done.returncode == 2 and "no socket" in done.stderr
    assert file.read_text() == "mine"
    assert classes(again, features)["version"] == 2


def test_what_answered_is_collected_last(serve, store, kws, features):
    """`store gc --max-bytes` goes by what the service notes at its end."""
    def last_use():
        return {f"{a['name']}@{a['version']}": a["last_use"]
                for a in run_json("store", "list", store)["adapters"]}

    before = last_use()
    assert before["me@2"] == 0
    server = serve(kws, "--store", store)
    classes(server, features, adapter="me", version=2)
    assert server.end() == (0, "")
    after = last_use()
    assert after.pop("me@2") > max(before.values())
    assert after == {a: before[a] for a in after}


def test_adapters_in_integers(serve, store, kws, features, tmp_path):
    server = serve(kws, "--store", store, "--adapter-mode", "int8")
    whole = serve(kws, "--store", store, port=True)
    assert server.get("/v1/status")["adapter_mode"] == "int8"
    assert classes(server, features) != classes(whole, features)  # ids
    for adapter in ("me", "you"):
        ours, theirs = (classes(s, features, adapter=adapter)
                        for s in (server, whole))
        assert ours["answer"] != theirs["answer"]
        assert np.corrcoef(ours["answer"], theirs["answer"])[0, 1] > 0.9
    done = run("serve", kws, "--store", store, "--port", 0, "--adapter-mode",
               "int4")
    assert done.returncode == 2 and "--adapter-mode" in done.stderr


def test_two_services_of_one_store(serve, store, kws, features, tmp_path):
    one = serve(kws, "--store", store, "--use", "me", "--watch", 50)
    two = serve(kws, "--store", store, "--use", "me", "--watch", 50, port=True)
    one.post("/v1/use", adapter="me", version=2)
    until = time.monotonic() + 10
    while classes(two, features)["version"] != 2:
        assert time.monotonic() < until
        time.sleep(0.02)
    two.post("/v1/rollback", adapter="me")
    assert two.get("/v1/status")["active_version"] == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_cannot_be_written_is_served(serve, store, kws, features):
    os.chmod(store, 0o500)
    try:
        server = serve(kws, "--store", store, "--use", "me")
        assert classes(server, features)["version"] == 1
        status, answer = server.ask("POST", "/v1/use",
                                    {"adapter": "me", "version": 2})
        assert status == 500 and "error" in answer
        assert classes(server, features)["version"] == 1
        assert server.end() == (0, "")  # though no use can be noted
    finally:
        os.chmod(store, 0o700)
