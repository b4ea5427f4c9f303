"""`fieldtune keys`, `sign`, `verify` and --policy, on a real model and an adapter
trained for an epoch: a signature is verified from the file alone, by OpenSSL, and
what a policy does not allow changes nothing.
"""

import hashlib
import json
import os
import shutil
import stat
import struct
import subprocess

import numpy as np
import pytest
from fieldtune_cli import FSDD, FSDD_ARGS, MODELS, run, run_json
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

CHECKS = ["size", "header", "schema", "base", "quantizer", "shapes",
          "finite values", "digest", "signature", "version"]  # fmt: skip
KWS = MODELS / "kws_ref_model.tflite"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("trust")


@pytest.fixture(scope="module")
def adapter(folder, shared):
    """Rank 2 of the last layers, an epoch of ten recordings a digit."""
    out = folder / "me.safetensors"
    run_json("train", KWS, "--data", FSDD / "theo", *FSDD_ARGS, "--new-head",
             "--train-per-class", 2, "--epochs", 1,
             "--rank", 2, "--out", out)  # fmt: skip
    return out


@pytest.fixture(scope="module")
def key(folder):
    run_json("keys", "generate", folder / "release.key")
    return folder / "release.key"


@pytest.fixture(scope="module")
def policy(folder, key):
    path = folder / "trust.toml"
    run_json("keys", "trust", "release", f"{key}.pub", "--policy", path)
    return path


@pytest.fixture(scope="module")
def signed(folder, adapter, key):
    out = folder / "signed.safetensors"
    run_json("sign", adapter, "--key", key, "--adapter-name", "kitchen",
             "--adapter-version", 2, "--base", KWS, "--out", out)  # fmt: skip
    return out


def openssl_verifies(path, folder):
    """By the rule of src/adapters/trust/signature.h, with no code of ours."""
    data = bytearray(path.read_bytes())
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    meta = header["__metadata__"]
    member = b'"signature":"'
    places = [i for i in range(len(data)) if data[i : i + 13] == member
              and data[i - 1 : i] in (b"{", b",")]  # fmt: skip
    assert len(places) == 1
    at = places[0] + len(member)
    signature = bytes.fromhex(data[at : at + 128].decode())
    assert signature.hex() == meta["signature"]
    data[at : at + 128] = b"0" * 128
    (folder / "message").write_bytes(b"fieldtune adapter file 1" + data)
    (folder / "signature").write_bytes(signature)
    # SubjectPublicKeyInfo of RFC 8410 in front of the 32 bytes.
    prefix = bytes.fromhex("302a300506032b6570032100")
    (folder / "key.der").write_bytes(prefix + bytes.fromhex(meta["signature_key"]))
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey",
         folder / "key.der", "-rawin", "-in", folder / "message", "-sigfile",
         folder / "signature"], capture_output=True)  # fmt: skip
    return done.returncode == 0


def refused(*args, words, code=3):
    done = run(*args)
    assert done.returncode == code, done.stderr
    assert words in done.stderr, done.stderr
    return done


def test_openssl_verifies_what_was_signed(signed, adapter, key, tmp_path):
    assert openssl_verifies(signed, tmp_path)
    shown = run_json("keys", "show", key)
    with safe_open(signed, "np") as file:
        meta = file.metadata()
    assert meta["signature_key"] == shown["public_key"]
    assert (meta["name"], meta["version"]) == ("kitchen", "2")
    before, after = load_file(adapter), load_file(signed)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[k], after[k]) for k in before)
    changed = bytearray(signed.read_bytes())
    changed[-1] ^= 1
    (tmp_path / "changed.safetensors").write_bytes(changed)
    assert not openssl_verifies(tmp_path / "changed.safetensors", tmp_path)


def test_signing_is_deterministic_and_can_be_done_again(signed, key, tmp_path):
    again = run_json("sign", signed, "--key", key, "--out", tmp_path / "a")
    digest = hashlib.sha256(signed.read_bytes()).hexdigest()
    assert again["adapter_sha256"] == digest
    assert again["version"] == 2 and again["name"] == "kitchen"


def test_verify_shows_ten_checks(signed, policy):
    done = run_json("verify", signed, "--policy", policy, "--base", KWS,
                    "--min-version", 2)  # fmt: skip
    assert done["passed"]
    assert [c["check"] for c in done["checks"]] == CHECKS
    assert {c["outcome"] for c in done["checks"]} == {"passed"}
    by_name = {c["check"]: c["sentence"] for c in done["checks"]}
    assert by_name["signature"] == "signed with key 'release'"
    assert "which is at hand" in by_name["base"]
    text = run("verify", signed, "--policy", policy).stdout.splitlines()
    assert [line.split()[0] for line in text] == ["passed"] * 10


def failed_check(*args):
    done = run("verify", *args, "--json")
    assert done.returncode == 3, done.stderr
    checks = json.loads(done.stdout)["checks"]
    failed = [c for c in checks if c["outcome"] == "failed"]
    assert f"refused by the {failed[0]['check']} check: " in done.stderr
    assert failed[0]["sentence"] in done.stderr
    return failed[0]["check"], failed[0]["sentence"]


def test_each_check_refuses_with_its_own_sentence(
    signed, adapter, key, policy, folder, tmp_path
):
    other = tmp_path / "other.key"
    run_json("keys", "generate", other)
    stranger = tmp_path / "stranger.safetensors"
    run_json("sign", adapter, "--key", other, "--out", stranger)
    small = tmp_path / "small.toml"
    small.write_text(policy.read_text().replace(
        "format = 1", "format = 1\nmax_bytes = 1000"))  # fmt: skip
    data = signed.read_bytes()
    (tmp_path / "truncated").write_bytes(data[:-4])
    (tmp_path / "padded").write_bytes(data + b"\0")
    infinite = tmp_path / "infinite"
    tensors = load_file(adapter)
    next(iter(tensors.values())).flat[0] = np.inf
    with safe_open(adapter, "np") as file:
        meta = file.metadata()
    save_file(tensors, infinite, metadata=meta)
    save_file(load_file(adapter), tmp_path / "bare", metadata={"format": "pt"})

    wants = [
        ((signed, "--policy", small), "size", "at most 1000"),
        ((tmp_path / "truncated",), "header", "outside"),
        ((tmp_path / "padded",), "header", "1 bytes after the last tensor"),
        ((tmp_path / "bare",), "schema", "'format_version' is missing"),
        ((signed, "--base", MODELS / "vww_96_float.tflite"), "base",
         "another base model"),
        ((signed, "--quantizer", "int8/channel"), "quantizer",
         "where int8/channel is wanted"),
        ((infinite,), "finite values", "holds inf at element 0"),
        ((signed, "--sha256", "0" * 64), "digest", "expected 000"),
        ((adapter, "--policy", policy), "signature", "not signed"),
        ((stranger, "--policy", policy), "signature", "does not trust"),
        ((signed, "--min-version", 3), "version", "at least 3"),
    ]  # fmt: skip
    for args, check, words in wants:
        got, sentence = failed_check(*args)
        assert got == check and words in sentence, (args, got, sentence)


def test_policies_hold_for_every_command_that_reads(
    signed, adapter, policy, tmp_path
):
    out = tmp_path / "out"
    data = ["--data", FSDD / "theo", *FSDD_ARGS]
    commands = [
        ("merge", KWS, "--adapter", "A", "--out", out),
        ("eval", KWS, "--adapter", "A", *data),
        ("bench", KWS, "--adapter", "A", "--runs", 1),
        ("export", "A", "--to", "peft", "--out", out),
        ("export", "A", "--to", "device-image", "--model", KWS, "--out", out),
        ("compile", KWS, "--program", "infer", "--adapter", "A", "--out", out),
        ("compile", KWS, "--init-adapter", "A", "--classes", 10, "--rank", 2,
         "--out", out),
        ("train", KWS, *data, "--new-head", "--init-adapter", "A", "--rank", 2,
         "--out", out),
        ("train", KWS, *data, "--on-top-of", "A", "--rank", 2, "--out", out),
    ]  # fmt: skip
    for command in commands:
        args = [adapter if a == "A" else a for a in command]
        refused(*args, "--policy", policy,
                words="not signed, and the policy requires")  # fmt: skip
        assert not out.exists(), command
    # A signed one is taken, from the environment's policy too.
    env = {**os.environ, "FIELDTUNE_POLICY": str(policy)}
    merge = ["merge", KWS, "--out", out, "--adapter"]
    from fieldtune_cli import BINARY

    for path, code in ((adapter, 3), (signed, 0)):
        done = subprocess.run([BINARY, *merge, path], env=env, capture_output=True)
        assert done.returncode == code, done.stderr
        assert out.exists() == (code == 0)


def test_revoked_keys_and_downgrades(signed, policy, tmp_path):
    mine = tmp_path / "mine.toml"
    text = "# kept\n" + policy.read_text()
    mine.write_text(text + '\n[min_versions]\nkitchen = 3\n')
    assert failed_check(signed, "--policy", mine) == (
        "version", "version 2 of 'kitchen', which the policy takes from 3")
    mine.write_text(text)
    run_json("verify", signed, "--policy", mine)
    run_json("keys", "revoke", "release", "--policy", mine)
    assert mine.read_text().startswith("# kept\n")
    check, sentence = failed_check(signed, "--policy", mine)
    assert check == "signature" and "which is revoked" in sentence
    listed = run_json("keys", "list", "--policy", mine)
    assert [(k["name"], k["state"]) for k in listed["keys"]] == [
        ("release", "revoked")]
    assert listed["require_signature"] and listed["refuse_downgrade"]


def test_keys_and_policies_refuse_what_is_wrong(key, policy, tmp_path):
    assert stat.S_IMODE(os.stat(key).st_mode) == 0o600
    refused("keys", "generate", key, words="is not overwritten", code=2)
    pub = f"{key}.pub"
    refused("keys", "trust", "release", pub, "--policy", policy, code=2,
            words="already; take another name")  # fmt: skip
    refused("keys", "trust", "again", pub, "--policy", policy, code=2,
            words="has this key already as 'release'")  # fmt: skip
    refused("keys", "revoke", "nobody", "--policy", policy, code=2,
            words="has no key 'nobody'")  # fmt: skip
    refused("keys", "list", words="no policy was named", code=2)
    bad = tmp_path / "bad.toml"
    bad.write_text("format = 1\nrequire_signature = yes\n")
    refused("keys", "list", "--policy", bad, words="bad.toml:2: ")
    bad.write_text("format = 1\nrequire_signatures = true\n")
    refused("keys", "list", "--policy", bad,
            words="bad.toml:2: unknown key 'require_signatures'")  # fmt: skip
    open_key = tmp_path / "open.key"
    shutil.copy(key, open_key)
    open_key.chmod(0o644)
    refused("keys", "show", open_key, words="may be read by others")


def test_nothing_changed_is_signed_and_exports_drop_signatures(
    signed, key, tmp_path
):
    changed = bytearray(signed.read_bytes())
    changed[-1] ^= 1
    path = tmp_path / "changed"
    path.write_bytes(changed)
    refused("sign", path, "--key", key, "--out", tmp_path / "out",
            words="was changed after")  # fmt: skip
    refused("sign", signed, "--key", key, "--base",
            MODELS / "vww_96_float.tflite", "--out", tmp_path / "out",
            words="another base model")  # fmt: skip
    assert not (tmp_path / "out").exists()
    out = tmp_path / "int8.safetensors"
    run_json("export", signed, "--to", "fieldtune", "--adapter-dtype", "int8",
             "--out", out)  # fmt: skip
    with safe_open(out, "np") as file:
        assert "signature" not in file.metadata()
        assert file.metadata()["name"] == "kitchen"
    again = tmp_path / "again.safetensors"
    run_json("sign", out, "--key", key, "--adapter-version", 3, "--out", again)
    assert openssl_verifies(again, tmp_path)
    run_json("verify", again, "--quantizer", "int8/channel")


def test_folders_pass_the_same_checks(signed, key, policy, tmp_path):
    folder = tmp_path / "peft"
    run_json("export", signed, "--to", "peft", "--out", folder)
    run_json("verify", folder)
    merge = ["merge", KWS, "--adapter", folder, "--out", tmp_path / "m.tflite"]
    run_json(*merge)
    refused(*merge, "--policy", policy, words="not signed, and the policy")
    tensors = folder / "adapter_model.safetensors"
    whole = tensors.read_bytes()
    for broken, words in ((whole[:-1], "refused by the header check"),
                          (whole + b"\0", "refused by the header check"),
                          (whole[:3], "refused by the size check")):  # fmt: skip
        tensors.write_bytes(broken)
        refused(*merge, words=words)
    tensors.write_bytes(whole)
    refused("sign", folder, "--key", key, "--out", tmp_path / "no",
            words="give --base", code=2)  # fmt: skip
    made = tmp_path / "made.safetensors"
    run_json("sign", folder, "--key", key, "--base", KWS, "--out", made)
    assert openssl_verifies(made, tmp_path)
    run_json("merge", KWS, "--adapter", made, "--policy", policy, "--out",
             tmp_path / "n.tflite")  # fmt: skip
    assert (tmp_path / "n.tflite").read_bytes() == (
        tmp_path / "m.tflite").read_bytes()  # fmt: skip


def test_the_base_says_which_shapes_there_are(adapter, tmp_path):
    """A file with a tensor too few, or a column, is well-formed: only the base
    model tells."""
    done = run_json("verify", adapter, "--base", KWS)
    shapes = next(c for c in done["checks"] if c["check"] == "shapes")
    assert "of the model's shapes" in shapes["sentence"]
    whole = load_file(adapter)
    with safe_open(adapter, "np") as file:
        metadata = file.metadata()
    lost = tmp_path / "lost.safetensors"
    name = sorted(whole)[0]
    for change in (None, whole[name][..., :-1].copy()):
        tensors = {k: v for k, v in whole.items() if k != name}
        if change is not None:
            tensors[name] = change
        save_file(tensors, lost, metadata)
        assert run("verify", lost).returncode == 0
        assert failed_check(lost, "--base", KWS)[0] == "shapes"


@pytest.mark.parametrize("name, words", [
    ("x" * 129, "has 129 bytes, at most 128"),
    ("a\nb", "control character U+000A"),
    ("Küche", "is no name of a key")])  # fmt: skip
def test_names_of_keys_are_plain(folder, key, tmp_path, name, words):
    done = run("keys", "trust", name, f"{key}.pub", "--policy",
               tmp_path / "p.toml")  # fmt: skip
    assert done.returncode == 2 and words in done.stderr
    assert not (tmp_path / "p.toml").exists()


@pytest.mark.parametrize("change, words", [
    ({"r": "0"}, "rank 0 of method lora"), ({"r": "-4"}, "rank -4"),
    ({"method": "nope"}, "no method 'nope'")])  # fmt: skip
def test_settings_that_no_method_has_are_the_files_fault(
        folder, adapter, change, words):
    with safe_open(adapter, "np") as file:
        metadata = file.metadata() | change
    bad = folder / "settings.safetensors"
    save_file(load_file(adapter), bad, metadata)
    done = run("merge", KWS, "--adapter", bad, "--out", folder / "m.tflite")
    assert done.returncode == 3 and words in done.stderr, done.stderr


def test_a_policy_of_brackets_is_refused(folder, adapter):
    path = folder / "brackets.toml"
    path.write_text("[" * 10000)
    done = run("verify", adapter, "--policy", path)
    assert done.returncode == 3 and "brackets.toml:1:" in done.stderr
