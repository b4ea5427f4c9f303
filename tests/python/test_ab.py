"""`fieldtune ab`: two really trained versions of an adapter, compared on real
recordings, as a user types it."""

import hashlib
import json
import math
import sqlite3

import pytest
from fieldtune_cli import FSDD_ARGS, run, run_json

PROMOTE = "accuracy >= control + 0.5"
ROLLBACK = "accuracy < control - 1"


@pytest.fixture(scope="module")
def kws(shared):
    return shared / "models" / "mlperf_tiny" / "kws_ref_model.tflite"


@pytest.fixture(scope="module")
def theo(shared):
    return shared / "data" / "fsdd" / "theo"


@pytest.fixture(scope="module")
def adapters(kws, theo, tmp_path_factory):
    """One step of training, and a few epochs: the second is better."""
    folder = tmp_path_factory.mktemp("adapters")
    files = [folder / "v1.safetensors", folder / "v2.safetensors"]
    for file, take in zip(files, (["--train-per-class", 1, "--epochs", 1],
                                  ["--train-per-class", 5, "--epochs", 8])):
        run_json("train", kws, "--data", theo, *FSDD_ARGS, "--classes", 10,
                 "--rank", 2, *take, "--out", file)  # fmt: skip
    return files


@pytest.fixture
def store(tmp_path, kws, adapters):
    """me@1 is confirmed, me@2 staged."""
    folder = tmp_path / "store"
    run_json("store", "init", folder, "--model", kws)
    for file in adapters:
        run_json("store", "add", folder, file, "--name", "me")
    run_json("store", "use", folder, "me@1")
    run_json("store", "use", folder, "me", "--confirm")
    return folder


def slots(store):
    return {a["version"]: a["slot"]
            for a in run_json("store", "list", store, "me")["adapters"]}


def refused(code, words, *args):
    done = run(*args)
    assert done.returncode == code, done.stderr
    assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""


def treatment_by_hashlib(salt, name, key, share):
    digest = hashlib.blake2b(f"{salt}|{name}|{key}".encode(), digest_size=16)
    return int.from_bytes(digest.digest()[:8], "little") < int(share * 2**64)


def wilson(right, count, z=1.959963984540054):
    p = right / count
    half = z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return [(p + z * z / (2 * count) + sign * half) / (1 + z * z / count)
            for sign in (-1, 1)]  # fmt: skip


def test_real_recordings_promote_the_better_one(store, kws, theo):
    started = run_json("ab", "start", store, "me", "--promote-if", PROMOTE,
                       "--rollback-if", ROLLBACK, "--interval", "one-look",
                       "--salt", "theo")  # fmt: skip
    assert (started["control"], started["treatment"]) == (1, 2)
    report = run_json("ab", "run", store, "me", "--model", kws, "--data", theo,
                      *FSDD_ARGS)  # fmt: skip
    control, treatment = report["arms"]
    # All but those that me@2 was trained on, five of each digit.
    assert control["requests"] + treatment["requests"] == len(
        list(theo.glob("*.wav"))) - 50
    for arm in report["arms"]:
        assert arm["labelled"] == arm["requests"] > 200
        assert arm["accuracy"] == arm["right"] / arm["labelled"]
        low, high = wilson(arm["right"], arm["labelled"])
        assert arm["accuracy_low"] == pytest.approx(low, abs=1e-12)
        assert arm["accuracy_high"] == pytest.approx(high, abs=1e-12)
        assert 0 < arm["latency_ms"] <= arm["latency_p99_ms"] * 1.5
    assert report["verdict"] == "promote"
    assert report["state"] == "running"  # nobody asked it to act
    assert slots(store) == {1: "confirmed", 2: "staged"}
    decided = run_json("ab", "decide", store, "me")
    assert decided["state"] == "promoted" and "holds" in decided["reason"]
    assert slots(store) == {1: "retired", 2: "confirmed"}
    assert run_json("ab", "status", store, "me")["state"] == "promoted"
    assert run_json("store", "rollback", store, "me")["version"] == 1


# The keys of a run are the names of its samples: the same arm each time.
def test_a_run_is_repeatable(store, kws, theo):
    counts = []
    for _ in range(2):
        run_json("ab", "start", store, "me", "--salt", "x", "--share", 0.25)
        arms = run_json("ab", "run", store, "me", "--model", kws, "--data",
                        theo, *FSDD_ARGS)["arms"]  # fmt: skip
        counts.append([(a["requests"], a["right"]) for a in arms])
        run_json("ab", "stop", store, "me")
    assert counts[0] == counts[1]
    assert counts[0][1][0] < counts[0][0][0] / 2


def test_arms_are_those_of_the_documented_hash(store):
    run_json("ab", "start", store, "me", "--salt", "s7", "--share", 0.3)
    for i in range(40):
        shown = run_json("ab", "arm", store, "me", f"user{i}")
        assert (shown["arm"] == "treatment") == treatment_by_hashlib(
            "s7", "me", f"user{i}", 0.3)
        assert shown["adapter"] == f"me@{shown['version']}"


def test_outcomes_of_a_file(store, tmp_path):
    salt = run_json("ab", "start", store, "me", "--rollback-if",
                    ROLLBACK + " and clicks < control * 0.9", "--least", 20,
                    "--target", 100)["salt"]  # fmt: skip
    log, wanted = tmp_path / "log.jsonl", {True: [0, 0, 0.0], False: [0, 0, 0.0]}
    with log.open("w") as file:
        for i in range(200):
            arm = treatment_by_hashlib(salt, "me", f"u{i}", 0.5)
            right, clicks = (i % 2 == 0 or not arm), (1 if arm else 2)
            wanted[arm][0] += 1
            wanted[arm][1] += right
            wanted[arm][2] += clicks
            file.write(json.dumps({"key": f"u{i}", "right": right,
                                   "latency_ms": 1 + i / 100,
                                   "metrics": {"clicks": clicks}}) + "\n")
    report = run_json("ab", "record", store, "me", "--from", log)
    for arm in report["arms"]:
        count, right, clicks = wanted[arm["arm"] == "treatment"]
        assert (arm["requests"], arm["right"]) == (count, right)
        assert arm["metrics"]["clicks"]["mean"] == clicks / count
    assert report["verdict"] == "rollback"
    assert run_json("ab", "decide", store, "me")["state"] == "rolled back"
    assert slots(store) == {1: "confirmed", 2: "retired"}


def test_bad_files_change_nothing(store, tmp_path):
    run_json("ab", "start", store, "me")
    log = tmp_path / "log.jsonl"
    good = '{"key": "a", "right": true}\n'
    for line, words in (
        ("nonsense", "line 2: it is not a JSON object"),
        ('{"right": true}', "either a key or an arm"),
        ('{"key": "a", "arm": "control"}', "either a key or an arm"),
        ('{"key": "a", "right": 1}', "field 'right' is unknown, or not of"),
        ('{"key": "a", "colour": 1}', "field 'colour'"),
        ('{"key": "a", "latency_ms": -1}', "a latency of -1 ms"),
        ('{"key": "a", "metrics": {"A": 1}}', "not a name of a metric"),
    ):
        log.write_text(good + line + "\n")
        refused(3, words, "ab", "record", store, "me", "--from", log)
    assert [a["requests"] for a in
            run_json("ab", "status", store, "me")["arms"]] == [0, 0]


def test_what_is_none_is_refused(store, kws, adapters, theo, shared):
    ab = ("ab", "start", store)
    refused(2, "has no adapter 'you'", *ab, "you")
    refused(2, "has no version 9", *ab, "me@9")
    refused(2, "both control and treatment", *ab, "me@1")
    for share in (0, 1, 1.5, -1, "nan"):
        refused(2, "is not above 0 and below 1", *ab, "me", "--share", share)
    refused(2, "column 10: expected '>='", *ab, "me", "--promote-if",
            "accuracy = 90")
    refused(2, "column 26", *ab, "me", "--rollback-if",
            "accuracy < control - 0.5 %")
    refused(2, "a confidence of 0 is not above 0", *ab, "me", "--confidence", 0)
    refused(2, "a target of 0 values", *ab, "me", "--target", 0)
    refused(2, "an interval of rules is none", *ab, "me", "--interval", "always")
    refused(2, "no experiment of 'me' runs", "ab", "decide", store, "me")
    refused(2, "no experiment of 'me'", "ab", "status", store, "me")
    run_json(*ab, "me")
    refused(2, "an experiment of 'me' runs", *ab, "me")
    for args in (("use", store, "me@2"), ("use", store, "me", "--confirm"),
                 ("rollback", store, "me")):
        refused(2, "an experiment of 'me' runs", "store", *args)
    other = shared / "models" / "mlperf_tiny" / "ad01_int8.tflite"
    refused(3, "another base model", "ab", "run", store, "me", "--model", other,
            "--data", theo)
    assert slots(store) == {1: "confirmed", 2: "staged"}


def test_collecting_keeps_both_arms(store, kws, theo, tmp_path):
    for seed in (1, 2):
        out = tmp_path / f"more{seed}.safetensors"
        run_json("train", kws, "--data", theo, *FSDD_ARGS, "--classes", 10,
                 "--train-per-class", 1, "--epochs", 1, "--seed", seed, "--out",
                 out)  # fmt: skip
        run_json("store", "add", store, out, "--name", "me")
    run_json("ab", "start", store, "me@2")
    run_json("store", "gc", store, "--keep", 0)
    assert slots(store) == {1: "confirmed", 2: "staged"}


def test_older_stores_are_taken_along(store):
    with sqlite3.connect(store / "index.sqlite") as index:
        for table in ("intervals", "experiments", "outcomes", "boots"):
            index.execute(f"DROP TABLE {table}")
        index.execute("PRAGMA user_version = 1")
    index.close()
    assert slots(store) == {1: "confirmed", 2: "staged"}
    assert run_json("ab", "status", store)["experiments"] == []
    assert run_json("ab", "start", store, "me")["treatment"] == 2


def test_one_look_sees_more_than_every_look_may_say(store, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text("".join(
        json.dumps({"arm": arm, "right": i >= wrong, "latency_ms": 1 + i % 10})
        + "\n" for arm, wrong in (("control", 40), ("treatment", 20))
        for i in range(200)))  # fmt: skip
    verdicts = {}
    for interval in ("every-look", "one-look", "none"):
        given = [] if interval == "every-look" else ["--interval", interval]
        started = run_json("ab", "start", store, "me", "--promote-if",
                           "accuracy > control", *given)  # fmt: skip
        assert started["interval"] == interval
        assert started["confidence"] == (None if interval == "none" else 0.95)
        assert started["target"] == (1000 if interval == "every-look" else None)
        report = run_json("ab", "record", store, "me", "--from", log)
        verdicts[interval] = (report["verdict"], report["because"])
        run_json("ab", "stop", store, "me")
    assert [v for v, _ in verdicts.values()] == ["undecided", "promote", "promote"]
    # z^2 of n = 200 and a target of 1000 in Robbins' mixture, put into Wilson's
    # interval and Newcombe's difference.
    unlikely = -2 * math.log(0.05)
    best = unlikely
    for _ in range(100):
        best = unlikely + math.log1p(best)
    x = best * 200 / 1000
    z = math.sqrt((x + 1) / x * (math.log1p(x) + unlikely))
    (t_low, t_high), (c_low, c_high) = wilson(180, 200, z), wilson(160, 200, z)
    low = 10 - 100 * math.hypot(0.9 - t_low, c_high - 0.8)
    high = 10 + 100 * math.hypot(t_high - 0.9, 0.8 - c_low)
    assert (f"(treatment - control is in {low:.4g} to {high:.4g} with 95 % "
            "confidence at every look)") in verdicts["every-look"][1]
    assert "for one look" in verdicts["one-look"][1]
    assert "confidence" not in verdicts["none"][1]


def test_p99_has_an_interval(store, tmp_path):
    log = tmp_path / "log.jsonl"
    run_json("ab", "start", store, "me", "--rollback-if",
             "latency_p99_ms > control * 1.5")
    for times, verdict, words in ((1, "undecided", "to inf with"),
                                  (10, "rollback", "holds")):
        log.write_text("".join(
            json.dumps({"arm": arm, "latency_ms": scale + i % 100 / 100}) + "\n"
            for arm, scale in (("control", 1), ("treatment", 9))
            for i in range(300)) * times)  # fmt: skip
        report = run_json("ab", "record", store, "me", "--from", log)
        assert report["verdict"] == verdict, report["because"]
        assert words in report["because"]


@pytest.mark.parametrize("command", ["start", "status", "arm", "record",
                                     "decide", "stop", "run"])
def test_help_has_an_example(command):
    shown = run("ab", command, "--help").stdout
    assert f"Example:\n  fieldtune ab {command} " in shown


BAD_TEXTS = {"a\nb": "control character U+000A at byte 1",
             "\x1b[2J": "control character U+001B at byte 0",
             "\u202egnp.exe": "control character U+202E",
             b"ab\xff".decode(errors="surrogateescape"): "not UTF-8 text at byte 2",
             "x" * 300: "has 300 bytes, at most"}  # fmt: skip


@pytest.mark.parametrize("text", BAD_TEXTS, ids=range(len(BAD_TEXTS)))
def test_texts_that_stay_are_plain(store, text):
    words = BAD_TEXTS[text]
    refused(2, words, "ab", "start", store, "me", "--salt", text)
    run_json("ab", "start", store, "me", "--salt", "Küche 台所")
    refused(2, words, "ab", "stop", store, "me", "--reason", text)
    for option in "--promote-if", "--rollback-if":
        done = run("ab", "start", store, "me", option, text)
        assert done.returncode == 2 and "\x1b" not in done.stderr
    # Nothing of it is there, and it runs on.
    assert run_json("ab", "status", store, "me")["salt"] == "Küche 台所"
    reason = "20 % langsamer 👎"
    run_json("ab", "stop", store, "me", "--rollback", "--reason", reason)
    assert run_json("ab", "status", store, "me")["reason"] == reason
