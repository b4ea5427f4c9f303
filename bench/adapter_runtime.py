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

from session import ROOT, WORK, cli, pinned, save, verdict

BENCH = ROOT / "build" / "release" / "runtime_bench"
STORIES = cli.SHARED / "models" / "stories260k" / "stories260K.bin"
KWS, RESNET, VWW, AD = (
    cli.MODELS / f"{name}.tflite"
    for name in ["kws_ref_model", "pretrainedResnet_quant", "vww_96_int8", "ad01_int8"]
)
# Layers near the answer, as many as are adapted there.
LAST = {
    "KWS": (KWS, 0, ["dense"]),
    "ResNet-8": (RESNET, 0, ["dense"]),
    "VWW": (VWW, 0, ["dense"]),
}
MODELS = {
    "KWS": (KWS, 0),
    "ResNet-8": (RESNET, 0),
    "VWW": (VWW, 0),
    "AD": (AD, 0),
    "stories260K, 64 tokens": (STORIES, 64),
}
ROUNDS = 5


def bench(*args):
    done = subprocess.run(
        [*pinned(), BENCH, *map(str, args)], capture_output=True, text=True
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
    runs = [bench("swap", RESNET, folder, 12) for _ in range(ROUNDS)]

    def best(key):
        return min(run[key] for run in runs)

    rows.add("adapter file", runs[0]["file_bytes"], "bytes")
    rows.add("warm swap p50", best("warm_p50_us"), "us")
    rows.add("warm swap p99", best("warm_p99_us"), "us", 10)
    rows.add("cold load p50", best("cold_p50_us"), "us")
    rows.add("cold load p99", best("cold_p99_us"), "us", 1000)
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


def sides(rows):
    for name, (model, seq_len) in MODELS.items():
        for rank in [4, 16]:
            run = bench("sides", model, rank, seq_len)
            rows.add(f"unmerged, {name}, all layers, rank {rank}", run["overhead"],
                     "more time than the base", 0.05, False, "the base, us",
                     run["base_us"])  # fmt: skip
    for name, (model, seq_len, targets) in LAST.items():
        for rank in [4, 16]:
            run = bench("sides", model, rank, seq_len, *targets)
            rows.add(f"unmerged, {name}, {' '.join(targets)}, rank {rank}",
                     run["overhead"], "more time than the base", 0.05, False,
                     "the base, us", run["base_us"])  # fmt: skip


def batches(rows, folder):
    for name, (model, seq_len) in MODELS.items():
        run = bench("batch", model, folder, 4, seq_len)
        rows.add(f"batch of 8 adapters, {name}, rank 4", run["ratio"],
                 "times one by one", 3, True, "one by one, us",
                 run["one_by_one_us"])  # fmt: skip


def main():
    quick = "--quick" in sys.argv
    folder = WORK / "adapter_runtime"
    folder.mkdir(parents=True, exist_ok=True)
    rows = Rows()
    swaps(rows, folder)
    hit_rates(rows, folder, 20_000 if quick else 200_000)
    leaks(rows, folder, 50_000 if quick else 1_000_000)
    sides(rows)
    batches(rows, folder)
    save("adapter_runtime", rows.rows)


if __name__ == "__main__":
    main()
