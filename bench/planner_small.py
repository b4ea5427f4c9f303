"""Three questions to `fieldtune plan --search`.

    python bench/planner_small.py            all
    python bench/planner_small.py front      these: front, kws, vww

front   all plans of a small model, each trained in full and judged by 3,000
        samples of a test: how far what a search finds in each budget is from
        the best of them
kws     does MLPerf Tiny's keyword model learn a speaker within 64 KB? From what
        bench/planner_search.py and bench/methods_table.py left.
vww     does the person detector (96x96) train within 256 KB? It learns to tell
        two handwritten digits apart, from twenty of each.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from pages import read
from session import ROOT, RESULTS, WORK, cli, save

STACK = 4096
RATES, OPTIMIZERS = [0.001, 0.003, 0.01], ["adamw", "sgd"]
EPOCHS, SEED = 8, 1


def small_task(folder):
    """A float model of three layers, and data that moved away from it."""
    from small_nets import make_net, to_tflite

    (folder / "net.tflite").write_bytes(to_tflite(make_net("mlp")))
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(3, 12)) * 1.5
    for name, count in (("train", 48), ("test", 3000)):
        labels = np.int32(np.arange(count) % 3)
        x = centres[labels] + rng.normal(size=(count, 12))
        np.save(folder / f"x_{name}.npy", x.astype("f4"))
        np.save(folder / f"y_{name}.npy", labels)
    return folder / "net.tflite"


def data_of(folder, name):
    return ["--data", folder / f"x_{name}.npy", "--labels", folder / f"y_{name}.npy",
            "--loss", "cross-entropy"]  # fmt: skip


def all_plans(model):
    """Every set of layers, for LoRA with every rank that is a power of two."""
    names = cli.module_names(model)
    for size in range(1, len(names) + 1):
        for layers in itertools.combinations(names, size):
            for optimizer, rate in itertools.product(OPTIMIZERS, RATES):
                common = ["--target-modules", ",".join(layers), "--precision",
                          "mixed", "--optimizer", optimizer, "--lr", rate]  # fmt: skip
                for method in ("bitfit", "ia3"):
                    yield ["--method", method, *common]
                for rank in (1, 2, 4, 8):
                    yield ["--method", "lora", "--rank", rank, "--alpha", 2 * rank,
                           *common]  # fmt: skip


def tested(model, folder, options):
    """(RAM, accuracy on the test), or None where a method refuses the layers."""
    out = folder / "a.safetensors"
    done = cli.run("train", model, *data_of(folder, "train"), *options, "--seed",
                   SEED, "--out", out, "--json")  # fmt: skip
    if done.returncode != 0:
        return None
    found = cli.run_json("eval", model, "--adapter", out,
                         *data_of(folder, "test")[:4])  # fmt: skip
    return json.loads(done.stdout)["ram_bytes"], found["accuracy"]


def front():
    folder = WORK / "front"
    folder.mkdir(parents=True, exist_ok=True)
    model = small_task(folder)
    every = []
    for options in all_plans(model):
        figures = tested(model, folder, [*options, "--epochs", EPOCHS])
        every += [(*figures, options)] if figures else []
    rows, best = [], 0
    for ram, accuracy, options in sorted(every, key=lambda e: (e[0], -e[1])):
        if accuracy <= best:
            continue
        best = accuracy
        found = cli.run_json("plan", model, *data_of(folder, "train"), "--search",
                             "--epochs", EPOCHS, "--methods", "lora,bitfit,ia3",
                             "--ram", ram, "--seed", SEED, "--out",
                             folder / "p.toml")  # fmt: skip
        own_ram, own = tested(model, folder, ["--plan", folder / "p.toml"])
        rows.append({"budget_bytes": ram, "plans": len(every),
                     "best_of_all": round(accuracy, 4), "searched": round(own, 4),
                     "behind_points": round(100 * (accuracy - own), 1),
                     "searched_ram_bytes": own_ram, "plan": found["plan"]})
        print(rows[-1], flush=True)
    save("planner_front", rows)


def personal(row):
    rows = [r for r in read(RESULTS / "planner_personal.json")
            if r["model"] != row["model"]]  # fmt: skip
    save("planner_personal", [*rows, row])
    print(row)


def kws():
    found = [r for r in read(RESULTS / "planner_search.json")
             if r["task"] == "fsdd" and r["budget_bytes"] == 65536
             and r["choice"] == "searched"]  # fmt: skip
    free = max(r["accuracy"] for r in read(RESULTS / "methods_many_seeds.json")
               if r["task"] == "fsdd")  # fmt: skip
    if found and "accuracy" in found[0]:
        personal({"model": "kws_ref_model", "budget_bytes": 65536,
                  "ram_bytes": found[0]["ram_bytes"],
                  "accuracy": found[0]["accuracy"],
                  "unconstrained_accuracy": free,
                  "share": round(found[0]["accuracy"] / free, 4), "bar": 0.95,
                  "met": found[0]["accuracy"] >= 0.95 * free,
                  "plan": found[0]["plan"]})  # fmt: skip


def vww():
    source = ROOT.parent / "shared" / "data" / "mnist1000"
    images, labels = np.load(source / "images.npy"), np.load(source / "labels.npy")
    folder = WORK / "vww"
    folder.mkdir(parents=True, exist_ok=True)
    chosen = np.flatnonzero(np.isin(labels, (3, 8)))
    at = np.arange(96) * images.shape[1] // 96
    large = images[chosen].reshape(-1, images.shape[1], images.shape[2])[:, at][:, :, at]
    x = (large.astype("f4") / large.max())[..., None].repeat(3, axis=3)
    np.save(folder / "x.npy", x)
    np.save(folder / "y.npy", np.int32(labels[chosen] == 8))
    model = cli.MODELS / "vww_96_int8.tflite"
    data = ["--data", folder / "x.npy", "--labels", folder / "y.npy",
            "--train-per-class", 20]  # fmt: skip
    found = cli.run_json(
        "plan", model, *data, "--new-head", "--search", "--target", "cortex-m7",
        "--ram", "256K", "--epochs", 8, "--methods", "lora,bitfit", "--optimizers",
        "adamw", "--precisions", "integer", "--rates", "0.003,0.01", "--finalists",
        2, "--rounds", 2, "--out", folder / "plan.toml", timeout=3600)  # fmt: skip
    trained = cli.run_json("train", model, *data, "--plan", folder / "plan.toml",
                           "--out", folder / "a.safetensors")  # fmt: skip
    personal({"model": "vww_96_int8", "budget_bytes": 262144,
              "ram_bytes": found["ram_bytes"], "accuracy": trained["accuracy_after"],
              "accuracy_before": trained["accuracy_before"],
              "met": found["ram_bytes"] <= 262144, "plan": found["plan"]})  # fmt: skip


def main():
    parts = {"front": front, "kws": kws, "vww": vww}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*parts, []])
    parser.add_argument("--binary", type=Path, default=cli.BINARY)
    args = parser.parse_args()
    cli.BINARY = args.binary
    for name in args.parts or parts:
        parts[name]()


if __name__ == "__main__":
    main()
