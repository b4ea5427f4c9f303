"""stories260k on Shakespeare: LoRA (r 8, alpha 16) of all seven projections,
AdamW 1e-3, weight decay 0.01, windows of 128 tokens every 64, 364 steps, against
the same in eager PyTorch: loss step by step, time, memory; one pinned core each.

    python bench/stories.py           both, turn by turn
    python bench/stories.py --peer WORK_FOLDER   PyTorch's side alone
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from session import WORK, cli, peak_rss_bytes, pinned, save, spread, verdict

MODEL = cli.SHARED / "models" / "stories260k" / "stories260K.bin"
TEXT = cli.SHARED / "data" / "tinyshakespeare" / "input.txt"
TEXT_BYTES, SEQ_LEN, STRIDE, STEPS = 40_000, 128, 64, 364
R, ALPHA, LR, WEIGHT_DECAY = 8, 16, 1e-3, 0.01
TARGETS = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"
LOSS_BAR, END_LOSS, ROUNDS = 1e-2, 3.17, 3


def peer(work):
    """Trains from the adapter in `work`; prints losses, ms and peak RSS."""
    import torch
    from safetensors.torch import load_file
    from torch_llama import PREFIX, Checkpoint, train

    torch.set_num_threads(1)
    model = Checkpoint(MODEL)
    start = load_file(work / "start.safetensors")
    lora = {k.removeprefix(PREFIX): v for k, v in start.items()}
    samples = torch.from_numpy(np.load(work / "windows.npy"))
    stamps = []

    def stamped():
        for sample in samples:
            stamps.append(time.perf_counter())
            yield sample
        stamps.append(time.perf_counter())

    losses = train(model, lora, stamped(), ALPHA / R, LR, WEIGHT_DECAY)
    print(
        json.dumps(
            {
                "losses": losses,
                "step_ms": 1e3 * float(np.median(np.diff(stamps))),
                "peak_rss_bytes": peak_rss_bytes(),
                "torch": torch.__version__,
            }
        )
    )


def train_options(out, lr=LR):
    return [
        *["--seq-len", SEQ_LEN, "--stride", STRIDE, "--epochs", 1],
        *["--rank", R, "--alpha", ALPHA, "--target-modules", TARGETS],
        *["--precision", "f32", "--lr", lr, "--weight-decay", WEIGHT_DECAY],
        *["--schedule", "constant", "--in-order", "--out", out],
    ]


def prepare():
    """The windows by the tokenizer's definition, and fieldtune's own initial
    adapter (a run with the rate 0), which both sides start from."""
    from torch_llama import Tokenizer, windows

    WORK.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(MODEL.parent / "tok512.bin", 512)
    text = TEXT.read_bytes()[:TEXT_BYTES].decode()
    tokens = tokenizer.encode(text)
    samples = windows(tokens, SEQ_LEN, STRIDE)[:STEPS]
    assert len(samples) == STEPS
    np.save(WORK / "windows.npy", samples.numpy())
    used = (STEPS - 1) * STRIDE + SEQ_LEN + 1
    np.save(WORK / "tokens.npy", np.array(tokens[:used], np.int32))
    (WORK / "text.txt").write_text(text)
    start = WORK / "start.safetensors"
    cli.run_json(
        *["train", MODEL, "--text", WORK / "tokens.npy"],
        *train_options(start, lr=0),
    )
    return start


def ours(start):
    log = WORK / "loss.csv"
    result = cli.run_json(
        *["train", MODEL, "--text", WORK / "tokens.npy"],
        *train_options(WORK / "adapter.safetensors"),
        *["--init-adapter", start, "--loss-log", log],
        prefix=pinned(),
    )
    result["losses"] = np.loadtxt(log, delimiter=",", skiprows=1)[:, 1]
    return result


def theirs():
    done = subprocess.run(
        [*pinned(), sys.executable, __file__, "--peer", str(WORK)],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def running_mean(losses):
    return np.cumsum(losses) / np.arange(1, len(losses) + 1)


def main():
    start = prepare()
    runs = [(ours(start), theirs()) for _ in range(ROUNDS)]
    our, their = runs[0]
    assert len(our["losses"]) == len(their["losses"]) == STEPS
    mean, peer_mean = running_mean(our["losses"]), running_mean(their["losses"])
    tenth = [*range(9, STEPS, 10), STEPS - 1]
    difference = float(np.abs(mean - peer_mean)[tenth].max())
    our_ms, our_low, our_high = spread([a["step_ms"] for a, _ in runs])
    peer_ms, peer_low, peer_high = spread([b["step_ms"] for _, b in runs])
    our_rss = max(a["peak_rss_bytes"] for a, _ in runs)
    peer_rss = max(b["peak_rss_bytes"] for _, b in runs)
    row = {
        "model": MODEL.name,
        "steps": STEPS,
        "loss_difference": difference,
        "loss_difference_bar": LOSS_BAR,
        "running_loss": round(float(mean[-1]), 4),
        "torch_running_loss": round(float(peer_mean[-1]), 4),
        "loss_before": round(our["loss_before"], 4),
        "loss_after": round(our["loss_after"], 4),
        "perplexity": round(our["perplexity"], 3),
        "step_ms": round(our_ms, 3),
        "step_min_ms": round(our_low, 3),
        "step_max_ms": round(our_high, 3),
        "torch_step_ms": round(peer_ms, 3),
        "torch_step_min_ms": round(peer_low, 3),
        "torch_step_max_ms": round(peer_high, 3),
        "speedup": round(peer_ms / our_ms, 2),
        "ram_bytes": our["ram_bytes"],
        "peak_rss_bytes": our_rss,
        "torch_peak_rss_bytes": peer_rss,
        "torch": their["torch"],
    }
    print(
        f"stories260k: running loss {row['running_loss']:.3f}, PyTorch "
        f"{row['torch_running_loss']:.3f} (elsewhere near {END_LOSS}); largest "
        f"difference at a tenth step {difference:.2e} "
        f"{verdict(difference, LOSS_BAR, at_least=False)}; "
        f"{our_ms:.2f} ms a step, PyTorch {peer_ms:.2f} ms "
        f"({row['speedup']:.1f}x); peak RSS {our_rss / 2**20:.1f} MB against "
        f"{peer_rss / 2**20:.1f} MB",
        flush=True,
    )
    save("stories", [row])
    points = [
        {"step": t + 1, "running_loss": mean[t], "torch_running_loss": peer_mean[t]}
        for t in tenth
    ]
    save("stories_loss", points)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(Path(sys.argv[2]))
    else:
        main()
