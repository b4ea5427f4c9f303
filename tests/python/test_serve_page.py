"""The page of `fieldtune serve` in headless Chromium: it shows what the API
says, in light and dark, and asks for nothing from elsewhere."""

import html.parser
import re
import shutil
import subprocess
import time

import pytest
from fieldtune_cli import run_json
from serve_client import (  # noqa: F401 (fixtures)
    adapters,
    classes,
    features,
    kws,
    serve,
    store,
)
from test_serve_samples import BASE, START, sample

CHROMIUM = shutil.which("chromium")


@pytest.fixture
def chromium(tmp_path):
    """chromium(url, options...): what it writes, after the page's second look."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (tools/debian-packages.txt)")

    def run(url, *options):
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", f"--user-data-dir={tmp_path / 'c'}",
             "--hide-scrollbars", "--window-size=1100,1250",
             "--virtual-time-budget=5000", *options, url],
            capture_output=True, text=True, timeout=300)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


class Texts(html.parser.HTMLParser):
    """Text of each element with an id, and the rows of tables."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.rows, self.open, self.cell = {}, [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in ("meta", "link", "br"):
            return
        self.open.append((tag, dict(attrs).get("id")))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = True

    def handle_endtag(self, tag):
        while self.open and self.open.pop()[0] != tag:
            pass
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        for _, name in self.open:
            if name:
                self.ids[name] = self.ids.get(name, "") + data
        if self.cell:
            self.rows[-1][-1] += data


def test_shows_what_the_api_says(serve, store, kws, features, chromium):
    server = serve(kws, "--store", store, "--use", "me", "--budget", "1M",
                   port=True)
    for right in (True, True, False):
        given = classes(server, features)
        told = given["class"] if right else (given["class"] + 1) % 12
        server.post("/v1/feedback", id=given["id"], **{"class": told})
    server.post("/v1/adapters/load", adapter="you")
    page = Texts(chromium(server.listens_on + "/", "--dump-dom"))
    assert page.ids["state"].startswith("up for"), page.ids["state"]
    status, listed = server.get("/v1/status"), server.get("/v1/adapters")
    assert str(kws) in page.ids["model"] and str(store) in page.ids["model"]
    rows = [row for row in page.rows if row[0] in ("me", "you")]
    expected = [(a["adapter"], v) for a in listed["adapters"]
                for v in a["versions"]]
    assert len(rows) == len(expected) == 3
    for row, (name, v) in zip(rows, expected, strict=True):
        assert row[:2] == [name, str(v["version"])]
        assert row[2].startswith(v["slot"]) and row[3] == v["method"]
        assert ("kept" in row[2]) == v["kept"]
        assert (row[5] != "–") == (v["in_memory_bytes"] > 0)
    assert rows[0][6:8] == ["3", "66.7 %"]
    assert "2 names, 3 versions" in page.ids["adapters-said"]
    assert page.ids["budget"] == "1.0 MB"
    assert f"of {status['adapters']['in_memory']} adapters" in page.ids["held"]
    assert page.ids["failed"] == "0" and page.ids["swaps"] == "1"
    assert float(page.ids["rate"]) > 0
    assert page.ids["training"] == "none"


def test_needs_nothing_from_elsewhere(serve, store, kws):
    server = serve(kws, "--store", store)
    connection = server.connect()
    connection.request("GET", "/")
    got = connection.getresponse()
    text = got.read().decode()
    connection.close()
    policy = got.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://|src=|@import|url\(", text)
    assert "innerHTML" not in text and ' lang="en"' in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_can_be_looked_at(serve, store, kws, chromium, tmp_path, scheme):
    server = serve(kws, "--store", store, "--use", "me", port=True)
    picture = tmp_path / f"{scheme}.png"
    force = ["--force-dark-mode"] if scheme == "dark" else []
    chromium(server.listens_on + "/", f"--screenshot={picture}", *force)
    assert picture.stat().st_size > 10000


def test_shows_a_training_that_went_on(serve, tmp_path, chromium):
    """With the time that is left, after a restart; and why one does not."""
    run_json("store", "init", tmp_path / "store")
    work = tmp_path / "work"
    work.mkdir()
    args = [BASE, "--store", tmp_path / "store", "--work", work]
    server = serve(*args)
    server.post("/v1/train/start", **{**START, "total_steps": 10**6,
                                      "publish_every": 10**6})  # fmt: skip
    server.post("/v1/samples", samples=[sample(i) for i in range(8)])
    assert server.end() == (0, "")
    server = serve(*args, port=True)
    until = time.monotonic() + 60
    while server.get("/v1/train")["state"] != "training":
        assert time.monotonic() < until
        time.sleep(0.05)
    page = Texts(chromium(server.listens_on + "/", "--dump-dom",
                          "--virtual-time-budget=60000"))  # fmt: skip
    assert "resumed after a restart" in page.ids["training"]
    assert "time leftabout " in page.ids["training"], page.ids["training"]
    assert " open" in page.ids["connections"]
    assert server.end() == (0, "")
    (work / "training.json").write_text("{")
    server = serve(*args, port=True)
    page = Texts(chromium(server.listens_on + "/", "--dump-dom"))
    assert "training.json' is damaged" in page.ids["training"]
