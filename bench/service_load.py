"""`fieldtune serve` under load: 500 requests a second over a Unix socket while
adapters are swapped, loaded, unloaded, trained, published and collected.

    python bench/service_load.py [--quick]

Requests have their times in advance (open loop), over CLIENTS connections that
stay open, and each names an adapter, a version or neither. Latency counts from
the time a request was due, so one that waits behind a slow one counts in full.
Every answer is compared with what the same version answered before the load: a
wrong one is an error. Memory is the process's resident bytes once a second.
"""

import http.client
import json
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
from adapter_runtime import KWS, Rows
from serve_client import Server
from session import WORK, cli, save

RATE, SECONDS, SECONDS_QUICK, CLIENTS = 500, 300, 30, 10
NAMES, SAMPLES = 20, 200
FOLDER = WORK / "service_load"


def make_store():
    """`user0` ... with two versions each, of three really trained files."""
    rng = np.random.default_rng(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (FOLDER / "work").mkdir()
    np.save(FOLDER / "x.npy", rng.normal(size=(48, 490)).astype("f4").reshape(
        48, *cli.run_json("inspect", KWS)["inputs"][0]["shape"][1:]))
    np.save(FOLDER / "y.npy", (np.arange(48) % 12).astype("i4"))
    files = [FOLDER / f"{seed}.safetensors" for seed in range(3)]
    for seed, file in enumerate(files):
        cli.run_json("train", KWS, "--data", FOLDER / "x.npy", "--labels",
                     FOLDER / "y.npy", "--rank", 4, "--epochs", 1, "--seed",
                     seed, "--out", file)  # fmt: skip
    store = FOLDER / "store"
    cli.run_json("store", "init", store, "--model", KWS)
    for i in range(NAMES):
        for file in (files[i % 3], files[(i + 1) % 3]):
            cli.run_json("store", "add", store, file, "--name", f"user{i}")
        cli.run_json("store", "use", store, f"user{i}@1")
        cli.run_json("store", "use", store, f"user{i}", "--confirm")
    return store


class Load:
    """Clients that send at RATE, and what they saw."""

    def __init__(self, server, features):
        self.server, self.features = server, features
        self.lock = threading.Lock()
        self.oracle, self.late_ms, self.errors = {}, [], []
        self.bodies = [
            json.dumps({"features": features, **fields}) for fields in
            [{}, *({"adapter": f"user{i}"} for i in range(NAMES)),
             *({"adapter": f"user{i}", "version": 2} for i in range(NAMES))]]  # fmt: skip

    def judge(self, status, answer):
        """Whether it is what this version of this adapter always answers."""
        if status != 200:
            return False
        if answer["adapter"] == "learner":  # changes all the time
            return True
        known = self.oracle.setdefault(
            (answer["adapter"], answer["version"]), answer["answer"])
        return known == answer["answer"]

    def client(self, number, began, seconds):
        connection = self.server.connect()
        late, wrong = [], []
        for i in range(number, int(RATE * seconds), CLIENTS):
            due = began + i / RATE
            time.sleep(max(0, due - time.monotonic()))
            try:
                connection.request("POST", "/v1/predict",
                                   self.bodies[i * 7 % len(self.bodies)],
                                   {"Content-Type": "application/json"})
                got = connection.getresponse()
                text = got.read()
                if not self.judge(got.status, json.loads(text)):
                    wrong.append(text.decode()[:200])
            except (OSError, http.client.HTTPException) as broken:
                wrong.append(repr(broken))
                connection.close()
            late.append(1000 * (time.monotonic() - due))
        connection.close()
        with self.lock:
            self.late_ms += late
            self.errors += wrong


class Changes:
    """What else happens meanwhile; every refusal that was not expected is an
    error."""

    def __init__(self, server, store):
        self.server, self.store = server, store
        self.ends = threading.Event()
        self.counts = dict.fromkeys(
            ["swaps", "loads", "unloads", "trials", "collections"], 0)
        self.errors = []

    def ask(self, what, path, **body):
        status, answer = self.server.ask("POST", path, body)
        # The active adapter cannot be unloaded, and may have become so.
        if status != 200 and not (what == "unloads" and status == 409):
            self.errors.append(f"{path} {body}: {answer}")
        self.counts[what] += 1

    def swap(self):
        for i in range(1 << 30):
            if self.ends.wait(0.05):
                return
            self.ask("swaps", "/v1/use", adapter=f"user{i % NAMES}")

    def load(self):
        for i in range(1 << 30):
            if self.ends.wait(0.05):
                return
            what = "loads" if i % 2 else "unloads"
            self.ask(what, f"/v1/adapters/{what[:-1]}",
                     adapter=f"user{i // 2 % NAMES}")

    def change_versions(self):
        """Trials and their ends in the service, collection by a process."""
        for i in range(1 << 30):
            if self.ends.wait(1):
                return
            name = f"user{i // 2 % NAMES}"
            if i % 2 == 0:
                self.ask("trials", "/v1/use", adapter=name, version=2)
            else:
                self.ask("trials", "/v1/rollback", adapter=name)
            if i % 30 == 29:
                done = cli.run("store", "gc", self.store, "--keep", 3)
                if done.returncode:
                    self.errors.append(done.stderr)
                self.counts["collections"] += 1


def teach(server):
    server.post("/v1/train/start", adapter="learner", total_steps=10**7,
                publish_every=100, batch=2, schedule="constant",
                classes=[f"c{i}" for i in range(12)])  # fmt: skip
    rng = np.random.default_rng(2)
    for i in range(SAMPLES):
        x = rng.normal(i % 12 - 6, 5, 490).astype("f4")
        server.post("/v1/samples", features=[float(v) for v in x], label=i % 12)


def watch_memory(process, seconds):
    """Resident bytes, once a second."""
    series, page = [], 4096
    for _ in range(seconds):
        time.sleep(1)
        fields = Path(f"/proc/{process.pid}/statm").read_text().split()
        series.append(int(fields[1]) * page)
    return series


def run(server, store, seconds):
    features = [float(f"{x:.3g}") for x in np.random.default_rng(3).normal(0, 10, 490)]
    load, changes = Load(server, features), Changes(server, store)
    for body in load.bodies:
        load.judge(*server.ask("POST", "/v1/predict", body))
    teach(server)
    others = [threading.Thread(target=t) for t in
              (changes.swap, changes.load, changes.change_versions)]  # fmt: skip
    began = time.monotonic() + 1
    clients = [threading.Thread(target=load.client, args=(i, began, seconds))
               for i in range(CLIENTS)]  # fmt: skip
    for thread in [*others, *clients]:
        thread.start()
    memory = watch_memory(server.process, seconds)
    for thread in clients:
        thread.join()
    took = time.monotonic() - began
    changes.ends.set()
    for thread in others:
        thread.join()
    return load, changes, memory, took


def figures(load, changes, memory, took, training):
    rows = Rows()
    n, minute = len(load.late_ms), len(memory) // 5
    first, last = np.mean(memory[:minute]), np.mean(memory[-minute:])
    errors = load.errors + changes.errors
    for error in errors[:10]:
        print("error:", error)
    rows.add("Requests answered", n, "requests")
    rows.add("Rate", n / took, "1/s", 0.99 * RATE, at_least=True)
    rows.add("Errors and wrong answers", len(errors), "answers", 0)
    rows.add("Latency p50", float(np.percentile(load.late_ms, 50)), "ms")
    rows.add("Latency p99", float(np.percentile(load.late_ms, 99)), "ms")
    rows.add("Resident memory in the first fifth", first / 2**20, "MB")
    rows.add("Resident memory in the last fifth over that", last / first, "ratio", 1.05)
    for name, count in changes.counts.items():
        rows.add(f"Meanwhile: {name}", count, "requests")
    rows.add("Meanwhile: training steps", training["steps"], "steps")
    rows.add("Meanwhile: versions published", training["published"], "versions")
    return rows.rows


def main():
    if not cli.MODELS.is_dir():
        print(f"service_load: real inputs are absent: no folder {cli.MODELS}")
        return 0
    store = make_store()
    seconds = SECONDS_QUICK if "--quick" in sys.argv else SECONDS
    server = Server(FOLDER, KWS, "--store", store, "--work", FOLDER / "work",
                    "--budget", "1M", "--max-samples", SAMPLES)  # fmt: skip
    try:
        load, changes, memory, took = run(server, store, seconds)
        training = server.get("/v1/train")
        code, said = server.end()
    except BaseException:
        server.process.kill()
        raise
    if training["problem"]:
        changes.errors.append(training["problem"])
    if code or said:
        changes.errors.append(f"exit code {code}: {said}")
    rows = figures(load, changes, memory, took, training)
    (FOLDER / "memory.json").write_text(json.dumps(memory))
    for row in rows:
        print(f"{row['name']}: {row['value']} {row['unit']}")
    if "--quick" not in sys.argv:
        save("service_load", rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
