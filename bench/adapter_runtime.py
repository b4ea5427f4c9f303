"""Serving many adapters of one base: swaps, cold loads, hit rates, leaks, what
an adapter beside the base costs, and batches that mix adapters.

    python bench/adapter_runtime.py [--quick]

Figures come from build/release/runtime_bench, pinned to one core. The machine
may be used by others: of a quantile the best of ROUNDS runs is kept, of a ratio
the best rounds of both sides, taken turn by turn.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from session import WORK, cli, pinned, save, verdict
from tflite_chain import Chain
from tflite_models import Tensor

BENCH = cli.BINARY.parent / "runtime_bench"
STORIES = cli.SHARED / "models" / "stories260k" / "stories260K.bin"
KWS, RESNET, VWW, AD = (
    cli.MODELS / f"{name}.tflite"
    for name in ["kws_ref_model", "pretrainedResnet_quant", "vww_96_int8", "ad01_int8"]
)
# Few layers: those near the answer, or PEFT's default ones of a transformer.
FEW = [
    ("KWS", KWS, 0, ["dense"], [4]),
    ("KWS", KWS, 0, ["conv2d_4"], [4, 16]),
    ("ResNet-8", RESNET, 0, ["dense"], [4]),
    ("ResNet-8", RESNET, 0, ["conv2d_8"], [4, 16]),
    ("VWW", VWW, 0, ["conv2d_13"], [4, 16]),
    ("stories260K, 64 tokens", STORIES, 64, ["q_proj", "v_proj"], [4, 16]),
]
# Fully connected int8 layers and their width.
WIDE = [(6, 1024), (6, 2048)]
MODELS = {
    "KWS": (KWS, 0),
    "ResNet-8": (RESNET, 0),
    "VWW": (VWW, 0),
    "AD": (AD, 0),
    "stories260K, 64 tokens": (STORIES, 64),
}
ROUNDS = 3


def real_time():
    """Command prefix that keeps others off the core, where we may: a quantile of
    microseconds cannot be taken while slices of milliseconds are lost."""
    prefix = ["chrt", "--fifo", "1"]
    allowed = subprocess.run([*prefix, "true"], capture_output=True)
    return prefix if allowed.returncode == 0 else []


def bench(*args, prefix=()):
    done = subprocess.run(
        [*pinned(), *prefix, BENCH, *map(str, args)], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


class Rows:
    def __init__(self):
        self.rows = []

    def add(self, name, value, unit, bar=None, at_least=False, peer=None, of=None):
        self.rows.append(
            {
                "name": name,
                "value": round(value, 4),
                "unit": unit,
                "bar": bar,
                "peer": peer,
                "peer_value": None if of is None else round(of, 4),
            }
        )
        said = "" if bar is None else f": {verdict(value, bar, at_least)}"
        against = "" if peer is None else f" ({peer}: {of:.4g})"
        print(f"{name}: {value:.4g} {unit}{against}{said}", flush=True)


def swaps(rows, folder):
    in_integers = bench("swap", RESNET, folder, 12, "int8", prefix=real_time())
    runs = [bench("swap", RESNET, folder, 12, prefix=real_time()) for _ in range(ROUNDS)]

    def best(key):
        return min(run[key] for run in runs)

    rows.add("adapter file", runs[0]["file_bytes"], "bytes")
    rows.add("warm swap p50", best("warm_p50_us"), "us")
    rows.add("warm swap p99", best("warm_p99_us"), "us", 10)
    rows.add("cold load p50", best("cold_p50_us"), "us")
    rows.add("cold load p99", best("cold_p99_us"), "us", 1000)
    rows.add("cold load in integers p99", in_integers["cold_p99_us"], "us", 1000)
    rows.add("cold load, file not in the page cache, p50", best("disk_p50_us"), "us")
    rows.add("cold load, file not in the page cache, p99", best("disk_p99_us"), "us")


def hit_rates(rows, folder, requests):
    for s in [0.8, 1.0, 1.2]:
        run = bench("zipf", RESNET, folder, requests, s)
        name = f"hit rate, 10,000 adapters, 256 MB, zipf {s}"
        share = run["hit_rate"] / run["optimal_hit_rate"]
        rows.add(name, run["hit_rate"], "of requests", None, True, "Belady's optimum",
                 run["optimal_hit_rate"])  # fmt: skip
        rows.add(f"{name}, of the optimum", share, "ratio", None, True,
                 "least recently used", run["lru_hit_rate"] / run["optimal_hit_rate"])  # fmt: skip
        rows.add(f"most bytes held, zipf {s}", run["most_bytes"], "bytes",
                 run["budget_bytes"])  # fmt: skip


def leaks(rows, folder, swaps):
    run = bench("leak", RESNET, folder, swaps)
    grown = run["rss_after_all_bytes"] - run["rss_after_tenth_bytes"]
    rows.add("swaps for the leak check", run["swaps"], "swaps")
    rows.add("evictions among them", run["evictions"], "evictions")
    rows.add("resident bytes grown over the last 90 %", grown, "bytes", 1 << 20)
    rows.add("bytes held beyond the cache", run["used_minus_cached_bytes"], "bytes", 0)


# As trained, and in integers (RuntimeOptions::adapter_mode).
MODES = {"side": "as trained", "int8": "in integers"}


def unmerged(rows, name, model, seq_len, rank, targets=()):
    """Only int8 layers compute in integers."""
    for mode in MODES if model != STORIES else ["side"]:
        run = bench("sides", model, rank, seq_len, mode, *targets)
        rows.add(f"unmerged {MODES[mode]}, {name}, rank {rank}", run["overhead"],
                 "more time than the base", 0.05, False, "products alone, more",
                 run["more_products"])  # fmt: skip
    return run["base_us"]


def sides(rows):
    for name, (model, seq_len) in MODELS.items():
        for rank in [4, 16]:
            base_us = unmerged(rows, f"{name}, all layers", model, seq_len, rank)
        rows.add(f"the base alone, {name}", base_us, "us")
    for name, model, seq_len, targets, ranks in FEW:
        for rank in ranks:
            unmerged(rows, f"{name}, {' '.join(targets)}", model, seq_len, rank, targets)


def merges(rows, folder):
    for name, (model, seq_len) in MODELS.items():
        if seq_len > 0:
            continue
        run = bench("merge", model, folder, 4)
        rows.add(f"merge(), {name}, all layers, rank 4", run["merge_p50_us"] / 1000, "ms")
        rows.add(f"merged, {name}", run["overhead"], "more time than the base", 0.05)


def wide_mlp(layers, size, seed=4):
    """The bytes of an int8 model of fully connected layers, as large as asked."""
    rng = np.random.default_rng(seed)
    scale = 0.05
    net = Chain("wide", Tensor([1, size], "int8", scale, 0, name="x"))
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.NONE
    weight_scale = size**-0.5 / 64
    for i in range(layers):
        weight = rng.integers(-127, 128, (size, size), np.int8)
        bias = rng.integers(-500, 500, size).astype(np.int32)
        net.append(
            "FULLY_CONNECTED",
            [
                net.last,
                Tensor([size, size], "int8", weight_scale, 0, weight, name=f"dense{i}/w"),
                Tensor([size], "int32", scale * weight_scale, 0, bias, name=f"dense{i}/b"),
            ],
            Tensor([1, size], "int8", scale, 0, name=f"dense{i}"),
            options,
            4,
        )
    return net.finish("random int8 layers for benchmarks")


def batches(rows, folder):
    models = dict(MODELS)
    for layers, size in WIDE:
        path = folder / f"wide_{layers}x{size}.tflite"
        path.write_bytes(wide_mlp(layers, size))
        megabytes = layers * size * size >> 20
        models[f"{layers} int8 layers of {size} x {size}, {megabytes} MB"] = (path, 0)
    for name, (model, seq_len) in models.items():
        for mode in MODES if model != STORIES else ["side"]:
            run = bench("batch", model, folder, 4, seq_len, mode)
            rows.add(f"batch of 8 adapters {MODES[mode]}, {name}, rank 4", run["ratio"],
                     "times one by one", 3, True, "one by one, us",
                     run["one_by_one_us"])  # fmt: skip


def main():
    quick = "--quick" in sys.argv
    folder = WORK / "adapter_runtime"
    folder.mkdir(parents=True, exist_ok=True)
    rows = Rows()
    swaps(rows, folder)
    hit_rates(rows, folder, 20_000 if quick else 100_000)
    leaks(rows, folder, 50_000 if quick else 1_000_000)
    sides(rows)
    merges(rows, folder)
    batches(rows, folder)
    save("adapter_runtime", rows.rows)


if __name__ == "__main__":
    main()
