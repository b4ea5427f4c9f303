"""What skipping a ReLU's zeros saves in bottleneck adapters: instructions of a
whole training step and of one inference, with the kernels that skip zeros and
with the dense ones in their place (`--without-kernel`), and the time of a step.

    python bench/sparsity.py

Instructions are counted by callgrind in the program's kernel calls, the base
model's too, so they are repeatable; callgrind shows programs a processor with
AVX2. A step's count is that of two epochs less that of one. Times are taken on
this processor, on one core, turn by turn. The adapters have learned first, so
that their share of zeros is a trained one. The share is read off the instructions
of the kernel that skips zeros, which lie on a line between those of an adapter
whose hidden values are all 0 and those of one where none is.
"""

import re
import shutil
import sys

from bits import write_features
from safetensors import safe_open
from safetensors.numpy import save_file
from session import WORK, cli, pinned, save

INT8, FLOAT = "kws_ref_model.tflite", "kws_ref_model_float32.tflite"
SKIPPING = [
    *["ft_fully_connected_skip_f32_hwy", "ft_fully_connected_skip_f32_c99"],
    "ft_matmul_skip_a_f32_hwy",
    *["ft_matmul_skip_a_f32_c99", "ft_matmul_skip_b_f32_c99"],
    "ft_matmul_skip_a_f32s8_c99",
]
DENSE = [option for name in SKIPPING for option in ("--without-kernel", name)]
KERNELS = {"portable C99": ["--c99"], "default": []}
CASES = [(FLOAT, "f32", 16), (FLOAT, "f32", 4), (FLOAT, "f32", 1), (INT8, "mixed", 4)]
BATCH, EPOCHS, ROUNDS = 10, 40, 5
DATA = ["--data", WORK / "bits_x.npy", "--labels", WORK / "bits_y.npy"]
LOG = WORK / "callgrind.out"
COUNTED = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={LOG}",
           "--collect-atstart=no", "--toggle-collect=ft::Session::run()"]  # fmt: skip


def train(case, out, epochs, *options, **kwargs):
    model, precision, reduction = case
    return cli.run_json(
        *["train", cli.MODELS / model, *DATA, "--new-head"],
        *["--method", "bottleneck", "--reduction-factor", reduction],
        *["--precision", precision, "--batch", BATCH, "--seed", 1, "--lr", 0.01],
        *["--epochs", epochs, "--out", out, *options],
        **kwargs,
    )


def data_of(safetensors):
    """All that lies behind the header, which names the plan."""
    blob = safetensors.read_bytes()
    return blob[8 + int.from_bytes(blob[:8], "little") :]


def instructions():
    """Of all kernel calls of the run that was counted."""
    total = re.search(r"^(?:totals|summary): (\d+)", LOG.read_text(), re.M)
    return int(total[1])


def step_instructions(case, start, out, options):
    counts, steps = [], []
    for epochs in (1, 2):
        done = train(case, out, epochs, "--init-adapter", start, *options,
                     prefix=COUNTED)  # fmt: skip
        steps.append(done["steps"])
        counts.append(instructions())
    return round((counts[1] - counts[0]) / (steps[1] - steps[0]))


def inference_instructions(case, adapter, options, counted=COUNTED):
    done = cli.run_json(
        *["eval", cli.MODELS / case[0], "--adapter", adapter, *DATA, *options],
        prefix=counted,
    )
    return round(instructions() / done["samples"])


def with_hidden_bias(adapter, value):
    """The adapter with this bias of the down-projections."""
    with safe_open(adapter, "numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        metadata = file.metadata()
    for name, tensor in tensors.items():
        if name.endswith("adapter_down.0.bias"):
            tensor[:] = value
    path = WORK / f"sparsity_bias_{value:g}.safetensors"
    save_file(tensors, path, metadata)
    return path


def share_of_zeros(case, adapter):
    """Of hidden values, over the samples."""
    counted = [a for a in COUNTED if not a.startswith("--toggle")]
    counted.append("--toggle-collect=ft_fully_connected_skip_f32_c99")
    found, all_kept, none_kept = (
        inference_instructions(case, a, ["--c99"], counted)
        for a in (
            adapter,
            with_hidden_bias(adapter, 1e4),
            with_hidden_bias(adapter, -1e4),
        )
    )
    return (all_kept - found) / (all_kept - none_kept)


def step_times(case, start, out, options):
    """Best of the rounds in ms, skipping and dense turn by turn."""
    times = {"skip": [], "dense": []}
    for _ in range(ROUNDS):
        for name, more in (("skip", []), ("dense", DENSE)):
            done = train(case, out, 20, "--init-adapter", start, *options, *more,
                         prefix=pinned())  # fmt: skip
            times[name].append(done["step_ms"])
    return min(times["skip"]), min(times["dense"])


def measure(case, kernels, options, start, zeros):
    files = [WORK / "sparsity_skip.safetensors", WORK / "sparsity_dense.safetensors"]
    dense = [*options, *DENSE]
    step = [step_instructions(case, start, files[0], options),
            step_instructions(case, start, files[1], dense)]  # fmt: skip
    equal = data_of(files[0]) == data_of(files[1])
    run = [inference_instructions(case, start, o) for o in (options, dense)]
    times = step_times(case, start, files[0], options)
    return {
        "precision": case[1],
        "reduction_factor": case[2],
        "kernels": kernels,
        "zeros_percent": round(100 * zeros, 1),
        "step_instructions_dense": step[1],
        "step_instructions_skipping": step[0],
        "step_saved_percent": round(100 * (1 - step[0] / step[1]), 1),
        "inference_instructions_dense": run[1],
        "inference_instructions_skipping": run[0],
        "inference_saved_percent": round(100 * (1 - run[0] / run[1]), 1),
        "step_ms_dense": times[1],
        "step_ms_skipping": times[0],
        "equal_bits": equal,
    }


def main():
    if shutil.which("valgrind") is None:
        print("sparsity: needs valgrind, whose callgrind counts instructions")
        return 0
    WORK.mkdir(parents=True, exist_ok=True)
    write_features()
    rows = []
    for case in CASES:
        start = WORK / "sparsity.safetensors"
        train(case, start, EPOCHS, "--exact")
        zeros = share_of_zeros(case, start)
        for kernels, options in KERNELS.items():
            if kernels != "default" and case[2] == 1:
                continue  # minutes, for what the others show
            rows.append(measure(case, kernels, options, start, zeros))
            print(rows[-1], flush=True)
    save("sparsity", rows)
    return 0 if all(row["equal_bits"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
