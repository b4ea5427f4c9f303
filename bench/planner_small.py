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
from pathlib import Path

import numpy as np
from pages import read
from session import ROOT, RESULTS, WORK, cli, save

import small_plans  # after session, which says where it lies

SEED = 1


def front():
    model = small_plans.small_task(WORK / "front")
    every = [t for t in (small_plans.tested(model, options, SEED)
                         for options in small_plans.all_plans(model)) if t]  # fmt: skip
    rows = []
    for ram, accuracy in small_plans.front_of(every):
        found, (own_ram, own) = small_plans.searched(model, ram, SEED)
        behind = 100 * (accuracy - own)
        noise = 100 * small_plans.standard_error(accuracy)
        rows.append({"budget_bytes": ram, "plans": len(every),
                     "best_of_all": round(accuracy, 4), "searched": round(own, 4),
                     "behind_points": round(behind, 1),
                     "noise_points": round(noise, 1), "met": behind <= noise,
                     "searched_ram_bytes": own_ram, "trained": found["trained"],
                     "plan": found["plan"]})  # fmt: skip
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
