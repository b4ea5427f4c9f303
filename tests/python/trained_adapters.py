"""A real base model and really trained adapters of it, as fixtures."""

import numpy as np
import pytest
from fieldtune_cli import run_json

SHORT = ["--method", "lora", "--rank", 2, "--epochs", 1, "--seed"]


@pytest.fixture(scope="module")
def kws(shared):
    return shared / "models" / "mlperf_tiny" / "kws_ref_model.tflite"


@pytest.fixture(scope="module")
def adapters(kws, tmp_path_factory):
    """Three of one base, by other seeds."""
    folder = tmp_path_factory.mktemp("adapters")
    rng = np.random.default_rng(1)
    shape = run_json("inspect", kws)["inputs"][0]["shape"]
    np.save(folder / "x.npy", rng.normal(size=(48, *shape[1:])).astype("f4"))
    np.save(folder / "y.npy", (np.arange(48) % 12).astype("i4"))
    files = [folder / f"v{i}.safetensors" for i in (1, 2, 3)]
    for i, file in enumerate(files):
        run_json("train", kws, "--data", folder / "x.npy", "--labels",
                 folder / "y.npy", *SHORT, i, "--out", file)  # fmt: skip
    return files
