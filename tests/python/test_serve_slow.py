"""`fieldtune serve` beside clients that send slowly, or do not read what they
asked for: nobody else notices."""

import time

import numpy as np
from fieldtune_cli import run
from serve_client import (  # noqa: F401 (fixtures)
    adapters,
    classes,
    features,
    kws,
    serve,
    store,
)

PAGE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = (b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        b"application/json\r\nContent-Length: 5000\r\n\r\n{")  # fmt: skip
LIMITS = ["--header-timeout", 600, "--body-timeout", 600, "--answer-timeout",
          600]  # fmt: skip


def slow_clients(server, count):
    """`count` of each kind: no reader, half a header, half a body, nothing."""
    held = []
    for sent in (PAGE * 400, PAGE[:20], BODY, b""):
        for _ in range(count):
            connection = server.connect()
            connection.connect()
            connection.sock.settimeout(2)
            held.append(connection)
            try:
                connection.sock.sendall(sent)
            except TimeoutError:
                pass  # the server reads no more until its answers are read
    return held


def p99_ms(server, features, requests=300):
    """Each on a connection of its own."""
    took = []
    for _ in range(requests):
        began = time.monotonic()
        assert classes(server, features)["adapter"] == "me"
        took.append(1000 * (time.monotonic() - began))
    return float(np.percentile(took, 99))


def test_slow_clients_are_in_nobodys_way(serve, store, kws, features):
    server = serve(kws, "--store", store, "--use", "me", *LIMITS)
    alone = p99_ms(server, features)
    held = slow_clients(server, 8)
    assert server.get("/v1/status")["connections"]["open"] >= 32
    beside = p99_ms(server, features)
    print(f"p99 {alone:.1f} ms alone, {beside:.1f} ms beside 32 slow clients")
    assert beside < 1000  # it was 10 s
    found = server.metrics()
    assert found["fieldtune_http_held_bytes"] > 8 * 10_000
    assert found["fieldtune_http_connections"] >= 32
    for connection in held:
        connection.close()
    until = time.monotonic() + 10
    while server.get("/v1/status")["connections"]["open"] > 1:
        assert time.monotonic() < until
    assert server.end() == (0, "")


def test_slow_clients_are_told_to_go(serve, store, kws):
    server = serve(kws, "--store", store, "--header-timeout", 1,
                   "--body-timeout", 1, "--answer-timeout", 1,
                   "--idle-timeout", 1)  # fmt: skip
    reader, head, body, idle = slow_clients(server, 1)
    for connection, said in [(head, b"408"), (body, b"408"), (idle, b"")]:
        connection.sock.settimeout(20)
        assert said in connection.sock.recv(65536)
        connection.close()
    key = 'fieldtune_http_refused_connections_total{reason="slow_reader"}'
    until = time.monotonic() + 20
    while server.metrics()[key] < 1:
        assert time.monotonic() < until
        time.sleep(0.1)
    reader.close()
    assert server.end() == (0, "")


def test_limits_of_clients_are_checked(store, kws, tmp_path):
    sock = ["--socket", tmp_path / "s.sock"]
    for words, args in [
            ("--max-held 1M", ["--max-held", "1M"]),
            ("open files", ["--max-connections", 99999]),
            ("--header-timeout", ["--header-timeout", 0])]:  # fmt: skip
        done = run("serve", kws, "--store", store, *sock, *args, timeout=60,
                   prefix=["prlimit", "--nofile=1000:5000"])  # fmt: skip
        assert done.returncode == 2 and words in done.stderr, done.stderr
