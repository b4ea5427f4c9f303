"""`fieldtune serve` and what it must refuse, with everything as it was."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

from fieldtune_cli import run, run_json
from serve_client import (  # noqa: F401 (fixtures)
    JSON,
    adapters,
    classes,
    features,
    kws,
    serve,
    store,
)


def bad_requests(features):
    good = {"features": features}
    return [
        (400, "not JSON", "/v1/predict", "{", JSON),
        (400, "not JSON", "/v1/predict", '{"features": [NaN]}', JSON),
        (400, "not JSON", "/v1/predict", '{"features": [1e999]}', JSON),
        (400, "not JSON", "/v1/use", b'{"adapter": "me"}\0', JSON),
        (400, "not JSON", "/v1/use", b'{"adapter": "\xff"}', JSON),
        (400, "there twice", "/v1/use",
         '{"adapter": "you", "adapter": "me"}', JSON),
        (400, "20003 lists, objects", "/v1/predict",
         '{"features": [' + "[]," * 20000 + "0]}", JSON),
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
        (409, "on trial", "/v1/use", {"adapter": "me", "confirm": True}, JSON),
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


def test_tokens_that_there_are_not_are_refused(serve, shared, tmp_path):
    """They were taken for the nearest ones."""
    model = shared / "models" / "stories260k" / "stories260K.bin"
    server = serve(model, "--adapters", tmp_path, "--seq-len", 4)
    assert len(classes(server, [0, 1, 511, 7])["answer"]) == 4 * 512
    for at, token in enumerate([512, -1, 0.5, 1e30]):
        x = [1] * 4
        x[at] = token
        words = f"feature {at} is {token:g}"
        server.refused(400, words, "/v1/predict", {"features": x})
        server.refused(400, "the model reads tokens from 0 to 511",
                       "/v1/predict", {"requests": [{"features": x}]})
    assert server.end() == (0, "")


def test_small_parts_of_a_body_do_not_take_the_memory(serve, store, kws):
    """Clients at once send what would be a hundred bytes for each two."""
    server = serve(kws, "--store", store)

    def resident():
        return server.metrics()["process_resident_memory_bytes"]

    before = resident()
    for part in ["{},", "[],", '"",', "0,"]:
        body = '{"features": [' + part * (4_000_000 // len(part)) + "0]}"
        with ThreadPoolExecutor(8) as clients:
            told = list(clients.map(
                lambda _, body=body: server.ask("POST", "/v1/predict", body),
                range(8)))  # fmt: skip
        assert {status for status, _ in told} == {400}
    with open(f"/proc/{server.process.pid}/status") as file:
        peak = next(1024 * int(line.split()[1]) for line in file
                    if line.startswith("VmHWM"))  # fmt: skip
    print(f"{before / 1e6:.0f} MB, at most {peak / 1e6:.0f} MB, "
          f"then {resident() / 1e6:.0f} MB")  # fmt: skip
    assert peak < before + 300e6
    assert resident() < before + 40e6
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
    (tmp_path / "file").write_text("")
    refused(5, "cannot make folder", kws, "--store", store, *sock, "--work",
            tmp_path / "file")
    refused(5, "cannot make folder", kws, "--store", store, *sock, "--work",
            tmp_path / "file" / "below")
    assert not (tmp_path / "s.sock").exists()
    assert "fieldtune serve kws.tflite" in run("serve", "--help").stdout


def test_too_many_connections_are_told(serve, store, kws):
    server = serve(kws, "--store", store, "--max-connections", 3)
    held = [server.connect() for _ in range(3)]
    for connection in held:
        connection.connect()
        connection.sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n")
    time.sleep(0.2)
    got = raw(server, b"")
    assert got.startswith(b"HTTP/1.1 503 ") and b"too many" in got
    assert b"\r\nRetry-After: 1\r\n" in got
    # One that is idle makes room.
    held[0].sock.sendall(b"\r\n")
    assert held[0].sock.recv(4096).startswith(b"HTTP/1.1 200 OK")
    until = time.monotonic() + 10
    while server.ask("GET", "/healthz")[0] != 200:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert held[0].sock.recv(4096) == b""
    held[1].sock.sendall(b"\r\n")
    assert held[1].sock.recv(4096).startswith(b"HTTP/1.1 200 OK")
    for connection in held:
        connection.close()
