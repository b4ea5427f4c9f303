#!/usr/bin/env python3
"""Makes the base models of the examples, each on its source domain, and the
data of the target domain that fieldtune adapts it to.

    .venv/bin/python tools/make_base_models.py [mnist1000 cwru ...] [--out FOLDER]

FOLDER (build/base_models) then holds <task>_float.tflite, <task>_int8.tflite
(none of ett_transformer) and the folder <task>. What exists already is left alone unless --again is
given. One core, below a minute each. The same machine and package versions give
the same files. Inputs: ../shared/data (see tools/domain_data.py).
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "base_models"
sys.path.insert(0, str(ROOT / "tests" / "python"))

import domain_data as domains  # noqa: E402
from conv_net import Conv, ConvNet, to_tflite, train  # noqa: E402
from tflite_models import make_reference, run_interpreter  # noqa: E402
from transformer_tflite import Transformer  # noqa: E402
from transformer_tflite import to_tflite as transformer_tflite  # noqa: E402


def digits_net():
    convs = [Conv(16, (3, 3), (2, 2), name="stem"),
             Conv(16, (3, 3), (2, 2), depthwise=True, name="depthwise1"),
             Conv(32, (1, 1), name="pointwise1"),
             Conv(32, (3, 3), depthwise=True, name="depthwise2"),
             Conv(64, (1, 1), name="pointwise2"),
             Conv(64, (3, 3), depthwise=True, name="depthwise3"),
             Conv(64, (1, 1), name="pointwise3")]
    return ConvNet((28, 28, 1), convs, 10)


def bearing_net():
    convs = [Conv(16, (16, 1), (4, 1), name="stem"),
             Conv(32, (5, 1), (2, 1), name="conv1"),
             Conv(48, (5, 1), (2, 1), name="conv2"),
             Conv(48, (3, 1), dilation=(2, 1), name="conv3")]
    return ConvNet((domains.WINDOW, 1, 1), convs, len(domains.FAULTS))


def load_net():
    """Dilated convolutions over time, on fewer and fewer hours."""
    convs = [Conv(16, (3, 1), name="conv0"),
             Conv(16, (3, 1), (2, 1), name="conv1"),
             Conv(24, (3, 1), dilation=(2, 1), name="conv2"),
             Conv(24, (3, 1), (2, 1), name="conv3"),
             Conv(24, (3, 1), dilation=(2, 1), name="conv4"),
             Conv(8, (1, 1), name="squeeze")]
    return ConvNet((domains.HISTORY, 1, 7), convs, domains.HORIZON,
                   average=False, dropout=0.3)


def save_arrays(folder, **parts):
    folder.mkdir(parents=True, exist_ok=True)
    for name, (x, y) in parts.items():
        np.save(folder / f"x_{name}.npy", x.astype(np.float32))
        np.save(folder / f"y_{name}.npy", y)


def make_digits(out):
    data, (images, _) = domains.mnist1000(), domains.digit_images()
    save_arrays(out / "mnist1000", train=data.train, test=data.test)
    net = digits_net()
    draw = lambda epoch: domains.varied_digits(images[:500], epoch)
    train(net, draw, data.source[1], 120, 1e-2)
    return net, draw(0), data.test, True


def make_bearings(out):
    data = domains.cwru()
    save_arrays(out / "cwru", train=data.train, test=data.test)
    net = bearing_net()
    train(net, lambda epoch: data.source[0], data.source[1], 12)
    return net, data.source[0], data.test, True


def write_rows(path, period):
    """The hours of a period as a table."""
    names, values = domains.hours(*period)
    lines = [",".join(names), *(",".join(f"{v:.6g}" for v in row)
                                for row in values)]
    path.write_text("\n".join(lines) + "\n")


def window_settings():
    """The front end of the forecast: units of the summer, as the model."""
    names, _ = domains.hours(*domains.WINTER_TEST)
    mean, sd = domains.ett_statistics()
    # The target's statistics follow those of the columns.
    of = [*range(len(names)), names.index(domains.TARGET)]
    listed = lambda values: ", ".join(f"{values[i]:.7g}" for i in of)
    quoted = ", ".join(f'"{name}"' for name in names)
    return (f'kind = "windows"\nhistory = {domains.HISTORY}\n'
            f"horizon = {domains.HORIZON}\nstride = 3\n"
            f'columns = [{quoted}]\ntargets = ["{domains.TARGET}"]\n'
            f"mean = [{listed(mean)}]\nsd = [{listed(sd)}]\n")


def summers():
    parts = [domains.ett_windows(period) for period in domains.SUMMER]
    return map(np.concatenate, zip(*parts))


def noisy(x):
    """Neighbouring windows are nearly the same: without noise they are learnt
    by heart."""
    random = np.random.default_rng(domains.SEED)
    return lambda epoch: x + 0.2 * random.normal(size=x.shape).astype("f4")


def make_forecast(out):
    folder = out / "ett"
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "train.csv", domains.WINTER_TRAIN)
    write_rows(folder / "test.csv", domains.WINTER_TEST)
    (folder / "windows.toml").write_text(window_settings())
    x, y = summers()
    net = load_net()
    train(net, noisy(x), y, 8, 3e-3, F.mse_loss)
    return net, x[::8], domains.ett_windows(domains.WINTER_TEST, 3), False


def make_encoder(out):
    """The forecast by a transformer; the data is the TCN's."""
    x, y = summers()
    net = Transformer(domains.HISTORY, x.shape[2], domains.HORIZON, dropout=0.3)
    train(net, noisy(x), y, 4, 2e-3, F.mse_loss)
    return net, None, domains.ett_windows(domains.WINTER_TEST, 3), False


MAKERS = {"mnist1000": make_digits, "cwru": make_bearings, "ett": make_forecast,
          "ett_transformer": make_encoder}
# An int8 file as well, but where its operators have none.
KINDS = {"ett_transformer": ["float"]}


def written(net, name, kind, calibration, softmax):
    """The bytes of the file."""
    if isinstance(net, Transformer):
        return transformer_tflite(net, name)
    return to_tflite(net, name, {"float": "float32"}.get(kind, kind),
                     calibration, softmax=softmax)


def answers(content, x):
    """Of a float or int8 file in LiteRT, in real numbers."""
    interpreter = make_reference(content)
    source = interpreter.get_input_details()[0]
    target = interpreter.get_output_details()[0]
    x = x.reshape(-1, *source["shape"][1:])
    if source["dtype"] == np.int8:
        scale, zero = source["quantization"]
        x = np.clip(np.round(x / scale) + zero, -128, 127)
    y = np.concatenate([run_interpreter(interpreter, [one[None]])[0]
                        for one in x]).astype(np.float32)
    if target["dtype"] == np.int8:
        scale, zero = target["quantization"]
        y = (y - zero) * scale
    return y


def figure(content, test, classifies):
    y = answers(content, test[0])
    if classifies:
        return f"accuracy {np.mean(y.argmax(1) == test[1]):.3f}"
    return f"mse {np.mean((y - test[1]) ** 2):.3f}"


def make(task, out, again=False):
    """Paths of the float and the int8 model, which are made if they are not
    there."""
    kinds = KINDS.get(task, ["float", "int8"])
    paths = [out / f"{task}_{kind}.tflite" for kind in kinds]
    if not again and all(path.exists() for path in paths):
        return paths
    started = time.time()
    torch.manual_seed(domains.SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    out.mkdir(parents=True, exist_ok=True)
    net, calibration, test, classifies = MAKERS[task](out)
    for path, kind in zip(paths, kinds):
        content = written(net, task, kind, calibration, classifies)
        path.write_bytes(content)
        print(f"{path}: {len(content)} bytes; on the target domain, in LiteRT: "
              f"{figure(content, test, classifies)}")
    print(f"{task}: {time.time() - started:.0f} s", flush=True)
    return paths


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tasks", nargs="*", default=list(MAKERS))
    parser.add_argument("--out", type=Path, default=FOLDER)
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    if not domains.DATA.is_dir():
        print(f"the data is absent: no folder {domains.DATA}")
        return 3
    for task in args.tasks:
        if task not in MAKERS:
            parser.error(f"no task '{task}'; there are: {', '.join(MAKERS)}")
        make(task, args.out, args.again)
    return 0


if __name__ == "__main__":
    sys.exit(main())
