#!/usr/bin/env python3
"""Makes examples/demo/keyword_base.tflite, the base model of `fieldtune demo`.

    .venv/bin/python tools/make_demo_model.py [--out FILE] [--epochs N]

Synthesizes speech with espeak-ng, trains a small DS-CNN in PyTorch, quantizes
it to int8 and checks the file with LiteRT on voices that training never heard.
One core, a few minutes. The same machine and package versions give the same
file; elsewhere the last bits of PyTorch's sums may differ.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "python"))

import make_demo_model_speech as speech  # noqa: E402
from conv_net import Conv, ConvNet, to_tflite, train  # noqa: E402
from tflite_models import run_reference  # noqa: E402

CHANNELS, BLOCKS = 48, 4
FRAMES, COEFFICIENTS = 49, 10


def ds_cnn():
    """The shape of MLPerf Tiny's keyword model, narrower."""
    convs = [Conv(CHANNELS, (10, 4), (2, 2), name="conv")]
    for block in range(1, BLOCKS + 1):
        convs.append(Conv(CHANNELS, (3, 3), depthwise=True,
                          name=f"depthwise{block}"))
        convs.append(Conv(CHANNELS, (1, 1), name=f"pointwise{block}"))
    return ConvNet((FRAMES, COEFFICIENTS, 1), convs, len(speech.CLASSES),
                   dropout=0.2)


def litert_answers(content, x):
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source = interpreter.get_input_details()[0]
    target = interpreter.get_output_details()[0]
    scale, zero_point = source["quantization"]
    q = np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8)
    answers = []
    for sample in q:
        interpreter.set_tensor(source["index"], sample[None, ..., None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(target["index"])[0])
    reference = run_reference(content, [q[:1, ..., None]])[0][0]
    assert np.abs(reference.astype(int) - answers[0]).max() <= 2
    return np.array(answers).argmax(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path,
                        default=ROOT / "examples/demo/keyword_base.tflite")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--takes", type=int, default=180,
                        help="takes of each keyword in training")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    started = time.time()
    data = speech.Speech(args.seed, speech.TRAIN_VARIANTS, args.takes)
    test = speech.Speech(args.seed + 1, speech.HELD_OUT_VARIANTS, 40)
    print(f"{len(data.words)} + {len(test.words)} utterances, "
          f"{time.time() - started:.0f} s", flush=True)
    model = ds_cnn()
    train(model, lambda epoch: data.draw(1000 + epoch, 3, 40), data.labels,
          args.epochs)
    content = to_tflite(model, "keyword_base", "int8", data.draw(7, 3, 40),
                        "mfcc", description="Keywords of synthetic speech: "
                        + ", ".join(speech.CLASSES))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(content)

    for title, low, high in [("little noise (20 to 40 dB)", 20, 40),
                             ("noise (5 to 15 dB)", 5, 15)]:
        x = test.draw(9, low, high)
        with torch.no_grad():
            real = model(torch.from_numpy(x)).argmax(1).numpy()
        answers = litert_answers(content, x)
        print(f"held-out voices, {title}: "
              f"float {np.mean(real == test.labels):.3f}, "
              f"int8 in LiteRT {np.mean(answers == test.labels):.3f} "
              f"of {len(answers)}")
    print(f"{args.out}: {len(content)} bytes, {time.time() - started:.0f} s")


if __name__ == "__main__":
    main()
