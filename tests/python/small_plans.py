"""A network of three layers, data that moved away from it, and every plan of adapting
it: small enough to train all of them in full, which says what a search should find.
"""

import itertools
import json

import fieldtune_cli as cli
import numpy as np
from small_nets import make_net, to_tflite

RATES, OPTIMIZERS = [0.001, 0.003, 0.01], ["adamw", "sgd"]
METHODS = "lora,bitfit,ia3"
EPOCHS, SAMPLES = 8, 48


def small_task(folder):
    """The model; `train` and `test` samples lie beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.tflite").write_bytes(to_tflite(make_net("mlp")))
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(3, 12)) * 1.5
    for name, count in (("train", SAMPLES), ("test", 3000)):
        labels = np.int32(np.arange(count) % 3)
        x = centres[labels] + rng.normal(size=(count, 12))
        np.save(folder / f"x_{name}.npy", x.astype("f4"))
        np.save(folder / f"y_{name}.npy", labels)
    return folder / "net.tflite"


def data_of(folder, name):
    return ["--data", folder / f"x_{name}.npy", "--labels", folder / f"y_{name}.npy",
            "--loss", "cross-entropy"]  # fmt: skip


def all_plans(model, rates=RATES):
    """Every set of layers, for LoRA with every rank that is a power of two."""
    names = cli.module_names(model)
    for size in range(1, len(names) + 1):
        for layers in itertools.combinations(names, size):
            for optimizer, rate in itertools.product(OPTIMIZERS, rates):
                common = ["--target-modules", ",".join(layers), "--precision",
                          "mixed", "--optimizer", optimizer, "--lr", rate,
                          "--epochs", EPOCHS]  # fmt: skip
                for method in ("bitfit", "ia3"):
                    yield ["--method", method, *common]
                for rank in (1, 2, 4, 8):
                    yield ["--method", "lora", "--rank", rank, "--alpha", 2 * rank,
                           *common]  # fmt: skip


def tested(model, options, seed):
    """(RAM, accuracy on the test), or None where a method refuses the layers."""
    out = model.parent / "a.safetensors"
    done = cli.run("train", model, *data_of(model.parent, "train"), *options,
                   "--seed", seed, "--out", out, "--json")  # fmt: skip
    if done.returncode != 0:
        return None
    found = cli.run_json("eval", model, "--adapter", out,
                         *data_of(model.parent, "test")[:4])  # fmt: skip
    return json.loads(done.stdout)["ram_bytes"], found["accuracy"]


def front_of(tried):
    """Of (RAM, accuracy) those that nothing smaller equals."""
    best = 0
    for ram, accuracy in sorted(tried, key=lambda t: (t[0], -t[1])):
        if accuracy > best:
            best = accuracy
            yield ram, accuracy


def searched(model, ram, seed, rates=RATES):
    """What a search within `ram` answers, and `tested` of its plan."""
    plan = model.parent / "plan.toml"
    found = cli.run_json("plan", model, *data_of(model.parent, "train"), "--search",
                         "--epochs", EPOCHS, "--methods", METHODS, "--rates",
                         ",".join(map(str, rates)), "--ram", ram, "--seed", seed,
                         "--out", plan)  # fmt: skip
    return found, tested(model, ["--plan", plan], seed)


def standard_error(accuracy):
    """Of what as many samples as a search has tell of it."""
    return (accuracy * (1 - accuracy) / SAMPLES) ** 0.5
