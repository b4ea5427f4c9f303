"""What tests and benchmarks of `fieldtune serve` share: the running command, a
client of it, and a store of really trained adapters."""

import http.client
import json
import signal
import socket
import subprocess

import numpy as np
import pytest
from fieldtune_cli import BINARY, run_json
from trained_adapters import adapters, kws  # noqa: F401 (fixtures)

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
    """The answer to one sample."""
    return server.post("/v1/predict", features=features, **fields)
