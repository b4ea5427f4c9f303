"""What the commands of an adapter's life do on a full disk, in a read-only
folder, with another writer about and under a clock that was set back: each says
so in a sentence and leaves what was there. Power cuts are in
tests/faults/command_faults_test.cc.

The disk's errors come from the recorder of faults (tests/faults/record.h), so
that root is refused as anybody.
"""

import subprocess

import numpy as np
import pytest
from fieldtune_cli import BINARY, ROOT, run, run_json

RECORDER = BINARY.parent / "libft_fault_recorder.so"
MODEL = ROOT / "examples" / "demo" / "keyword_base.tflite"
ERRORS = {"enospc": ("No space left on device", "disk is full"),
          "erofs": ("Read-only file system", "is read-only")}  # fmt: skip

pytestmark = pytest.mark.skipif(
    not RECORDER.exists(), reason="libft_fault_recorder.so was not built")


def train(inputs, *options, epochs=2):
    return ["train", MODEL, "--data", inputs / "x.npy", "--labels",
            inputs / "y.npy", "--new-head", "--rank", 2, "--target-modules",
            "pointwise4", "--batch", 4, "--epochs", epochs, *options]  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Two versions, their delta, a key, a policy and a store, none of which
    is ever written again."""
    folder = tmp_path_factory.mktemp("inputs")
    random = np.random.default_rng(1)
    labels = np.arange(12, dtype=np.int32) % 3
    x = random.normal(size=(12, 490)) + 9 * (np.arange(490) * 3 // 490
                                             == labels[:, None])
    np.save(folder / "x.npy", x.reshape(12, 49, 10, 1).astype(np.float32))
    np.save(folder / "y.npy", labels)
    v1, v2 = folder / "v1.safetensors", folder / "v2.safetensors"
    run_json(*train(folder, "--out", v1))
    run_json(*train(folder, "--seed", 9, "--init-adapter", v1, "--out", v2))
    run_json("delta", "make", v1, v2, "-o", folder / "delta")
    run_json("keys", "generate", folder / "key")
    return folder


def store_in(inputs, folder):
    store = folder / "store"
    run_json("store", "init", store)
    for version in "v1", "v2":
        run_json("store", "add", store, inputs / f"{version}.safetensors",
                 "--name", "me")  # fmt: skip
    run_json("store", "use", store, "me@1")
    run_json("store", "use", store, "me", "--confirm")
    return store


def copy_to(folder, file, name):
    (folder / name).write_bytes(file.read_bytes())
    return folder / name


def trusted(inputs, folder):
    policy = folder / "policy.toml"
    run_json("keys", "trust", "mine", inputs / "key.pub", "--policy", policy)
    return policy


# Each makes what is there in a folder and gives the command that fails.
COMMANDS = {
    "train": lambda i, f: train(i, "--out", f / "a"),
    "train over a file": lambda i, f: train(
        i, "--checkpoint-every", 1, "--out",
        copy_to(f, i / "v1.safetensors", "a")),
    "delta make": lambda i, f: ["delta", "make", i / "v1.safetensors",
                                i / "v2.safetensors", "-o", f / "delta"],
    "delta apply": lambda i, f: ["delta", "apply", i / "v1.safetensors",
                                 i / "delta", "-o",
                                 copy_to(f, i / "v1.safetensors", "a")],
    "keys generate": lambda i, f: ["keys", "generate", f / "key"],
    "keys trust": lambda i, f: ["keys", "trust", "other", i / "key.pub",
                                "--policy", trusted(i, f)],
    "keys revoke": lambda i, f: ["keys", "revoke", "mine", "--policy",
                                 trusted(i, f)],
    "sign": lambda i, f: ["sign", copy_to(f, i / "v1.safetensors", "a"),
                          "--key", i / "key", "-o", f / "a"],
    "export": lambda i, f: ["export", i / "v1.safetensors", "--model", MODEL,
                            "-o", f / "peft"],
    "store init": lambda i, f: ["store", "init", f / "store"],
    "store add": lambda i, f: ["store", "add", store_in(i, f),
                               i / "v1.safetensors",
                               "--name", "another"],
    "store use": lambda i, f: ["store", "use", store_in(i, f), "me@2"],
    "store confirm": lambda i, f: ["store", "use", on_trial(i, f), "me",
                                    "--confirm"],
    "store rollback": lambda i, f: ["store", "rollback", on_trial(i, f), "me"],
    "store gc": lambda i, f: ["store", "gc", store_in(i, f), "--keep", 1],
    "store export": lambda i, f: ["store", "export", store_in(i, f), "me@1",
                                  "-o", f / "out"],
}  # fmt: skip


def on_trial(inputs, folder):
    store = store_in(inputs, folder)
    run_json("store", "use", store, "me@2")
    return store


def files(folder):
    """What counts: not SQLite's log, of which an empty one may come about."""
    return {p.relative_to(folder): p.read_bytes()
            for p in folder.rglob("*") if p.is_file()
            and not p.name.startswith(("index.sqlite", "lock"))}  # fmt: skip


def slots(folder):
    store = folder / "store"
    if not (store / "store.toml").exists():
        return None
    return [(a["name"], a["version"], a["slot"])
            for a in run_json("store", "list", store)["adapters"]]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_takes_nothing(inputs, tmp_path, command, error):
    args = COMMANDS[command](inputs, tmp_path)
    before = files(tmp_path), slots(tmp_path)
    done = run(*args, prefix=["env", f"LD_PRELOAD={RECORDER}",
                              f"FT_FAULT_ROOT={tmp_path}", "FT_FAULT_AT=1",
                              "FT_FAULT_FOR=0", f"FT_FAULT_KIND={error}"])  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert any(words in done.stderr for words in ERRORS[error]), done.stderr
    assert (files(tmp_path), slots(tmp_path)) == before


def test_two_trainings_do_not_share_a_checkpoint(inputs, tmp_path):
    args = train(inputs, "--checkpoint-every", 1, "--out", tmp_path / "a",
                 epochs=4000)  # fmt: skip
    first = subprocess.Popen([BINARY, *map(str, args)], text=True,
                             stderr=subprocess.PIPE)
    try:
        while not (tmp_path / "a.checkpoint").exists():
            assert first.poll() is None
        second = run(*args)
        assert second.returncode == 5
        assert "is being written by another process" in second.stderr
        assert first.poll() is None
    finally:
        first.kill()
        first.communicate()
    # Nobody holds it now, and the killed one's files are no hindrance.
    run_json(*train(inputs, "--out", tmp_path / "a", epochs=1))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_two_commands_that_change_one_policy_both_do(inputs, tmp_path):
    policy = tmp_path / "policy.toml"
    names = [f"key{n}" for n in range(8)]
    for name in names:
        run_json("keys", "generate", tmp_path / name)
    running = [subprocess.Popen([BINARY, "keys", "trust", name,
                                 tmp_path / f"{name}.pub", "--policy", policy],
                                stdout=subprocess.DEVNULL)
               for name in names]  # fmt: skip
    assert [p.wait() for p in running] == [0] * len(names)
    said = run_json("keys", "list", "--policy", policy)["keys"]
    assert sorted(k["name"] for k in said) == names


def test_a_clock_that_was_set_back_stops_nobody(inputs, tmp_path):
    """Nothing but the store keeps times, and it goes by its own count."""
    store = on_trial(inputs, tmp_path)
    clock = tmp_path / "clock.c"
    clock.write_text(
        "#include <time.h>\n"
        "#include <sys/syscall.h>\n#include <unistd.h>\n"
        "int clock_gettime(clockid_t id, struct timespec* t) {\n"
        "  int r = (int)syscall(SYS_clock_gettime, id, t);\n"
        "  if (id == CLOCK_REALTIME) t->tv_sec -= 40000000;\n"
        "  return r;\n}\n"
        "time_t time(time_t* out) {\n  struct timespec t;\n"
        "  clock_gettime(CLOCK_REALTIME, &t);\n"
        "  if (out) *out = t.tv_sec;\n  return t.tv_sec;\n}\n")  # fmt: skip
    library = tmp_path / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, clock], check=True)
    back = ["env", f"LD_PRELOAD={library}"]
    run_json("store", "use", store, "me", "--confirm", prefix=back)
    done = run("store", "rollback", store, "me", prefix=back)
    assert done.returncode == 0 and "clock is" in done.stderr
    assert (("me", 1, "confirmed") in slots(tmp_path)
            and ("me", 2, "retired") in slots(tmp_path))  # fmt: skip
    same = tmp_path / "same"
    run_json("delta", "apply", inputs / "v1.safetensors", inputs / "delta",
             "-o", same, prefix=back)  # fmt: skip
    assert same.read_bytes() == (inputs / "v2.safetensors").read_bytes()
    signed = tmp_path / "signed"
    run_json("sign", inputs / "v1.safetensors", "--key", inputs / "key",
             "-o", signed, prefix=back)  # fmt: skip
    assert run("verify", signed).returncode == 0
