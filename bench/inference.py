"""Inference of the four int8 models: fieldtune against LiteRT with its default
kernels (XNNPACK), one thread, the same core, turn by turn.

Both are timed around the call that computes, inside their process, with the
input already in place.
"""

import statistics
import time

import numpy as np
from session import cli, pin_this_process, pinned, save, spread, verdict

MODELS = [
    "kws_ref_model.tflite",
    "pretrainedResnet_quant.tflite",
    "ad01_int8.tflite",
    "vww_96_int8.tflite",
]
ROUNDS = 7
RUNS = 300


def make_litert(path):
    """Returns a function that gives the median time of RUNS calls in us."""
    from torch_tflite import litert_interpreter

    interpreter = litert_interpreter(path, reference=False, threads=1)
    source = interpreter.get_input_details()[0]
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 128, source["shape"]).astype(np.int8)
    interpreter.set_tensor(source["index"], x)

    def measure():
        times = []
        for i in range(-RUNS // 10, RUNS):
            start = time.perf_counter_ns()
            interpreter.invoke()
            if i >= 0:
                times.append((time.perf_counter_ns() - start) / 1e3)
        return statistics.median(times)

    return measure


def compare(name):
    path = cli.MODELS / name
    litert = make_litert(path)
    ours, theirs, macs = [], [], 0
    for _ in range(ROUNDS):
        result = cli.run_json("bench", path, "--runs", RUNS, prefix=pinned())
        ours.append(result["infer_us"])
        macs = result["macs"]
        theirs.append(litert())
    our_us, our_low, our_high = spread(ours)
    peer_us, peer_low, peer_high = spread(theirs)
    return {
        "model": name,
        "infer_us": round(our_us, 1),
        "infer_min_us": round(our_low, 1),
        "infer_max_us": round(our_high, 1),
        "litert_us": round(peer_us, 1),
        "litert_min_us": round(peer_low, 1),
        "litert_max_us": round(peer_high, 1),
        "speedup": round(peer_us / our_us, 2),
        "speedup_bar": 1,
        "infer_gmacs_per_s": round(macs / our_us / 1e3, 2),
    }


def profile(name):
    path = cli.MODELS / name
    result = cli.run_json("bench", path, "--profile", prefix=pinned())
    calls = sorted(result["calls"], key=lambda c: -c["call_us"])[:4]
    total = sum(c["call_us"] for c in result["calls"])
    return [
        {
            "model": name,
            "node": c["node"],
            "kernel": c["kernel"],
            "call_us": round(c["call_us"], 1),
            "share": round(c["call_us"] / total, 3),
        }
        for c in calls
    ]


def main():
    pin_this_process()
    rows, profiles = [], []
    for name in MODELS:
        row = compare(name)
        rows.append(row)
        print(
            f"{name}: {row['infer_us']:.0f} us, LiteRT "
            f"{row['litert_us']:.0f} us: {row['speedup']:.2f}x "
            f"{verdict(row['speedup'], 1)}",
            flush=True,
        )
        profiles += profile(name)
    save("inference", rows)
    save("inference_profile", profiles)


if __name__ == "__main__":
    main()
