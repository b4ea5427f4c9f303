#!/usr/bin/env python3
"""An autoencoder learns what one machine sounds like; see README.md."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
from example import Shell, cli  # noqa: E402
from picture import Picture  # noqa: E402

MODEL = cli.MODELS / "ad01_int8.tflite"
FRAMES, BANDS, FFT, HOP, RATE = 5, 128, 1024, 512, 12000
# A healthy bearing at the level at which MLPerf's machine was recorded.
LEVEL_DB = -30.0
HALL = 0.3  # spread of the noise; the healthy bearing's is 0.07
FRONT_END = f"""kind = "windows"
history = {FRAMES}
horizon = 0
stride = 1
standardize = false
"""


def mel_bands():
    """[bins, bands] triangles on the HTK mel axis from 0 Hz to half the rate."""
    mel = lambda hz: 2595 * np.log10(1 + np.asarray(hz) / 700)
    edges = np.linspace(0, mel(RATE / 2), BANDS + 2)
    at = mel(np.arange(FFT // 2 + 1) * RATE / FFT)[:, None]
    rise = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rise, fall))


def spectrogram(series):
    """[frames, bands] in dB, each frame at the same loudness: how loud a sensor
    is depends on how it is mounted."""
    starts = range(0, len(series) - FFT + 1, HOP)
    frames = np.stack([series[i : i + FFT] for i in starts]) * np.hanning(FFT)
    power = (np.abs(np.fft.rfft(frames)) ** 2) @ mel_bands()
    power /= power.mean(1, keepdims=True)
    return (10 * np.log10(power + 1e-6) + LEVEL_DB).astype(np.float32)


def stacked(rows):
    """[n, FRAMES * BANDS], windows as the front end makes them."""
    n = len(rows) - FRAMES + 1
    return np.stack([rows[i : i + FRAMES].ravel() for i in range(n)])


def scores(shell, model, x, adapter=()):
    """Mean squared error of what the model makes of each window, in dB²."""
    info = cli.run_json("inspect", model)
    source, target = info["inputs"][0], info["outputs"][0]
    q = np.round(x / source["scale"]) + source["zero_point"]
    np.save(shell.out / "x.npy", np.clip(q, -128, 127).astype(np.int8))
    cli.run_json("run", model, *adapter, "--input", shell.out / "x.npy",
                 "--output", shell.out / "y.npy")
    y = np.load(shell.out / "y.npy").reshape(len(x), -1).astype(np.float32)
    y = (y - target["zero_point"]) * target["scale"]
    return ((y - x) ** 2).mean(1)


def area_under_roc(healthy, faulty):
    """The chance that a faulty window scores above a healthy one."""
    above = (faulty[:, None] > healthy).mean()
    return above + 0.5 * (faulty[:, None] == healthy).mean()


def heard(fault):
    """Spectrogram of a recording in a hall that is four times as loud as the
    healthy bearing."""
    import domain_data

    series = domain_data.recording(fault, 0)
    random = np.random.default_rng(domain_data.FAULTS.index(fault))
    return spectrogram(series + HALL * random.normal(size=len(series)))


def prepare(shell):
    """Writes what the device hears while all is well; windows to test on."""
    import domain_data

    healthy = heard("normal")
    half = len(healthy) // 2
    np.save(shell.out / "healthy.npy", healthy[:half])
    (shell.out / "windows.toml").write_text(FRONT_END)
    tests = {fault: stacked(heard(fault)) for fault in domain_data.FAULTS[1:]}
    return tests, stacked(healthy[half:])


def main():
    shell = Shell("anomaly")
    faults, healthy = prepare(shell)
    adapter = shell.out / "adapter.safetensors"
    shell.run("train", MODEL, "--data", shell.out / "healthy.npy",
              "--front-end", shell.out / "windows.toml", "--loss", "mse",
              "--method", "lora", "--rank", 4, "--lr", 3e-3, "--precision",
              "mixed", "--ram", "256K", *shell.epochs(40), "--seed", 1,
              "--out", adapter, shown=["mse_before", "mse_after", "trainable",
                                       "adapter_bytes", "ram_bytes", "steps",
                                       "step_ms"])
    picture = Picture(760, 230)
    for i, (stage, options) in enumerate((("base", ()),
                                          ("adapted", ("--adapter", adapter)))):
        well = scores(shell, MODEL, healthy, options)
        areas = {name: area_under_roc(well, scores(shell, MODEL, x, options))
                 for name, x in faults.items()}
        for name, area in areas.items():
            print(f"    {stage + ' ' + name:18} {area:.4f}")
        print(f"    auc_{stage:14} {np.mean(list(areas.values())):.4f}")
        picture.bars((20 + 375 * i, 40, 345, 150), f"area under the ROC, {stage}",
                     areas, form="{:.2f}")
    shell.draw(picture)


if __name__ == "__main__":
    main()
