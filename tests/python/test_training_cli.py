"""`fieldtune train` and its neighbours as a user runs them: one speaker of the
real job, equal bits whatever the path, and what happens when things go wrong.
"""

import resource
import signal
import subprocess
import sys
import time
import wave

import numpy as np
import pytest
from fieldtune_cli import BINARY, FSDD, FSDD_ARGS, MODELS, ROOT, run, run_json
from safetensors.numpy import load_file
from torch_tflite import run_litert

sys.path.insert(0, str(ROOT / "bench"))
import real_job  # noqa: E402

KWS = MODELS / "kws_ref_model.tflite"
KWS_FLOAT = MODELS / "kws_ref_model_float32.tflite"
pytestmark = pytest.mark.usefixtures("shared")


@pytest.fixture(scope="module")
def theo(tmp_path_factory, shared):
    """The issue's own command line, for one speaker and seed."""
    out = tmp_path_factory.mktemp("theo") / "theo.safetensors"
    return run_json(*real_job.train_args("theo", "lora4", 1, out)), out


@pytest.fixture
def small(tmp_path):
    """Twelve random samples of three classes: a run of a second."""
    rng = np.random.default_rng(2)
    x = rng.normal(0, 10, [12, 49, 10, 1]).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(12, dtype=np.int32) % 3)
    return ["train", KWS, "--data", tmp_path / "x.npy", "--labels",
            tmp_path / "y.npy", "--new-head", "--seed", 5]  # fmt: skip


def expect(done, code, *words):
    """The exit code, and one sentence on stderr that holds the words."""
    last = (done.stderr.strip().splitlines() or [""])[-1]
    assert done.returncode == code, done.stderr
    assert last.startswith("fieldtune: "), done.stderr
    for word in words:
        assert word in last, f"'{word}' is not in: {last}"


def test_real_job_of_one_speaker(theo, tmp_path):
    trained, adapter = theo
    assert trained["accuracy_after"] >= 0.96
    assert trained["accuracy_before"] < 0.3
    ram = sum(
        trained[f] for f in ("arena_bytes", "persistent_bytes", "scratch_bytes")
    )
    assert ram < 256 * 1024
    assert trained["arena_bytes_used"] == trained["arena_bytes"]
    assert trained["adapter_bytes"] < 100_000
    assert trained["adapter_bytes"] == adapter.stat().st_size
    assert trained["steps"] == 30 * 100
    evaluated = run_json("eval", KWS, "--adapter", adapter)
    assert evaluated["accuracy"] == trained["accuracy_after"]
    assert evaluated["samples"] == 400


def test_merged_model_gives_the_same_answers_in_litert(theo, tmp_path):
    trained, adapter = theo
    merged = tmp_path / "theo.tflite"
    after = run_json("merge", KWS, "--adapter", adapter, "--out", merged)
    assert after["accuracy"] == trained["accuracy_after"]
    assert after["accuracy_int8"] >= after["accuracy"] - 0.01
    assert after["samples"] == 400
    assert real_job.litert_answers(merged, "theo") == (0, 500)


def test_run_with_adapter_beside_the_base(theo, tmp_path):
    """Unmerged int8 answers: the same class as the merged file in nearly all
    cases, and the new head's shape."""
    _, adapter = theo
    x = real_job.real_inputs("theo", KWS)[::10]
    np.save(tmp_path / "x.npy", x)
    args = ["--adapter", adapter, "--input", tmp_path / "x.npy"]
    result = run_json("run", KWS, *args, "--output", tmp_path / "y.npy")
    y = np.load(tmp_path / "y.npy")
    assert y.shape == (50, 10) and y.dtype == np.int8
    assert result["dtype"] in ("int8", "s8")
    merged = tmp_path / "m.tflite"
    run_json("merge", KWS, "--adapter", adapter, "--out", merged)
    same = run_litert(merged, x).argmax(-1) == y.argmax(-1)
    assert same.mean() >= 0.96


def test_same_seed_same_bits_other_seed_other_bits(small, tmp_path):
    out = ["--epochs", 3, "--out", tmp_path / "a.safetensors"]
    sha = lambda *more: run_json(*small, *out, *more)["adapter_sha256"]
    first = sha()
    assert sha() == first
    assert sha("--threads", 2) == first
    assert sha("--exact") == sha("--exact", "--threads", 2)
    assert run_json(*small[:-1], 6, *out)["adapter_sha256"] != first


def test_threads_do_not_change_a_run_on_recordings(tmp_path):
    args = ["train", KWS, "--data", FSDD / "theo", *FSDD_ARGS, "--new-head",
            "--train-per-class", 2, "--epochs", 2, "--validation", 0.5,
            "--augment", "noise=10:30,shift=0.1",
            "--out", tmp_path / "a.safetensors"]  # fmt: skip
    one, two = (run_json(*args, "--threads", n) for n in (1, 2))
    assert one["adapter_sha256"] == two["adapter_sha256"]
    assert one["accuracy_after"] == two["accuracy_after"]


def test_validation_without_a_number_per_class(small, tmp_path):
    out = ["--epochs", 3, "--out", tmp_path / "a.safetensors"]
    assert "/36 " in run(*small, *out).stderr
    assert "/27 " in run(*small, *out, "--validation", 0.25).stderr
    expect(run(*small, *out, "--validation", 0.25, "--split", "60/20/20"), 2,
           "--validation", "contradict")  # fmt: skip


def test_stopped_and_resumed_equals_uninterrupted(small, tmp_path):
    """Stopped inside an epoch, between epochs, and after the best epoch."""
    whole = tmp_path / "whole.safetensors"
    want = run_json(*small, "--epochs", 4, "--out", whole)["adapter_sha256"]
    for steps in (5, 12, 31):
        out = ["--epochs", 4, "--out", tmp_path / f"part{steps}.safetensors"]
        done = run(*small, *out, "--stop-after", steps)
        expect(done, 5, "--resume", f"step {steps} of 48")
        assert run_json(*small, *out, "--resume")["adapter_sha256"] == want


def test_ctrl_c_leaves_a_checkpoint_to_resume(small, tmp_path):
    out = ["--epochs", 400, "--out", tmp_path / "a.safetensors"]
    command = [str(a) for a in (BINARY, *small, *out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    # Stopped while it works: a plain line comes at each tenth of the steps.
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=120)
    assert process.returncode == 5, first + rest
    checkpoint = tmp_path / "a.safetensors.checkpoint"
    assert checkpoint.is_file() and not (tmp_path / "a.safetensors").exists()
    resumed = run_json(*small, *out, "--resume")
    assert not checkpoint.exists()
    whole = ["--epochs", 400, "--out", tmp_path / "b.safetensors"]
    assert resumed["adapter_sha256"] == (
        run_json(*small, *whole)["adapter_sha256"]
    )


def test_killed_at_any_moment_it_goes_on_to_the_same_bits(small, tmp_path):
    """SIGKILL after random times, from the start of the process to its end."""
    small = [*small, "--epochs", 30, "--checkpoint-every", 1]
    whole = tmp_path / "whole.safetensors"
    begin = time.monotonic()
    want = run_json(*small, "--out", whole)["adapter_sha256"]
    took = time.monotonic() - begin
    seed = time.time_ns() % 2**32
    print("seed", seed)
    rng = np.random.default_rng(seed)
    out = tmp_path / "killed.safetensors"
    command = [str(a) for a in (BINARY, *small, "--out", out, "--resume")]
    kills = 0
    while kills < 12:
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL)
        try:
            assert process.wait(rng.uniform(0, took / 4)) == 0
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            kills += 1
    assert kills > 3
    assert run_json(*small, "--out", out, "--resume")["adapter_sha256"] == want
    left = {p.name for p in tmp_path.glob("killed.safetensors.checkpoint*")}
    assert not [n for n in left if n.endswith(("checkpoint", "history"))]


def test_a_checkpoint_is_under_a_kilobyte_beyond_what_it_keeps(small, tmp_path):
    out = ["--epochs", 40, "--out", tmp_path / "a.safetensors"]
    done = run(*small, *out, "--stop-after", 400)
    assert done.returncode == 5, done.stderr
    state = (tmp_path / "a.safetensors.checkpoint").stat().st_size
    kept = run_json(*small, *out, "--resume")["persistent_bytes"]
    assert 0 < state - kept < 1024


def test_checkpoint_of_other_settings_is_refused(small, tmp_path):
    out = ["--epochs", 4, "--out", tmp_path / "a.safetensors"]
    run(*small, *out, "--stop-after", 3)
    done = run(*small, *out, "--resume", "--lr", 0.5)
    expect(done, 3, "checkpoint")


def test_a_damaged_checkpoint_is_named(small, tmp_path):
    out = ["--epochs", 4, "--out", tmp_path / "a.safetensors"]
    run(*small, *out, "--stop-after", 3)
    checkpoint = tmp_path / "a.safetensors.checkpoint"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-8])
    expect(run(*small, *out, "--resume"), 3, str(checkpoint), "bytes")


def test_adapter_of_another_base_is_refused(small, tmp_path):
    adapter = tmp_path / "a.safetensors"
    run_json(*small, "--epochs", 1, "--out", adapter)
    np.save(tmp_path / "i.npy", np.zeros([1, 49, 10, 1], np.float32))
    files = ["--input", tmp_path / "i.npy", "--output", tmp_path / "o.npy"]
    for args in (
        ["eval", KWS_FLOAT],
        ["merge", KWS_FLOAT, "--out", tmp_path / "m.tflite"],
        ["run", KWS_FLOAT, *files],
    ):
        done = run(*args, "--adapter", adapter)
        expect(done, 3, "another base model")
    assert not (tmp_path / "m.tflite").exists()
    done = run("train", KWS_FLOAT, *small[2:], "--init-adapter", adapter,
               "--out", tmp_path / "b.safetensors")  # fmt: skip
    expect(done, 3, "another base model")


def words_of(folder, words):
    """Recordings of theo's digits as folders of their own words."""
    for word in words:
        (folder / word).mkdir(parents=True)
        for take in range(6):
            wav = FSDD / "theo" / f"{word}_theo_{take}.wav"
            (folder / word / wav.name).symlink_to(wav)
    return folder


def test_an_adapter_is_gone_on_from_as_it_was_made(tmp_path):
    first, second = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    data = words_of(tmp_path / "all", "0123")
    run_json("train", KWS, "--data", data, "--front-end", "mlperf-kws",
             "--new-head", "--method", "lora", "--rank", 3, "--target-modules",
             "conv2d_4", "--rank-pattern", "conv2d_4=5", "--epochs", 6, "--lr",
             0.01, "--out", first)  # fmt: skip
    # Layers, ranks, head and front end are the adapter's; class 0 of the new
    # data is its class 1.
    few = words_of(tmp_path / "few", "13")
    begun = ["train", KWS, "--data", few, "--init-adapter", first]
    on = run_json(*begun, "--epochs", 1, "--out", second)
    assert on["accuracy_before"] == pytest.approx(
        run_json("eval", KWS, "--adapter", first, "--data", few)["accuracy"])
    assert on["accuracy_before"] > 0.8
    old, new = load_file(first), load_file(second)
    assert {k: v.shape for k, v in old.items()} == {
        k: v.shape for k, v in new.items()}  # fmt: skip
    # What an option says contradicts the file, and is refused.
    done = run(*begun, "--rank", 2, "--out", tmp_path / "3.safetensors")
    expect(done, 3, "--init-adapter", "tensor")
    # A word that the adapter does not know has no place in its head.
    more = words_of(tmp_path / "more", "07")
    done = run(*begun[:3], more, *begun[4:], "--out", tmp_path / "3.safetensors")
    expect(done, 3, "class '7'", "0, 1, 2, 3")


def test_small_budget_names_what_would_work(small, tmp_path):
    out = ["--epochs", 1, "--out", tmp_path / "a.safetensors"]
    done = run(*small, *out, "--ram", "20K")
    expect(done, 4, "20480", "fullest step", "smallest budget that works")
    words = done.stderr.replace(",", "").split()
    smallest = int(words[words.index("works") + 2])
    expect(run(*small, *out, "--ram", smallest - 1), 4, str(smallest))
    fits = run_json(*small, *out, "--ram", smallest)
    assert smallest == sum(
        fits[f] for f in ("arena_bytes", "persistent_bytes", "scratch_bytes")
    )


def write_wav(path, samples, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as f:
        f.setnchannels(channels)
        f.setsampwidth(2)
        f.setframerate(16000)
        f.writeframes(np.asarray(samples, "<i2").tobytes())


@pytest.fixture
def recordings(tmp_path):
    """Two classes of three good recordings."""
    rng = np.random.default_rng(3)
    for word in ("yes", "no"):
        for take in range(3):
            noise = rng.integers(-9000, 9000, 8000)
            write_wav(tmp_path / "wavs" / word / f"{take}.wav", noise)
    return tmp_path / "wavs"


def train_on(folder, tmp_path):
    return run("train", KWS, "--data", folder, "--front-end", "mlperf-kws",
               "--new-head", "--train-per-class", 2, "--epochs", 1,
               "--out", tmp_path / "a.safetensors")  # fmt: skip


def test_bad_recordings_are_named(recordings, tmp_path):
    assert train_on(recordings, tmp_path).returncode == 0
    bad = recordings / "yes" / "2.wav"
    good = bad.read_bytes()
    write_wav(bad, np.zeros(2000), channels=2)
    expect(train_on(recordings, tmp_path), 3, "2.wav", "2 channels")
    write_wav(bad, [])
    expect(train_on(recordings, tmp_path), 3, "2.wav", "0 samples")
    bad.write_bytes(b"RIFF is not enough")
    expect(train_on(recordings, tmp_path), 3, "2.wav")
    bad.write_bytes(good)
    (recordings / "maybe").mkdir()
    expect(train_on(recordings, tmp_path), 3, "maybe", "no samples")
    write_wav(recordings / "maybe" / "0.wav", np.arange(4000))
    expect(train_on(recordings, tmp_path), 3, "maybe", "1 sample")


def test_full_disk_leaves_the_old_file_intact(small, tmp_path):
    """A file size limit stands for the full disk; Python leaves its signal
    ignored, so that the write itself fails."""
    out = tmp_path / "a.safetensors"
    run_json(*small, "--epochs", 1, "--out", out)
    old, files = out.read_bytes(), sorted(tmp_path.iterdir())
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
    command = [str(a) for a in (BINARY, *small, "--epochs", 2, "--out", out)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        preexec_fn=limit,
        restore_signals=False,
    )
    expect(done, 5, "a.safetensors")
    assert out.read_bytes() == old
    assert sorted(tmp_path.iterdir()) == files


def test_exploding_loss_stops_and_keeps_the_best(small, tmp_path):
    out = tmp_path / "a.safetensors"
    options = ["--precision", "f32", "--optimizer", "sgd", "--lr", 1000]
    start = time.monotonic()
    done = run(*small, *options, "--epochs", 2000, "--out", out, "--json")
    assert time.monotonic() - start < 60
    assert "step" in done.stderr and "lr" in done.stderr, done.stderr
    tensors = load_file(out)
    assert tensors
    for name, values in tensors.items():
        assert np.isfinite(values).all(), name


def test_a_rate_without_meaning_is_a_usage_error(small, tmp_path):
    for lr in ("1e30", "nan", "-1"):
        done = run(*small, f"--lr={lr}", "--out", tmp_path / "a.safetensors")
        assert done.returncode == 2, done.stderr
