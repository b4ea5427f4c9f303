"""Printed C99 on emulated boards: instructions, memory, and equal adapter bytes.

    python bench/mcu.py                     all, figures to bench/results
    python bench/mcu.py --models kws ad     some
    python bench/mcu.py --program infer     inference only

QEMU counts instructions exactly and models no caches: instructions and bytes,
never time. Training figures are of the second step, whose gradients are not
zero. bench/mcu_page.py makes the page.
"""

import argparse
import shutil
import sys

from pages import read
from session import RESULTS, ROOT, WORK, cli, save

sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "python")]

import numpy as np  # noqa: E402

import mcu  # noqa: E402
import small_models  # noqa: E402
from mcu.model import run_model  # noqa: E402

MODELS = {"kws": "kws_ref_model.tflite", "resnet8": "pretrainedResnet_quant.tflite",
          "vww": "vww_96_int8.tflite", "ad": "ad01_int8.tflite", "head": None}
INFER = ["cortex-m4", "cortex-m7", "cortex-m55"]
TRAIN = ["cortex-m3", "cortex-m4", "cortex-m7", "cortex-m55"]
STEPS = 2
SIDE = ["cortex-m4", "cortex-m55"]
IMAGES = {"kws": (49, 10, 1), "resnet8": (32, 32, 3), "vww": (96, 96, 3)}


# Where most of what an adapter learns lies: the last two convolutions that are not
# depthwise, and the classifier.
LAST = {"kws": ["conv2d_3", "conv2d_4", "dense"],
        "resnet8": ["conv2d_7", "conv2d_8", "dense"],
        "vww": ["conv2d_12", "conv2d_13"]}  # its classifier has rank 2


# Without the classifier, which not all of them have behind their last convolution.
LATE = {model: modules[:2] for model, modules in LAST.items()}


def random_adapter(model, precision, modules=()):
    """LoRA of rank 4 after a few steps on noise: its values are not zero. Beside
    `modules`, or beside every layer."""
    folder = WORK / "mcu_adapter"
    folder.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(1).normal(0, 10, (4, *IMAGES[model]))
    np.save(folder / "x.npy", noise.astype(np.float32))
    np.save(folder / "y.npy", np.arange(4, dtype=np.int32) % 2)
    out = folder / f"{model}_{precision}_{len(modules)}.safetensors"
    chosen = ["--target-modules", ",".join(modules)] if modules else []
    cli.run_json("train", cli.MODELS / MODELS[model], "--data",
                 folder / "x.npy", "--labels", folder / "y.npy", "--method",
                 "lora", "--rank", 4, "--precision", precision, "--epochs", 1,
                 *chosen, "--out", out)
    return out


# A classification head alone, as it is trained on another model's features.
HEAD = (64, 12)
OPTIONS = {"lora": ["--rank", 4], "full": ["--optimizer", "sgd", "--momentum", 0]}


def model_file(model):
    if model != "head":
        return cli.MODELS / MODELS[model]
    path = WORK / "head.tflite"
    path.write_bytes(small_models.classifier(*HEAD))
    return path


def compiled(model, target, *options):
    folder = WORK / "mcu"
    shutil.rmtree(folder, ignore_errors=True)
    chosen = ["--target", target] if target else []
    return cli.run_json("compile", model_file(model), "--out", folder,
                        *chosen, *options)


# Instructions of a run, by program.
COUNTED = {"infer+lora": "infer_instructions", "infer": "infer_instructions", "train": "train_instructions",
           "slice": "slice_instructions"}


# What a microcontroller with 64 KB of RAM trains, stack included.
IN_64K = ["--optimizer", "sgd", "--ram", "64K"]
# What one with 512 KB does where a step that keeps everything needs more.
IN_512K = ["--ram", "512K"]
ON_FEATURES = ["--feature-cache"]


# Slices as fine as by default, and whole kernel calls.
SLICES = [], ["--slice", "0"]


def row_of(model, target, program, method, precision, options, plan, run):
    sliced = {} if program != "slice" else {
        "step_instructions": run.sliced_instructions,
        "slices": plan["slices"], "longest_slice": plan["longest_slice"],
        "slice_unit": plan["slice_unit"],
        "longest_slice_call": plan["longest_slice_call"]}
    return sliced | {"model": model, "target": target, "program": program,
            "method": method, "precision": precision, "options": options,
            "instructions": getattr(run, COUNTED[program]),
            "arena_bytes": plan["arena_bytes"], "ram_bytes": plan["ram_bytes"],
            "stack_bytes": run.stack_bytes,
            "planned_stack_bytes": plan["stack_bytes"],
            "model_bytes": run.model_bytes,
            "planned_model_bytes": plan["model_bytes"], "flash_bytes": run.flash_bytes,
            "adapter_sha256": run.adapter_sha256,
            "answer_sha256": run.answer_sha256}


def measure(model, targets, program, method="", precision="int8", extra=(),
            modules=()):
    """Rows of `targets`, and one of this machine that says what the bits are."""
    infers = program.startswith("infer")
    options = ["--program", "infer" if infers else "train"]
    options += ["--rtos"] if program == "slice" else []
    if program == "infer+lora":
        options += ["--adapter", random_adapter(model, precision, modules)]
    if not infers:
        options += ["--method", method, "--precision", precision]
        options += OPTIONS[method]
    options += extra
    steps = 0 if infers else STEPS
    named = " ".join([*extra, *(["beside", *modules] if modules else [])])
    rows = []
    for target in [None, *targets]:
        board = mcu.load_target(target) if target else None
        if board and board.missing_programs():
            print(f"{target}: not installed: {board.missing_programs()}")
            continue
        try:
            plan = compiled(model, target, *options)
            run = run_model(plan, steps, board)
        except (AssertionError, mcu.RunError, mcu.BuildError) as error:
            print(model, target, program, method, precision,
                  str(error).splitlines()[-1], flush=True)
            continue
        rows.append(row_of(model, target or "host", program, method, precision,
                           named, plan, run))
        print(*list(rows[-1].values())[:7], flush=True)
    return rows


KEY = ("model", "target", "program", "method", "precision", "options")


def keep(rows):
    """Saves `rows` in place of those of the same run, beside the others."""
    key = lambda row: tuple(row.get(k, "") for k in KEY)
    table = {key(r): r for r in [*read(RESULTS / "mcu.json"), *rows]}
    save("mcu", list(table.values()))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=list(MODELS),
                        choices=list(MODELS))
    parser.add_argument("--program", choices=["infer", "train"])
    args = parser.parse_args()
    if not cli.MODELS.is_dir():
        print(f"mcu: real inputs are absent: no folder {cli.MODELS}")
        return 0
    rows = []
    for model in args.models:
        if model == "head":
            keep(measure(model, ["cortex-m4"], "train", "full", "f32"))
            continue
        if args.program != "train":
            rows += measure(model, INFER, "infer")
            for precision in ("integer", "mixed") if model != "ad" else ():
                rows += measure(model, SIDE, "infer+lora", "lora", precision)
            for modules in ([], LAST[model]) if model != "ad" else ():
                rows += measure(model, SIDE, "infer+lora", "lora", "mixed",
                                ["--adapter-mode", "int8"], modules)
        if args.program != "infer" and model != "ad":
            for precision in ("integer", "mixed"):
                rows += measure(model, TRAIN, "train", "lora", precision)
                for finely in SLICES:
                    rows += measure(model, ["cortex-m4"], "slice", "lora",
                                    precision, finely)
        if args.program != "infer" and model == "kws":
            rows += measure(model, TRAIN, "train", "lora", "integer", IN_64K)
        if args.program != "infer" and model == "vww":
            rows += measure(model, ["cortex-m4"], "train", "lora", "mixed", IN_512K)
        if args.program != "infer" and model != "ad":
            late = ["--target-modules", ",".join(LATE[model])]
            for more in [], ON_FEATURES:
                rows += measure(model, ["cortex-m4"], "train", "lora", "integer",
                                [*late, *more])
        keep(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
