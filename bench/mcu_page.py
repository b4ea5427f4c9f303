"""Writes docs/results/mcu.md from what bench/mcu.py measured.

    python bench/mcu_page.py FOLDER
"""

import collections
import sys
from pathlib import Path

import mcu_parity
from pages import head, read, table, write
from session import RESULTS, verdict

# TensorFlow Lite Micro with CMSIS-NN: instructions, arena bytes. Measured with
# the same emulators and arm-none-eabi-gcc 12.2.
PEER = {("kws", "cortex-m4"): 7.85e6, ("kws", "cortex-m55"): 1.79e6,
        ("resnet8", "cortex-m4"): 29.9e6, ("resnet8", "cortex-m55"): 4.81e6,
        ("vww", "cortex-m4"): 24.7e6, ("vww", "cortex-m55"): 6.43e6,
        ("ad", "cortex-m4"): 0.58e6, ("ad", "cortex-m55"): 0.29e6}
PEER_ARENA = {"kws": 22820, "resnet8": 54996, "vww": 100708, "ad": 2580}


def check(what, value, bar):
    return {"check": what, "value": value, "bar": bar,
            "ratio": round(value / bar, 3), "verdict": verdict(value, bar, False)}


def inference_bars(rows):
    out = []
    for row in rows:
        if row["program"] != "infer":
            continue
        model, target = row["model"], row["target"]
        if (model, target) in PEER:
            out.append(check(f"{model}, inference on {target}, instructions",
                             row["instructions"], int(PEER[model, target])))
        if target == "cortex-m4":
            out.append(check(f"{model}, inference, arena bytes",
                             row["arena_bytes"], PEER_ARENA[model]))
    return out


def side_bars(rows):
    """What an unmerged adapter adds to inference."""
    kind = lambda r: r["options"] or f"as trained in {r['precision']}"
    base = {(r["model"], r["target"]): r["instructions"] for r in rows
            if r["program"] == "infer" and r["target"] != "host"}
    return [check(f"{r['model']}, LoRA beside int8 inference on {r['target']}, "
                  f"{kind(r)}, instructions more than without, %",
                  round(100 * (r["instructions"] / base[r["model"], r["target"]]
                               - 1), 1), 5)
            for r in rows if r["program"] == "infer+lora" and
            (r["model"], r["target"]) in base]


def training_bars(rows):
    """integer against mixed, where both were measured."""
    out = []
    by_key = {(r["model"], r["target"], r["precision"]): r for r in rows
              if r["program"] == "train" and not r.get("options")}
    for target, bar in ("cortex-m3", 0.6), ("cortex-m4", 1.0):
        for model in ("kws", "resnet8", "vww"):
            pair = [by_key.get((model, target, p)) for p in ("integer", "mixed")]
            if all(pair):
                ratio = pair[0]["instructions"] / pair[1]["instructions"]
                out.append(check(f"{model}, training on {target}, integer over "
                                 "mixed", round(ratio, 3), bar))
    head = by_key.get(("head", "cortex-m4", "f32"))
    if head:
        out.append(check("head 64->12, a step of SGD on cortex-m4, instructions",
                         head["instructions"], 10000))
    tight = [r for r in rows if "--ram" in r.get("options", "")
             and r["target"] == "cortex-m4" and r["program"] == "train"]
    for row in tight:
        kilobytes = int(row["options"].split("--ram ")[1].split("K")[0])
        out.append(check(f"{row['model']}, training in {row['precision']} with "
                         f"{row['options']}, RAM bytes with stack",
                         row["ram_bytes"], 1024 * kilobytes))
    for model in ("kws", "resnet8", "vww"):
        row = by_key.get((model, "cortex-m4", "integer"))
        if row:
            out.append(check(f"{model}, training in integer, RAM bytes with "
                             "stack", row["ram_bytes"], 524288))
    return out


def feature_rows(rows):
    """Steps of late layers on samples, and on what the frozen layers answered."""
    train = {(r["model"], r["options"]): r for r in rows
             if r["program"] == "train" and r["target"] == "cortex-m4"}
    flag = " --feature-cache"
    return [{"model": model, "options": options.removesuffix(flag),
             "instructions on samples": whole["instructions"],
             "on features": kept["instructions"],
             "ratio": round(kept["instructions"] / whole["instructions"], 3),
             "same adapter": "yes" if kept["adapter_sha256"] ==
                             whole["adapter_sha256"] else "no"}
            for (model, options), kept in train.items() if options.endswith(flag)
            for whole in [train.get((model, options.removesuffix(flag)))] if whole]


def parity(rows):
    """Targets whose answer or adapter has the bytes of this machine."""
    names = ("model", "program", "method", "precision", "options")
    key = lambda row: tuple(row.get(name, "") for name in names)
    out = []
    for here in (r for r in rows if r["target"] == "host"):
        there = [r for r in rows
                 if r["target"] != "host" and key(r) == key(here)]
        equal = [r["target"] for r in there
                 if r["adapter_sha256"] == here["adapter_sha256"]
                 and r["answer_sha256"] == here["answer_sha256"]]
        out.append(dict(zip(names, key(here))) |
                   {"equal_bits_on": ", ".join(equal),
                    "verdict": "met" if len(equal) == len(there) else "missed"})
    return out


def parity_after_fifty(rows):
    """A line for each model, method and precision: how many processors agree,
    and which were not asked."""
    verdicts = {mcu_parity.key(r): r["verdict"] for r in rows}
    targets = collections.defaultdict(list)
    for *cell, target in mcu_parity.cells(mcu_parity.INT8, mcu_parity.METHODS,
                                          mcu_parity.PRECISIONS):
        targets[tuple(cell)].append(target)
    out = []
    for (model, method, precision), all_targets in targets.items():
        said = {t: verdicts.get((model, method, precision, t), "not run")
                for t in ["host", *all_targets]}
        other = [f"{t}: {v}" for t, v in said.items() if v != "equal"]
        if len(other) == len(said) and "not run" in said.values():
            other = ["not run"]
        out.append({"model": model, "method": method, "precision": precision,
                    "equal_bytes_on": ", ".join(t for t in all_targets
                                                if said[t] == "equal"),
                    "verdict": "; ".join(other) or "met"})
    return out


def ram_checks(rows):
    """Planned RAM = linked RAM; planned stack >= measured stack."""
    # Rows of earlier versions have no plan of their memory.
    shown = [r for r in rows if r["target"] != "host" and "model_bytes" in r]
    exact = [r["model_bytes"] == r["planned_model_bytes"] for r in shown]
    slack = [r["stack_bytes"] / r["planned_stack_bytes"] for r in shown]
    return [{"check": "ft_model as planned and as linked",
             "value": f"{sum(exact)} of {len(shown)} equal",
             "verdict": "met" if all(exact) else "missed"},
            {"check": "stack measured, of what was planned",
             "value": f"{min(slack):.2f} to {max(slack):.2f}",
             "verdict": "met" if max(slack) <= 1 else "missed"}]


def store_section(rows):
    if not rows:
        return []
    most = max(r["swap_instructions"] for r in rows
               if r["target"] == "cortex-m4")
    beyond = max(r["state_bytes_but_values"] for r in rows)
    return ["", "## Adapters and training states in flash", "",
            "The demo's model with two signed adapters (`compile --flash 2`), "
            "each at the target's own page size; flash is simulated in RAM. A "
            "state holds the adapter's and the optimizer's values; a swap or "
            "commit appends one record. Installing checks the signature.", "",
            *table([check("ft_store_swap on cortex-m4, instructions", most,
                          1000),
                    check("a state beyond its values, bytes", beyond, 1024)]),
            "", *table(rows)]


def main():
    folder = Path(sys.argv[1])
    rows = read(RESULTS / "mcu.json")
    lines = head("On microcontrollers", "mcu", "mcu_page.py")
    lines += ["", "Made by `make bench-mcu`. Instructions that QEMU counts, which "
              "models no caches and no wait states, and bytes; code by "
              "arm-none-eabi-gcc at -O2. RAM is the arena, adapter and "
              "optimizer, scratch and the planned stack; inputs and outputs "
              "lie in the arena. Training figures are of one step of LoRA with "
              "rank 4, batch 1. This page grows with the device code; what it "
              "does not show yet is not measured.", ""]
    if not rows:
        write(folder, "mcu", [*lines, "Not measured yet."], rows)
        return
    lines += ["## Bars", "", "Inference against TensorFlow Lite Micro with "
              "CMSIS-NN, counted by the same emulators.", ""]
    lines += table(inference_bars(rows) + side_bars(rows) + training_bars(rows))
    lines += ["", "A side is of rank 4, beside every layer, depthwise ones too, "
              "or where it says beside which: the last two convolutions and the "
              "classifier. As trained it is float (mixed) or has 16 bits (integer); "
              "with --adapter-mode int8 it is integers in the same pass over x "
              "(decision 020). Its products alone are 1/16 + 1/16 of those of a "
              "64x64 layer: 12.5 %.", ""]
    lines += ["", "## Figures", ""]
    shown = [{k: v for k, v in r.items() if not k.endswith("sha256")}
             for r in rows if r["target"] != "host"]
    lines += table(shown)
    lines += ["", "## Late layers alone", "", "A step of LoRA in integer on samples, "
              "and on what the frozen layers in front answered to them once "
              "(`compile --feature-cache`).", ""]
    lines += table(feature_rows(rows))
    lines += ["", "## RAM as promised", ""]
    lines += table(ram_checks(rows))
    lines += ["", "## Equal bits", "", "Adapter after two steps, and answers, "
              "against the same C99 on this machine.", ""]
    lines += table(parity(rows))
    fifty = read(RESULTS / "mcu_parity.json")
    lines += ["", "Adapter and answer after fifty steps (`make parity-mcu`).", ""]
    lines += table(parity_after_fifty(fifty)) if fifty else ["Not measured yet."]
    lines += ["", "## Kernels", "", "Instructions per multiply-accumulate, of an "
              "addition per element.", ""]
    lines += table(read(RESULTS / "mcu_kernels.json"))
    lines += store_section(read(RESULTS / "mcu_store.json"))
    lines += ["", "## Audio front end", "", "16-bit audio to the keyword "
              "model's input (`fieldtune compile --front-end mlperf-kws`): each "
              "hop of 20 ms, and reading the input before an inference.", ""]
    lines += table(read(RESULTS / "mcu_front_end.json"))
    write(folder, "mcu", lines, [r for r in rows if r["target"] != "host"])


if __name__ == "__main__":
    main()
