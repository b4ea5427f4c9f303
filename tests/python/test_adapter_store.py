"""`fieldtune store`: a life of really trained adapters, as a user types it."""

import hashlib
import json
import os
import subprocess
import time

import pytest
from fieldtune_cli import BINARY, run, run_json
from trained_adapters import adapters, kws  # noqa: F401 (fixtures)


@pytest.fixture
def store(tmp_path, kws):
    folder = tmp_path / "store"
    made = run_json("store", "init", folder, "--model", kws)
    assert made["base_sha256"] == hashlib.sha256(kws.read_bytes()).hexdigest()
    return folder


def refused(code, words, *args):
    done = run("store", *args)
    assert done.returncode == code, done.stderr
    assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""


def slots(store, name):
    return {a["version"]: a["slot"]
            for a in run_json("store", "list", store, name)["adapters"]}


def test_a_life(store, adapters, tmp_path):
    for version, file in enumerate(adapters, 1):
        added = run_json("store", "add", store, file, "--name", "me")
        assert added["version"] == version and added["is_new"]
        assert added["adapter_sha256"] == hashlib.sha256(
            file.read_bytes()).hexdigest()
        assert added["method"] == "lora" and "accuracy" in added["metrics"]
    assert not run_json("store", "add", store, adapters[0], "--name", "me")[
        "is_new"]
    refused(2, "in use", "show", store, "me")

    assert run_json("store", "use", store, "me@1")["slot"] == "trial"
    assert run_json("store", "use", store, "me", "--confirm")[
        "slot"] == "confirmed"
    assert run_json("store", "use", store, "me")["version"] == 3
    assert run_json("store", "rollback", store, "me")["version"] == 1
    assert slots(store, "me") == {1: "confirmed", 2: "staged", 3: "retired"}
    run_json("store", "use", store, "me@2")
    run_json("store", "use", store, "me@2", "--confirm")
    assert run_json("store", "show", store, "me")["version"] == 2

    out = tmp_path / "out.safetensors"
    run_json("store", "export", store, "me", "--out", out)
    assert out.read_bytes() == adapters[1].read_bytes()
    assert run_json("store", "gc", store, "--keep", 0, "--dry-run")[
        "collected"][0]["version"] == 3
    run_json("store", "use", store, "me@3", "--pin")
    assert run_json("store", "gc", store, "--keep", 0)["collected"] == []
    run_json("store", "use", store, "me@3", "--unpin")
    gone = run_json("store", "gc", store, "--keep", 0)
    assert [a["version"] for a in gone["collected"]] == [3]
    assert run_json("store", "rollback", store, "me")["version"] == 1
    assert run_json("store", "verify", store)["problems"] == []
    table = run("store", "list", store).stdout
    assert "confirmed" in table and "lora" in table


def test_refuses_with_a_reason(store, adapters, tmp_path, shared):
    run_json("store", "add", store, adapters[0], "--name", "me")
    before = run("store", "list", store, "--json").stdout
    refused(2, "no adapter 'you'", "use", store, "you")
    refused(2, "no version 9", "use", store, "me@9")
    refused(2, "not NAME", "use", store, "me@")
    refused(2, "on trial", "use", store, "me", "--confirm")
    refused(2, "give a name", "add", store, adapters[1])
    file = adapters[1].read_bytes()
    bad = tmp_path / "bad.safetensors"
    for what in (file[:-1], file[:100], file + b"\0", b""):
        bad.write_bytes(what)
        refused(3, str(bad), "add", store, bad, "--name", "me")
    refused(5, "cannot open", "add", store, tmp_path / "none", "--name", "me")
    refused(3, "not an adapter store", "list", tmp_path)
    refused(2, "already", "init", store)
    # An adapter of another base.
    size = int.from_bytes(file[:8], "little")
    header = json.loads(file[8:8 + size])
    header["__metadata__"]["base_sha256"] = "0" * 64
    text = json.dumps(header).encode()
    bad.write_bytes(len(text).to_bytes(8, "little") + text + file[8 + size:])
    refused(3, "another base model", "add", store, bad, "--name", "me")
    assert run("store", "list", store, "--json").stdout == before


def test_takes_only_what_the_policy_allows(store, adapters, tmp_path):
    key, policy, signed = (tmp_path / n for n in ("key", "policy", "s"))
    run_json("keys", "generate", key)
    run_json("keys", "trust", "release", f"{key}.pub", "--policy", policy)
    refused(3, "signature check", "add", store, adapters[0], "--name", "me",
            "--policy", policy)  # fmt: skip
    done = run("sign", adapters[0], "--key", key, "--adapter-version", 4,
               "--out", signed)  # fmt: skip
    assert done.returncode == 0 and "give --adapter-name" in done.stderr
    # Signed for nothing in particular: not for the garage, nor for me.
    refused(3, "does not say which adapter it is", "add", store, signed,
            "--name", "garage", "--policy", policy)
    text = policy.read_text()
    policy.write_text("require_name = false\n" + text)
    assert run_json("keys", "list", "--policy", policy)["require_name"] is False
    run_json("store", "add", store, signed, "--name", "garage", "--policy",
             policy)
    policy.write_text(text)
    assert run_json("keys", "list", "--policy", policy)["require_name"] is True
    done = run("sign", adapters[0], "--key", key, "--adapter-version", 4,
               "--adapter-name", "me", "--out", signed)  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""
    added = run_json("store", "add", store, signed, "--name", "me",
                     "--policy", policy)  # fmt: skip
    assert (added["version"], added["signature"]) == (4, "trusted")


def test_damage_is_found_and_mended_by_adding_again(store, adapters):
    sha = run_json("store", "add", store, adapters[0], "--name", "me")[
        "adapter_sha256"]
    path = store / "objects" / sha[:2] / f"{sha}.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    done = run("store", "verify", store, "--json")
    assert done.returncode == 3
    assert json.loads(done.stdout)["problems"][0]["adapters"] == ["me@1"]
    run_json("store", "add", store, adapters[0], "--name", "me")
    (path.parent / (path.name + ".ft-tmp-Ab12cD")).write_bytes(b"half")
    assert run("store", "verify", store).returncode == 3
    assert run_json("store", "verify", store, "--repair")["problems"][0][
        "repaired"]
    assert run_json("store", "verify", store)["problems"] == []


def test_encrypted(tmp_path, adapters):
    key, other, folder = (tmp_path / n for n in ("key", "other", "secret"))
    for file in key, other:
        file.write_bytes(os.urandom(32))
        file.chmod(0o600)
    refused(2, "--encrypt", "init", folder, "--encrypt")
    run_json("store", "init", folder, "--encrypt", "--key-file", key)
    run_json("store", "add", folder, adapters[0], "--name", "me",
             "--key-file", key)  # fmt: skip
    for file in folder.rglob("*.safetensors"):
        assert b"lora_A" not in file.read_bytes()
    refused(3, "another key", "export", folder, "me@1", "-o",
            tmp_path / "x", "--key-file", other)  # fmt: skip
    refused(2, "is encrypted", "export", folder, "me@1", "-o", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    run_json("store", "export", folder, "me@1", "-o", tmp_path / "x",
             "--key-file", key)  # fmt: skip
    assert (tmp_path / "x").read_bytes() == adapters[0].read_bytes()
    assert run_json("store", "list", folder)["encrypted"]


def test_a_second_writer_waits_and_is_told(store, adapters):
    holder = subprocess.Popen(["flock", store / "lock", "sleep", "30"])
    try:
        for _ in range(100):
            if subprocess.run(["flock", "-n", store / "lock", "true"],
                              check=False).returncode:
                break
            time.sleep(0.05)
        refused(5, "another process", "add", store, adapters[0], "--name",
                "me", "--wait", 50)
        assert run_json("store", "list", store)["versions"] == 0
    finally:
        holder.kill()
        holder.wait()


def test_a_clock_that_was_set_back_is_told(store, adapters):
    import sqlite3

    run_json("store", "add", store, adapters[0], "--name", "me")
    with sqlite3.connect(store / "index.sqlite") as index:
        index.execute("UPDATE store SET highest_time = highest_time + 9000")
    done = run("store", "add", store, adapters[1], "--name", "me", "--json")
    assert done.returncode == 0 and "clock is" in done.stderr
    assert json.loads(done.stdout)["version"] == 2
    listed = run_json("store", "list", store)
    assert 8000 < listed["clock_behind_seconds"] <= 9000
    assert run_json("store", "use", store, "me")["version"] == 2


def test_help_has_an_example():
    assert BINARY.is_file()
    for command in ("init", "add", "list", "show", "verify", "use",
                    "rollback", "gc", "export"):
        text = run("store", command, "--help").stdout
        assert "Example:" in text and f"fieldtune store {command}" in text


def test_one_line_for_a_change(store, adapters):
    for file in adapters[:2]:
        run_json("store", "add", store, file, "--name", "me")
    for args, line in (
        (("use", store, "me@1"), "me@1 is on trial\n"),
        (("use", store, "me", "--confirm"), "me@1 is confirmed\n"),
        (("use", store, "me@2", "--boots", 3),
         "me@2 is on trial, for 3 starts\n"),
        (("use", store, "me@1"), "me@1 is confirmed\n"),
        (("use", store, "me@2"), "me@2 is on trial\n"),
        (("rollback", store, "me"), "me@1 is confirmed and active\n"),
        (("use", store, "me@2", "--pin"), "me@2 is pinned\n"),
    ):
        assert run("store", *args).stdout == line


def test_a_trial_ends_after_so_many_starts(store, adapters):
    for file in adapters[:2]:
        run_json("store", "add", store, file, "--name", "me")
    run_json("store", "use", store, "me@1")
    run_json("store", "use", store, "me", "--confirm")
    assert run_json("store", "boot", store)["trials"] == []
    run_json("store", "use", store, "me@2", "--boots", 2)
    for boots in (1, 2):
        assert run("store", "boot", store).stdout == (
            f"me@2 is on trial, start {boots} of 2\n")
        assert slots(store, "me")[2] == "trial"
    assert run_json("store", "boot", store)["trials"] == [
        {"name": "me", "version": 2, "boots": 3, "most": 2,
         "rolled_back": True}]
    assert slots(store, "me") == {1: "confirmed", 2: "retired"}
    refused(2, "--boots is of a trial", "use", store, "me", "--confirm",
            "--boots", 2)
    assert run("store", "use", store, "me", "--boots", 0).returncode == 2


def test_a_delta_is_added_to_what_it_starts_from(store, adapters, tmp_path):
    delta = tmp_path / "v2.delta"
    run_json("delta", "make", adapters[0], adapters[1], "--out", delta)
    refused(3, "does not have", "add", store, "--delta", delta)
    run_json("store", "add", store, adapters[0], "--name", "me")
    refused(4, "above the limit of 1024", "add", store, "--delta", delta,
            "--max-bytes", "1K")
    refused(2, "give an adapter file, or --delta", "add", store)
    refused(2, "give an adapter file, or --delta", "add", store, adapters[0],
            "--delta", delta)
    refused(2, "--max-bytes is of", "add", store, adapters[0], "--max-bytes", 9)
    added = run_json("store", "add", store, "--delta", delta)
    assert (added["name"], added["version"]) == ("me", 2)
    assert added["adapter_sha256"] == hashlib.sha256(
        adapters[1].read_bytes()).hexdigest()
    assert run("store", "verify", store).returncode == 0


def test_a_name_that_was_signed_stays(store, adapters, tmp_path):
    key, policy, signed = (tmp_path / n for n in ("key", "policy", "s"))
    run_json("keys", "generate", key)
    run_json("keys", "trust", "release", f"{key}.pub", "--policy", policy)
    run_json("sign", adapters[0], "--key", key, "--adapter-name", "bath",
             "--adapter-version", 1, "--out", signed)  # fmt: skip
    refused(3, "says that it is adapter 'bath'", "add", store, signed, "--name",
            "kitchen", "--policy", policy)
    assert run_json("store", "add", store, signed, "--policy", policy)[
        "name"] == "bath"
    done = run("store", "add", store, signed, "--name", "kitchen")
    assert done.returncode == 0 and "stored as 'kitchen'" in done.stderr
