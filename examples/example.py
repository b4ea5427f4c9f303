"""What the examples share: where things are, and one adaptation from the
question to the base model to the merged file.

    shell = Shell("digits")
    figures = shell.adapt(model, ["--data", ...], ["--data", ...])

Commands are printed as one would type them, and what they answered below.
FT_BUILD_DIR and FT_SHARED name other folders than build/release and ../shared.
"""

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
for folder in ("tests/python", "tools"):
    sys.path.insert(0, str(ROOT / folder))

import fieldtune_cli as cli  # noqa: E402

BASES = ROOT / "build" / "base_models"


class Shell:
    """Parses an example's options and runs its commands."""

    def __init__(self, name, more_options=None):
        parser = argparse.ArgumentParser(description=f"The example '{name}'.")
        parser.add_argument("--quick", action="store_true",
                            help="one epoch, to see that it works")
        parser.add_argument("--out", type=Path,
                            default=ROOT / "build" / "examples" / name)
        parser.add_argument("--picture", type=Path,
                            help="where to draw (default: OUT/result.svg)")
        for flag, meaning in (more_options or {}).items():
            parser.add_argument(flag, **meaning)
        self.options = parser.parse_args()
        self.name, self.out = name, self.options.out
        self.out.mkdir(parents=True, exist_ok=True)
        self.picture = self.options.picture or self.out / "result.svg"
        if not cli.SHARED.is_dir():
            sys.exit(f"the data is absent: no folder {cli.SHARED}")
        if not cli.BINARY.is_file():
            sys.exit(f"{cli.BINARY} is missing: run make build")

    def epochs(self, count):
        return ["--epochs", 1 if self.options.quick else count]

    def run(self, *args, shown=()):
        """The command's JSON; prints it and the fields `shown`."""
        words = [str(a) for a in args]
        if len(words) > 12:
            words = [*words[:12], "..."]
        line = " ".join(words).replace(f"{ROOT}/", "")
        print(f"$ fieldtune {line.replace(str(cli.SHARED), '../shared')}")
        result = cli.run_json(*args)
        for name in shown:
            if name in result:
                value = result[name]
                text = f"{value:.4f}" if isinstance(value, float) else value
                print(f"    {name:18} {text}")
        sys.stdout.flush()
        return result

    def adapt(self, model, train, test, metric="accuracy", name="adapter",
              merge=True):
        """Before, after and merged, in `metric` on the test, and what it took.
        `train`: options of `fieldtune train`; `test`: of `fieldtune eval`."""
        adapter = self.out / f"{name}.safetensors"
        before = self.run("eval", model, *test, shown=[metric])
        trained = self.run(
            "train", model, *train, "--seed", 1, "--out", adapter,
            shown=["trainable", "adapter_bytes", "ram_bytes", "steps",
                   "step_ms"])
        after = self.run("eval", model, "--adapter", adapter, *test,
                         shown=[metric])
        figures = {"base": before[metric], "adapted": after[metric]}
        if merge:
            merged = self.out / f"{name}.tflite"
            self.run("merge", model, "--adapter", adapter, "--out", merged,
                     *test[:4])
            figures["merged"] = self.run("eval", merged, *test,
                                         shown=[metric])[metric]
        return figures, trained

    def adapt_arrays(self, task, epochs):
        """adapt() with LoRA beside the int8 base model that
        tools/make_base_models.py makes for the task."""
        import make_base_models

        model = make_base_models.make(task, BASES)[1]
        part = lambda which: ["--data", BASES / task / f"x_{which}.npy",
                              "--labels", BASES / task / f"y_{which}.npy"]
        train = [*part("train"), "--method", "lora", "--rank", 4, "--lr", 3e-3,
                 "--precision", "mixed", "--ram", "128K", *self.epochs(epochs)]
        return self.adapt(model, train, part("test"))

    def draw(self, picture):
        picture.save(self.picture)
        print(f"picture: {self.picture}")
