"""The cost model against instructions under emulation: MLPerf Tiny's models, which
took no part in the fit (tools/calibration_nets.py), call by call.

    python bench/cost_model.py                    all, figures to bench/results
    python bench/cost_model.py --models kws --targets cortex-m4

A row for each program and class of op, and one for all classes: what QEMU
counted and what `fieldtune plan` predicts, before rounding. `tests/python/
test_cost_model.py` holds the prediction against these stored counts.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor

from pages import read
from session import RESULTS, ROOT, WORK, cli, save

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "python")]

import mcu  # noqa: E402
from mcu.profile import profile  # noqa: E402

MODELS = {"kws": "kws_ref_model", "resnet8": "pretrainedResnet_quant",
          "vww": "vww_96_int8", "ad": "ad01_int8"}
TARGETS = ["cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "cortex-m3",
           "cortex-m0plus", "riscv32", "riscv64"]
LORA = ["--method", "lora", "--rank", "4"]
PROGRAMS = {"infer": ["--program", "infer"],
            "integer": [*LORA, "--precision", "integer"],
            "mixed": [*LORA, "--precision", "mixed"]}
KEY = ("model", "target", "precision", "program", "class")


def jobs(models, targets):
    for model in models:
        for target in targets:
            for precision, options in PROGRAMS.items():
                trains = precision != "infer"
                if trains and (model == "ad" or target not in
                               ("cortex-m4", "cortex-m7", "cortex-m3",
                                "cortex-m55", "riscv32")):
                    continue
                if precision == "mixed" and target in ("cortex-m3", "riscv32"):
                    continue  # float without an FPU: hundreds of millions
                if trains and target == "cortex-m55" and model != "kws":
                    continue  # more than the board's 512 KB
                yield model, target, precision, options


def measure(model, target, precision, options):
    """Rows by program and class."""
    path = cli.MODELS / f"{MODELS[model]}.tflite"
    calls = profile(cli, path, mcu.load_target(target), options,
                    WORK / f"cost-{model}-{target}-{precision}")
    sums = {}
    for call in calls:
        # Inference with the adapter, and alone, have figures of their own.
        name = "step" if call["program"] == "train" else (
            "merged_infer" if precision == "infer" else "infer")
        for kind in (call["class"], "all"):
            sums.setdefault((name, kind), []).append(call)
    return [{"model": model, "target": target, "precision": precision,
             "program": name, "class": kind, "calls": len(group),
             "measured_instructions": sum(c["instructions"] for c in group)}
            for (name, kind), group in sums.items()]


def predict(model, target, precision):
    """{(program, class): instructions} of `fieldtune plan`."""
    path = cli.MODELS / f"{MODELS[model]}.tflite"
    chosen = LORA + ["--precision",
                     "integer" if precision == "infer" else precision]
    plan = cli.run_json("plan", path, *chosen, "--target", target, "--costs")
    out = {}
    for row in plan["classes"]:
        out[row["program"], row["class"]] = row["units"]
        key = row["program"], "all"
        out[key] = out.get(key, 0) + row["units"]
    return out


def with_predictions(rows):
    known, kept = {}, []
    for row in rows:
        key = row["model"], row["target"], row["precision"]
        if key not in known:
            known[key] = predict(*key)
        # Inference beside training also turns its answer into floats.
        found = known[key].get((row["program"], row["class"]))
        if found is None:
            continue
        row["predicted_instructions"] = found
        row["error_percent"] = round(
            100 * (found / row["measured_instructions"] - 1), 1)
        kept.append(row)
    return kept


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--targets", nargs="+", default=TARGETS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--predict-only", action="store_true",
                        help="counts as stored, predictions anew")
    args = parser.parse_args()
    if not cli.MODELS.is_dir():
        print(f"cost_model: real inputs are absent: no folder {cli.MODELS}")
        return 0
    table = {tuple(r[k] for k in KEY): r
             for r in read(RESULTS / "cost_model.json")}
    if not args.predict_only:
        with ThreadPoolExecutor(args.jobs) as pool:
            runs = [(job, pool.submit(measure, *job))
                    for job in jobs(args.models, args.targets)]
            for job, run in runs:
                try:
                    rows = run.result()
                except (AssertionError, mcu.RunError, mcu.BuildError) as error:
                    print(*job[:3], str(error).strip().splitlines()[-1])
                    continue
                table |= {tuple(r[k] for k in KEY): r for r in rows}
                print(*job[:3], sum(r["measured_instructions"] for r in rows
                                    if r["class"] == "all"), flush=True)
    save("cost_model", list(table.values()))
    rows = with_predictions(list(table.values()))
    save("cost_model", sorted(rows, key=lambda r: tuple(r[k] for k in KEY)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
