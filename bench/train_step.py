"""LoRA r = 4 steps of the float keyword model: fieldtune against eager PyTorch
with the same modules, optimizer and batch, each in its own process on the same
core, turn by turn.

A step of fieldtune is timed inside `fieldtune train`: feeding the batch,
forward, loss, backward, updates and the progress line.
"""

import json
import subprocess
import sys

import numpy as np
from session import ROOT, WORK, cli, pinned, save, spread, verdict

MODEL = cli.MODELS / "kws_ref_model_float32.tflite"
BARS = {1: 10, 16: 5}
RSS_BAR = 10
ROUNDS = 5
STEPS = {1: 600, 16: 150}


def write_data(samples):
    """Random features and labels 0 to 11, each class often enough."""
    WORK.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    x, y = WORK / "kws_x.npy", WORK / "kws_y.npy"
    np.save(x, rng.normal(0, 1, [samples, 49, 10, 1]).astype(np.float32))
    np.save(y, np.arange(samples, dtype=np.int32) % 12)
    return x, y


def our_args(batch, steps):
    samples = 48
    epochs = steps * batch // samples
    x, y = write_data(samples)
    return [
        *["train", MODEL, "--data", x, "--labels", y, "--precision", "f32"],
        *["--rank", 4, "--batch", batch, "--epochs", epochs, "--lr", 1e-4],
        *["--out", WORK / "kws.safetensors"],
    ]


def run_peer(batch, steps):
    peer = [sys.executable, str(ROOT / "bench" / "torch_peer.py"), str(MODEL)]
    options = ["--batch", str(batch), "--steps", str(steps)]
    done = subprocess.run(
        [*pinned(), *peer, *options],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def profile(batch):
    """Where the time of a step goes: kernels by their share."""
    result = cli.run_json(
        *["bench", MODEL, "--train", "--precision", "f32", "--rank", 4],
        *["--batch", batch, "--runs", 200, "--profile"],
        prefix=pinned(),
    )
    total = sum(c["call_us"] for c in result["calls"])
    by_kernel = {}
    for c in result["calls"]:
        by_kernel.setdefault(c["kernel"], []).append(c["call_us"])
    rows = [
        {
            "batch": batch,
            "kernel": kernel,
            "calls": len(times),
            "time_us": round(sum(times), 1),
            "share": round(sum(times) / total, 3),
        }
        for kernel, times in by_kernel.items()
    ]
    rows.sort(key=lambda row: -row["time_us"])
    return result, rows[:8]


def compare(batch):
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(
            cli.run_json(*our_args(batch, STEPS[batch]), prefix=pinned())
        )
        theirs.append(run_peer(batch, STEPS[batch]))
    our_ms, our_low, our_high = spread([r["step_ms"] for r in ours])
    peer_ms, peer_low, peer_high = spread([r["step_ms"] for r in theirs])
    our_rss = max(r["peak_rss_bytes"] for r in ours)
    peer_rss = max(r["peak_rss_bytes"] for r in theirs)
    bench, kernels = profile(batch)
    row = {
        "batch": batch,
        "step_ms": round(our_ms, 4),
        "step_min_ms": round(our_low, 4),
        "step_max_ms": round(our_high, 4),
        "torch_step_ms": round(peer_ms, 4),
        "torch_step_min_ms": round(peer_low, 4),
        "torch_step_max_ms": round(peer_high, 4),
        "steps_per_s": round(1e3 / our_ms, 1),
        "torch_steps_per_s": round(1e3 / peer_ms, 1),
        "speedup": round(peer_ms / our_ms, 2),
        "speedup_bar": BARS[batch],
        "peak_rss_bytes": our_rss,
        "torch_peak_rss_bytes": peer_rss,
        "rss_ratio": round(peer_rss / our_rss, 2),
        "rss_ratio_bar": RSS_BAR,
        "step_macs": bench["macs"],
        "step_gmacs_per_s": round(bench["macs"] / our_ms / 1e6, 2),
        "torch": theirs[0]["torch"],
    }
    return row, kernels


def main():
    rows, profiles = [], []
    for batch in BARS:
        row, kernels = compare(batch)
        rows.append(row)
        profiles += kernels
        print(
            f"LoRA step, batch {batch}: {row['step_ms']:.3f} ms, "
            f"PyTorch {row['torch_step_ms']:.3f} ms: {row['speedup']:.1f}x "
            f"{verdict(row['speedup'], BARS[batch])}; peak RSS "
            f"{row['peak_rss_bytes'] / 2**20:.1f} MB against "
            f"{row['torch_peak_rss_bytes'] / 2**20:.1f} MB: "
            f"{row['rss_ratio']:.1f}x {verdict(row['rss_ratio'], RSS_BAR)}",
            flush=True,
        )
        for k in kernels:
            print(f"    {100 * k['share']:5.1f} %  {k['kernel']}")
    save("train_step", rows)
    save("train_step_profile", profiles)


if __name__ == "__main__":
    main()
