"""fieldtune compile --front-end: audio to the model's input on devices, held
against the host's front end, on this machine and on emulated boards."""

import subprocess
import wave

import fieldtune_cli as cli
import numpy as np
import pytest

from mcu_boards import ROOT, run_undefined_free, target_or_skip
from mcu.front_end import DRIVER, run_front_end

DEMO = ROOT / "examples" / "demo" / "keyword_base.tflite"  # 49 frames of 10
KWS = cli.MODELS / "kws_ref_model.tflite"
SECOND = 16000


def compiled(folder, arithmetic, *options, model=DEMO):
    return cli.run_json("compile", model, "--out", folder, "--program", "infer",
                        *([] if "--front-end" in options else
                          ["--front-end", "mlperf-kws"]),
                        "--front-end-arithmetic", arithmetic, *options)


def synthetic_clips(count):
    """Noise and a rising tone, loud, soft, clipped; and silence."""
    rng = np.random.default_rng(5)
    clips = []
    for i in range(count):
        t = np.arange(SECOND)
        wave_ = np.sin(t * (0.02 + 4e-6 * t * (i + 1)))
        x = wave_ * (t % 5000 > 1500) + 0.01 * rng.normal(size=SECOND)
        x *= 10.0 ** (1 - i)
        clips.append(np.clip(x * 32768, -32768, 32767).astype("<i2"))
    return [*clips, np.zeros(SECOND, "<i2")]


def read_wav(path, rate):
    with wave.open(str(path)) as f:
        assert (f.getframerate(), f.getsampwidth()) == (rate, 2)
        return np.frombuffer(f.readframes(f.getnframes()), "<i2")


def write_wav(path, samples):
    with wave.open(str(path), "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(SECOND)
        f.writeframes(samples.astype("<i2").tobytes())


def padded(samples):
    return np.pad(samples[:SECOND], (0, max(0, SECOND - len(samples))))


def as_bytes(clips):
    return [clip.astype("<i2").tobytes() for clip in clips]


def quantizer(model):
    q = cli.run_json("inspect", model)["inputs"][0]
    return q["scale"], q["zero_point"]


def host_inputs(program, folder, clips, model):
    """What fieldtune itself makes of `clips`, as int8."""
    scale, zero_point = quantizer(model)
    out = []
    for clip in clips:
        write_wav(folder / "clip.wav", clip)
        subprocess.run([program("front_end_features"), "mlperf-kws",
                        folder / "clip.wav", folder / "clip.npy"], check=True)
        q = np.load(folder / "clip.npy") / np.float32(scale)
        whole = np.trunc(q + np.copysign(0.5, q)) + zero_point
        out.append(np.clip(whole, -128, 127).astype("i1"))
    return np.array(out)


def inputs_of(run, count):
    return np.frombuffer(run.inputs, "i1").reshape(count, 49, 10)


@pytest.mark.parametrize("board, arithmetic", [
    ("cortex-m0plus", "fixed"), ("cortex-m4", "fixed"), ("riscv32", "fixed"),
    ("cortex-m4", "float"), ("cortex-m55", "float")])
def test_a_board_hears_what_this_machine_hears(tmp_path, board, arithmetic):
    target = target_or_skip(board)
    clips = as_bytes(synthetic_clips(2))
    here = run_front_end(compiled(tmp_path / "here", arithmetic), clips)
    there = run_front_end(
        compiled(tmp_path / "there", arithmetic, "--target", board), clips,
        target)
    assert here.inputs == there.inputs and len(set(here.inputs)) > 50
    assert there.push_instructions < 200_000 and there.stack_bytes < 512


@pytest.mark.parametrize("arithmetic", ["fixed", "float"])
def test_the_input_is_that_of_the_host(program, tmp_path, arithmetic):
    clips = synthetic_clips(4)
    run = run_front_end(compiled(tmp_path / "c", arithmetic), as_bytes(clips))
    want = host_inputs(program, tmp_path, clips, DEMO)
    off = np.abs(inputs_of(run, len(clips)).astype(int) - want)
    assert off.max() <= 1 and (off == 0).mean() > 0.98
    assert (off[-1] == 0).all()  # silence


def twice_the_rate(samples):
    """8 to 16 kHz: the spectrum with zeros behind."""
    spectrum = np.fft.rfft(samples.astype("f8"))
    x = np.fft.irfft(spectrum, 2 * len(samples)) * 2
    return np.clip(np.rint(x), -32768, 32767).astype("<i2")


@pytest.fixture(scope="module")
def speaker(shared, tmp_path_factory):
    """One speaker's digits at 16 kHz, and an adapter that knows them."""
    folder = tmp_path_factory.mktemp("jackson")
    for path in sorted((shared / "data/fsdd/jackson").glob("*.wav")):
        write_wav(folder / path.name, twice_the_rate(read_wav(path, 8000)))
    adapter = folder.parent / "jackson.safetensors"
    cli.run_json("train", KWS, "--data", folder, *cli.FSDD_ARGS, "--new-head",
                 "--train-per-class", 10, "--rank", 4, "--epochs", 20,
                 "--seed", 1, "--out", adapter)
    return folder, adapter


def test_fixed_point_on_real_recordings(program, speaker, tmp_path):
    """500 takes: the same answers, from inputs that are rarely a step off."""
    folder, adapter = speaker
    paths = sorted(folder.glob("*.wav"))
    clips = [padded(read_wav(path, SECOND)) for path in paths]
    run = run_front_end(compiled(tmp_path / "c", "fixed", model=KWS),
                        as_bytes(clips))
    got = inputs_of(run, len(clips))
    want = host_inputs(program, tmp_path, clips[::5], KWS)
    off = np.abs(got[::5].astype(int) - want)
    assert (off <= 1).mean() >= 0.99 and (off == 0).mean() >= 0.98
    scale, zero_point = quantizer(KWS)
    real = (got.astype("f4") - zero_point) * np.float32(scale)
    np.save(tmp_path / "x.npy", real[..., None])
    np.save(tmp_path / "y.npy", np.array([int(p.name[0]) for p in paths]))
    ours = cli.run_json("eval", KWS, "--adapter", adapter, "--front-end", "raw",
                        "--data", tmp_path / "x.npy", "--labels",
                        tmp_path / "y.npy")["accuracy"]
    host = cli.run_json("eval", KWS, "--adapter", adapter, "--data", folder,
                        *cli.FSDD_ARGS)["accuracy"]
    print(f"accuracy {ours} against {host}; equal {(off == 0).mean():.5f}, "
          f"within a step {(off <= 1).mean():.5f}")
    assert host > 0.95 and abs(ours - host) <= 0.004


def adapter_of(folder, *front_end):
    """Trained on a few clips through `front_end`, or on their features."""
    rng = np.random.default_rng(3)
    data = ["--data", folder / "clips"]
    if front_end:
        for name in "ab":
            (folder / "clips" / name).mkdir(parents=True, exist_ok=True)
            for i in range(2):
                write_wav(folder / "clips" / name / f"{i}.wav",
                          rng.integers(-3000, 3000, SECOND))
    else:
        np.save(folder / "x.npy", rng.normal(0, 10, (4, 49, 10, 1)).astype("f4"))
        np.save(folder / "y.npy", np.array([0, 1, 0, 1]))
        data = ["--data", folder / "x.npy", "--labels", folder / "y.npy"]
    out = folder / f"adapter{len(front_end)}.safetensors"
    cli.run_json("train", DEMO, *data, *front_end, "--new-head", "--epochs", 1,
                 "--out", out)
    return out


def test_the_adapter_says_which(tmp_path):
    (tmp_path / "loud.toml").write_text('kind = "mfcc"\nlog_floor = 1e-4\n')
    heard = adapter_of(tmp_path, "--front-end", tmp_path / "loud.toml")
    table = lambda name: (tmp_path / name / "ft_frontend.c").read_text()
    compiled(tmp_path / "given", "float", "--adapter", heard, "--front-end",
             tmp_path / "loud.toml")
    compiled(tmp_path / "mlperf", "float", "--adapter", heard)
    plain = lambda name, *options: cli.run_json(
        "compile", DEMO, "--out", tmp_path / name, "--front-end-arithmetic",
        "float", *options)
    plain("infer", "--program", "infer", "--adapter", heard)
    plain("merged", "--program", "infer", "--adapter", heard, "--adapter-mode",
          "merged")
    train = plain("train", "--init-adapter", heard, "--classes", 2)
    assert train["front_end_bytes"] > 0
    assert table("infer") == table("merged") == table("train") == table("given")
    assert table("given") != table("mlperf")
    none = plain("none", "--program", "infer", "--adapter", heard, "--front-end",
                 "none")
    features = plain("features", "--program", "infer", "--adapter",
                     adapter_of(tmp_path))
    assert none["front_end_bytes"] == features["front_end_bytes"] == 0


def test_what_is_refused(tmp_path):
    out = tmp_path / "c"
    (tmp_path / "long.toml").write_text('kind = "mfcc"\nclip_samples = 32000\n')
    (tmp_path / "fine.toml").write_text(
        'kind = "mfcc"\nclip_samples = 16000\nlog_floor = 0.5\n')
    front_end = lambda name: ["--front-end", name, "--front-end-arithmetic",
                              "fixed"]
    cases = [
        (front_end("unit-image"), 'only those of kind "mfcc" are printed'),
        (front_end(tmp_path / "long.toml"),
         "gives 99 frames of 10 features, and the model takes [1, 49, 10, 1]"),
        (front_end(tmp_path / "fine.toml"),
         "log_floor must be 1e-9 to 1e-3 in fixed point"),
        (["--front-end-arithmetic", "int"],
         "--front-end-arithmetic 'int': there are: float, fixed, auto")]
    for options, sentence in cases:
        done = cli.run("compile", DEMO, "--out", out, "--program", "infer",
                       *options)
        assert done.returncode == 2 and sentence in done.stderr, done.stderr
        assert not out.exists()


def test_its_memory_counts(tmp_path):
    on = ["--target", "cortex-m4"]
    without = cli.run_json("compile", DEMO, "--out", tmp_path / "a",
                           "--program", "infer", *on)
    model = compiled(tmp_path / "b", "fixed", *on)
    assert without["front_end_bytes"] == 0
    assert model["ram_bytes"] == (without["ram_bytes"] +
                                  model["front_end_bytes"])
    text = (tmp_path / "b/ft_frontend.h").read_text()
    assert f"#define FT_FRONTEND_RAM_BYTES {model['front_end_bytes']}" in text
    text = (ROOT / "targets/cortex-m4.toml").read_text()
    small = tmp_path / "small.toml"
    small.write_text(text.replace("bytes = 0x400000",
                                  f"bytes = {without['ram_bytes'] + 100}"))
    done = cli.run("compile", DEMO, "--out", tmp_path / "c", "--program",
                   "infer", "--front-end", "mlperf-kws", "--target", small)
    assert done.returncode == 4 and ", front end 6636, " in done.stderr


@pytest.mark.parametrize("compiler", ["gcc", "clang-14"])
@pytest.mark.parametrize("arithmetic", ["fixed", "float"])
def test_no_warning_and_no_undefined_behaviour(tmp_path, compiler, arithmetic):
    folder = tmp_path / "c"
    compiled(folder, arithmetic)
    clips = as_bytes(synthetic_clips(2))
    (tmp_path / "clips.h").write_text(
        f"#define CLIPS {len(clips)}\n#define INPUT_BYTES 490\n")
    (tmp_path / "audio.raw").write_bytes(b"".join(clips))
    run_undefined_free(compiler,
                       [DRIVER, *folder.glob("*.c"),
                        *folder.glob("kernels/*/*.c")],
                       [folder, tmp_path], tmp_path)


def test_fixed_point_has_no_float(tmp_path):
    """Compiled for a core without FPU, nothing asks for floating point."""
    target = target_or_skip("cortex-m0plus")
    folder = tmp_path / "c"
    compiled(folder, "fixed", "--target", "cortex-m0plus")
    sources = [folder / "ft_frontend.c", *folder.glob("kernels/mfcc/*.c")]
    for source in sources:
        assert "math.h" not in source.read_text()
        subprocess.run([target.prefix + "gcc", *target.flags, "-std=c99", "-O2",
                        "-I", folder, "-c", source, "-o", tmp_path / "o.o"],
                       check=True)
        names = subprocess.run([target.prefix + "nm", tmp_path / "o.o"],
                               check=True, capture_output=True, text=True)
        for name in ("__aeabi_f", "__aeabi_d", "2f", "2d"):
            assert name not in names.stdout.replace("__aeabi_idiv", ""), source
