"""What is done once, before the device is sold: MLPerf Tiny's keyword model
learns the product's words, and the replay that later training needs is chosen.

The product knows nine digits, and has an output to spare for a word of the
user's.
"""

import shutil

import numpy as np
from mcu.front_end import run_front_end
from recordings import DIGITS, RATE, window

NEW = "eight"
KNOWN = [word for word in DIGITS if word != NEW]
OTHER, NEW_CLASS = len(KNOWN), len(KNOWN) + 1
REPLAY_TAKES = range(10, 14)
TRAIN_TAKES = range(10, 50)  # the others are for the session
ROOM = np.zeros(0)


def whole(rng, take):
    return window(rng, take, int(rng.integers(0, max(1, RATE - len(take)))))


def cut(rng, take):
    """The beginning of a word, and the end of one."""
    n = len(take)
    return [window(rng, take, RATE - int(n * rng.uniform(0.1, 0.45))),
            window(rng, take, -int(n * rng.uniform(0.6, 0.9)))]


def training_windows(rng, takes):
    """Words anywhere in the window; cut words and the room are no word."""
    x, y = [], []
    for label, word in enumerate(KNOWN):
        for number in TRAIN_TAKES:
            take = takes[word][number]
            x += [whole(rng, take) for _ in range(3)] + cut(rng, take)
            y += [label] * 3 + [OTHER] * 2
    for _ in range(150):
        x.append(window(rng, ROOM, 0, 10 ** rng.uniform(0, 2)))
        y.append(OTHER)
    return x, y


def replay_windows(rng, takes):
    """A few of each class, to be kept beside the firmware."""
    x, y = [], []
    for label, word in enumerate(KNOWN):
        x += [whole(rng, takes[word][number]) for number in REPLAY_TAKES]
        y += [label] * len(REPLAY_TAKES)
        for number in REPLAY_TAKES[:2]:
            x += cut(rng, takes[word][number])
            y += [OTHER] * 2
    for _ in range(6):
        x.append(window(rng, ROOM, 0, 10 ** rng.uniform(0, 2)))
        y.append(OTHER)
    return x, y


class FrontEnd:
    """The device's own front end, run here: int8 inputs of `model`."""

    def __init__(self, shell, cli, model):
        folder = shell.out / "front_end"
        shutil.rmtree(folder, ignore_errors=True)
        self.compiled = cli.run_json(
            "compile", model, "--program", "infer", "--front-end", "mlperf-kws",
            "--front-end-arithmetic", "fixed", "--out", folder)
        self.quantizer = cli.run_json("inspect", model)["inputs"][0]

    def inputs(self, windows):
        done = run_front_end(self.compiled, [x.tobytes() for x in windows])
        return np.frombuffer(done.inputs, "i1").reshape(-1, 49, 10, 1)

    def features(self, windows):
        q = self.quantizer
        steps = self.inputs(windows).astype("f4") - q["zero_point"]
        return steps * np.float32(q["scale"])


def make_product(shell, cli, takes):
    """The product's int8 model, and its words as C for the firmware."""
    base = cli.MODELS / "kws_ref_model.tflite"
    rng = np.random.default_rng(3)
    front_end = FrontEnd(shell, cli, base)
    x, y = training_windows(rng, takes)
    np.save(shell.out / "x.npy", front_end.features(x))
    np.save(shell.out / "y.npy", np.array(y, "i4"))
    data = ["--data", shell.out / "x.npy", "--labels", shell.out / "y.npy"]
    adapter = shell.out / "product.safetensors"
    product = adapter.with_suffix(".tflite")
    shell.run("train", base, *data, "--classes", NEW_CLASS + 1, "--rank", 4,
              *shell.epochs(10), "--split", "90/10", "--seed", 1, "--exact",
              "--out", adapter, shown=["accuracy_before", "accuracy_after"])
    shell.run("merge", base, "--adapter", adapter, "--out", product, *data,
              shown=["accuracy_int8", "file_bytes"])
    x, y = replay_windows(rng, takes)
    write_words(shell.out, FrontEnd(shell, cli, product).inputs(x), y)
    return product


def stride_for(count):
    """Near the golden section, and without a factor in common with `count`."""
    stride = int(count * 0.618)
    while np.gcd(stride, count) != 1:
        stride += 1
    return stride


def write_words(folder, inputs, labels, lessons=15):
    """words.h and words.c: names, and the replay as inputs of the model."""
    names = ", ".join(f'"{w}"' for w in [*KNOWN, "something", "your word"])
    count, values = len(labels), inputs[0].size
    (folder / "words.h").write_text(
        "/* The product's classes, and samples of them that training repeats. */\n"
        "#ifndef WORDS_H_\n#define WORDS_H_\n\n#include <stdint.h>\n\n"
        f"enum {{\n  WORDS_CLASSES = {NEW_CLASS + 1},\n"
        f"  WORDS_OTHER = {OTHER}, /* no word */\n"
        f"  WORDS_NEW = {NEW_CLASS},   /* of the user's */\n"
        f"  WORDS_REPLAYED = {count},\n"
        f"  WORDS_STRIDE = {stride_for(count + lessons)}\n}};\n\n"
        "extern const char *const words_names[WORDS_CLASSES];\n"
        f"extern const int8_t words_replay[WORDS_REPLAYED][{values}];\n"
        "extern const uint8_t words_replay_label[WORDS_REPLAYED];\n\n"
        "#endif /* WORDS_H_ */\n")
    rows = ",\n".join("{" + ",".join(map(str, x.ravel())) + "}" for x in inputs)
    (folder / "words.c").write_text(
        '#include "words.h"\n\n'
        f"const char *const words_names[WORDS_CLASSES] = {{{names}}};\n"
        f"const int8_t words_replay[WORDS_REPLAYED][{values}] = {{\n{rows}}};\n"
        "const uint8_t words_replay_label[WORDS_REPLAYED] = {"
        f"{','.join(map(str, labels))}}};\n")
