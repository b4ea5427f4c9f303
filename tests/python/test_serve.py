"""`fieldtune serve`, as a client sees it: a real model, adapters of a store or a
folder, both kinds of socket, bad input, and how it ends."""

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

import numpy as np
import pytest
from fieldtune_cli import BINARY, run, run_json

SHORT = ["--method", "lora", "--rank", 2, "--epochs", 1, "--seed"]
JSON = {"Content-Type": "application/json"}


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=30):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Server:
    """The running command; a client of it."""

    def __init__(self, folder, *args, port=False):
        self.socket = folder / "s.sock"
        where = ["--port", 0] if port else ["--socket", self.socket]
        self.process = subprocess.Popen(
            [str(a) for a in [BINARY, "serve", *args, *where, "--json"]],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.communicate()[1])
        self.listens_on = json.loads(line)["listens_on"][0]

    def connect(self):
        if self.listens_on.startswith("unix:"):
            return UnixConnection(self.socket)
        host, port = self.listens_on.removeprefix("http://").rsplit(":", 1)
        return http.client.HTTPConnection(host, int(port), timeout=30)

    def ask(self, method, path, body=None, headers=JSON):
        """(status, answer): parsed where it is JSON."""
        connection = self.connect()
        try:
            if body is not None and not isinstance(body, (str, bytes)):
                body = json.dumps(body)
            connection.request(method, path, body, headers if body else {})
            got = connection.getresponse()
            text = got.read()
            if got.headers["Content-Type"] == "application/json":
                return got.status, json.loads(text)
            return got.status, text.decode()
        finally:
            connection.close()

    def get(self, path):
        status, answer = self.ask("GET", path)
        assert status == 200, answer
        return answer

    def post(self, path, **body):
        status, answer = self.ask("POST", path, body)
        assert status == 200, answer
        return answer

    def refused(self, status, words, path, body, headers=JSON):
        got, answer = self.ask("POST", path, body, headers)
        assert got == status, (got, answer)
        assert list(answer) == ["error"] and words in answer["error"], answer

    def metrics(self):
        """{sample line without its value: value}."""
        lines = [line for line in self.get("/metrics").splitlines()
                 if not line.startswith("#")]
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                for line in lines}

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        error = self.process.communicate(timeout=30)[1]
        return self.process.returncode, error


@pytest.fixture(scope="module")
def kws(shared):
    return shared / "models" / "mlperf_tiny" / "kws_ref_model.tflite"


@pytest.fixture(scope="module")
def adapters(kws, tmp_path_factory):
    """Three of one base, by other seeds."""
    folder = tmp_path_factory.mktemp("adapters")
    rng = np.random.default_rng(1)
    shape = run_json("inspect", kws)["inputs"][0]["shape"]
    np.save(folder / "x.npy", rng.normal(size=(48, *shape[1:])).astype("f4"))
    np.save(folder / "y.npy", (np.arange(48) % 12).astype("i4"))
    files = [folder / f"v{i}.safetensors" for i in (1, 2, 3)]
    for i, file in enumerate(files):
        run_json("train", kws, "--data", folder / "x.npy", "--labels",
                 folder / "y.npy", *SHORT, i, "--out", file)  # fmt: skip
    return files


@pytest.fixture
def store(tmp_path, kws, adapters):
    """me@1 confirmed, me@2 staged, you@1 confirmed."""
    folder = tmp_path / "store"
    run_json("store", "init", folder, "--model", kws)
    for name, file in [("me", 0), ("me", 1), ("you", 2)]:
        run_json("store", "add", folder, adapters[file], "--name", name)
    for name in ("me", "you"):
        run_json("store", "use", folder, f"{name}@1")
        run_json("store", "use", folder, name, "--confirm")
    return folder


@pytest.fixture
def serve(tmp_path):
    """serve(args...): a server that is ended after the test."""
    servers = []

    def start(*args, **options):
        servers.append(Server(tmp_path, *args, **options))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.process.kill()
        server.process.communicate()


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(7)
    return [float(x) for x in rng.normal(0, 10, 490).astype("f4")]


def classes(server, features, **fields):
    return server.post("/v1/predict", features=features, **fields)


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


def bad_requests(features):
    good = {"features": features}
    return [
        (400, "not JSON", "/v1/predict", "{", JSON),
        (400, "not JSON", "/v1/predict", '{"features": [NaN]}', JSON),
        (400, "not JSON", "/v1/predict", '{"features": [1e999]}', JSON),
        (400, "no JSON object", "/v1/predict", "[1]", JSON),
        (400, "nested deeper", "/v1/predict", "[" * 50000, JSON),
        (400, "list of numbers", "/v1/predict", "{}", JSON),
        (400, "list of numbers", "/v1/predict", {"features": ["1"]}, JSON),
        (400, "not finite", "/v1/predict", {"features": [1e39] * 490}, JSON),
        (400, "3 features, the model takes 490", "/v1/predict",
         {"features": [1, 2, 3]}, JSON),
        (400, "no field 'feature'", "/v1/predict", {"feature": []}, JSON),
        (400, "'version' must", "/v1/predict",
         {**good, "adapter": "me", "version": 0}, JSON),
        (400, "'adapter' must", "/v1/predict", {**good, "adapter": 5}, JSON),
        (400, "'requests' must", "/v1/predict", {"requests": []}, JSON),
        (404, "no adapter 'nobody'", "/v1/predict",
         {**good, "adapter": "nobody"}, JSON),
        (404, "no adapter", "/v1/predict",
         {**good, "adapter": "../me\u0000\ud7ff"}, JSON),
        (404, "no version 9", "/v1/predict",
         {**good, "adapter": "me", "version": 9}, JSON),
        (404, "no adapter 'nobody'", "/v1/predict",
         {"requests": [good, {**good, "adapter": "nobody"}]}, JSON),
        (404, "no adapter 'nobody'", "/v1/use", {"adapter": "nobody"}, JSON),
        (404, "no version 7", "/v1/use", {"adapter": "me", "version": 7}, JSON),
        (409, "in use", "/v1/use", {"adapter": "me", "confirm": True}, JSON),
        (404, "no adapter", "/v1/rollback", {"adapter": "nobody"}, JSON),
        (404, "no adapter", "/v1/adapters/load", {"adapter": "nobody"}, JSON),
        (404, "no adapter", "/v1/adapters/unload", {"adapter": "nobody"}, JSON),
        (404, "unknown", "/v1/feedback", {"id": "x", "class": 1}, JSON),
        (400, "needs the fields", "/v1/feedback", {"id": "x"}, JSON),
        (409, "no training runs", "/v1/samples", {**good, "label": 1}, JSON),
        (409, "no training runs", "/v1/train/pause", "{}", JSON),
        (409, "--work", "/v1/train/start",
         {"adapter": "me", "total_steps": 5}, JSON),
        (415, "application/json", "/v1/predict", "features=1",
         {"Content-Type": "application/x-www-form-urlencoded"}),
        (415, "application/json", "/v1/predict", b"x", {}),
        (415, "compressed", "/v1/predict", b"x",
         {**JSON, "Content-Encoding": "gzip"}),
        (413, "above 65536 bytes", "/v1/predict", b" " * 70000, JSON),
        (404, "nothing at this path", "/v1/nothing", "{}", JSON),
        (404, "nothing at this path", "/" + "a" * 1500, "{}", JSON),
        (405, "takes GET", "/v1/status", "{}", JSON),
        (403, "another site", "/v1/reload", "{}",
         {**JSON, "Origin": "https://example.org"}),
    ]  # fmt: skip


def test_bad_input_is_refused_and_changes_nothing(serve, store, kws, features):
    server = serve(kws, "--store", store, "--use", "me", "--max-body", "64K")
    before = classes(server, features)
    listed = server.get("/v1/adapters")
    for status, words, path, body, headers in bad_requests(features):
        server.refused(status, words, path, body, headers)
    assert server.ask("GET", "/v1/predict")[0] == 405
    assert server.ask("DELETE", "/v1/adapters")[0] == 405
    after = classes(server, features)
    assert after["answer"] == before["answer"] and after["version"] == 1
    assert server.get("/v1/adapters") == listed
    assert run_json("store", "show", store, "me")["slot"] == "confirmed"
    assert server.get("/v1/status")["failed_requests"] == 0
    assert server.end() == (0, "")


def raw(server, data, wait=5):
    """What comes back for bytes as they are, until the server closes or says
    nothing for a moment."""
    connection = server.connect()
    connection.connect()
    connection.sock.settimeout(wait)
    connection.sock.sendall(data)
    got = b""
    try:
        while chunk := connection.sock.recv(65536):
            got += chunk
    except TimeoutError:
        pass
    connection.close()
    return got


RAW = [
    (b"\r\n\r\n", b"400"),
    (b"GET / HTTP/2.0\r\n\r\n", b"400"),
    (b"GET /\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\n\r\n", b"400"),  # no Host
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: 1\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", b"400"),
    (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"40"),
    (b"POST /v1/use HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
     b"Content-Length: 2\r\n\r\n{}", b"400"),
    (b"POST /v1/use HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", b"400"),
    (b"POST /v1/use HTTP/1.1\r\nHost: a\r\nContent-Length: "
     b"99999999999999999999999\r\n\r\n", b"413"),
    (b"POST /v1/use HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"2\r\n{}\r\n0\r\n\r\n", b"411"),
    (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20000 + b"\r\n\r\n", b"431"),
    (b"\xff" * 20000, b"431"),
]  # fmt: skip


def test_bytes_that_are_no_request_are_refused(serve, store, kws):
    server = serve(kws, "--store", store)
    for data, status in RAW:
        got = raw(server, data)
        assert got.startswith(b"HTTP/1.1 " + status), (data[:80], got[:200])
        body = json.loads(got.split(b"\r\n\r\n", 1)[1])
        assert list(body) == ["error"]
    assert server.get("/healthz") == {"status": "ok"}


def test_one_connection_for_many_requests(serve, store, kws, features):
    server = serve(kws, "--store", store)
    body = json.dumps({"features": features}).encode()
    request = (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
               b"application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
               + body)
    last = request.replace(b"Host", b"Connection: close\r\nHost", 1)
    got = raw(server, request * 7 + last, wait=30)
    assert got.count(b"HTTP/1.1 200 OK") == 8
    # A byte at a time, refusals in between, without a new connection.
    connection = server.connect()
    for _ in range(20):
        connection.request("POST", "/v1/nothing", "{}", JSON)
        answer = connection.getresponse()
        assert answer.status == 404 and answer.read()
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
    connection.close()
    slow = server.connect()
    slow.connect()
    for i in range(0, len(last), 97):
        slow.sock.sendall(last[i:i + 97])
    assert slow.sock.recv(15) == b"HTTP/1.1 200 OK"
    slow.close()


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
    finally:
        os.chmod(store, 0o700)


def test_a_damaged_adapter_is_refused_and_the_old_one_stays(
        serve, store, kws, features):
    server = serve(kws, "--store", store, "--use", "me")
    sha = run_json("store", "show", store, "me@2")["adapter_sha256"]
    file = store / "objects" / sha[:2] / f"{sha}.safetensors"
    file.chmod(0o600)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    for path in ("/v1/predict", "/v1/use"):
        extra = {"features": features} if path == "/v1/predict" else {}
        status, answer = server.ask("POST", path, {
            "adapter": "me", "version": 2, **extra})
        assert status in (422, 500) and "me@2" in answer["error"], answer
    assert classes(server, features)["version"] == 1
    assert run_json("store", "show", store, "me")["version"] == 1
    # Another process puts it on trial: what answers stays, and it is told.
    run_json("store", "use", store, "me@2")
    told = server.post("/v1/reload")
    assert "me@2" in told["problem"]
    assert classes(server, features)["version"] == 1


def test_refuses_to_start(store, kws, tmp_path):
    def refused(code, words, *args):
        done = run("serve", *args, timeout=60)
        assert done.returncode == code, (done.returncode, done.stderr)
        assert words in done.stderr and done.stderr.count("\n") == 1

    sock = ["--socket", tmp_path / "s.sock"]
    refused(2, "--socket PATH or --port", kws, "--store", store)
    refused(2, "--store STORE or", kws, *sock)
    refused(2, "not of the loopback", kws, "--store", store, "--port", 0,
            "--address", "0.0.0.0")
    refused(2, "not of the loopback", kws, "--store", store, "--port", 0,
            "--address", "192.168.0.1")
    refused(2, "107 bytes", kws, "--store", store, "--socket", "/" + "x" * 120)
    refused(2, "no adapter 'nobody'", kws, "--store", store, *sock, "--use",
            "nobody")
    refused(3, "no store", kws, "--store", tmp_path / "none", *sock)
    refused(5, "cannot", tmp_path / "none.tflite", "--store", store, *sock)
    assert not (tmp_path / "s.sock").exists()
    assert "fieldtune serve kws.tflite" in run("serve", "--help").stdout
