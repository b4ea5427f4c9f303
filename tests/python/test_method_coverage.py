"""Every method on every kind of model has a test of its gradients against a
reference, or says in one sentence that it is not defined there.

The pairs come from the lists that those tests are parametrized by, so that an
entry that is taken out of one fails here, and so does a new method.
"""

from pathlib import Path

import pytest
import test_methods_peft
import test_recurrent_methods
import test_transformer_dense
import test_transformer_methods
import test_vera_conv
from fieldtune_cli import run, run_json
from small_nets import make_net, to_tflite
from test_huggingface import SEQ, save

RECURRENT = list(test_recurrent_methods.KINDS)
TRANSFORMERS = ["llama", "bert"]
KINDS = ["conv", "mlp", *RECURRENT, *TRANSFORMERS]
METHODS = [m["name"] for m in run_json("methods")["methods"]]

# Tests of one method's file: (method, kind) -> file, test, its parameter.
ALONE = {
    ("block-lora", kind): (
        "test_block_lora.py",
        "test_gradients_are_autograds_where_blocks_are_kept",
        kind,
    )
    for kind in ("conv", "mlp")
}
ALONE |= {
    ("sparse", kind): (
        "test_sparse.py",
        "test_gradients_are_autograd_s_at_what_is_kept",
        kind,
    )
    for kind in ("conv", "mlp")
}
ALONE |= {
    ("bottleneck", kind): (
        "test_methods_inserted.py",
        "test_houlsby_stands_behind_every_named_layer",
        kind,
    )
    for kind in ("conv", "mlp")
}
ALONE |= {
    (method, kind): ("test_lora_torch.py", "test_gradients_equal_autograd", model)
    for method in ("head", "full")
    for kind, model in (("conv", "resnet"), ("mlp", "ad01"))
}


def pairs():
    """Those with an oracle."""
    found = set(ALONE) | {(test_vera_conv.METHOD.name, test_vera_conv.KIND)}
    for m in test_methods_peft.METHODS.values():
        found |= {(m.name, kind) for kind in m.kinds}
    for m in test_recurrent_methods.METHODS.values():
        found |= {(m.name, k) for k in RECURRENT if m.only.get(k) != []}
    for module in (test_transformer_methods, test_transformer_dense):
        found |= {(m.name, k) for m in module.METHODS.values() for k in TRANSFORMERS}
    return found


@pytest.mark.parametrize("where", sorted(set(ALONE.values())))
def test_what_the_list_names_exists(where):
    file, test, parameter = where
    text = (Path(__file__).parent / file).read_text()
    assert f"def {test}(" in text and f'"{parameter}"' in text


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    paths = {}
    for kind in ("conv", "mlp"):
        paths[kind] = folder / f"{kind}.tflite"
        paths[kind].write_bytes(to_tflite(make_net(kind)))
    for kind, make in test_recurrent_methods.KINDS.items():
        paths[kind] = make(folder)[0]
    for kind in TRANSFORMERS:
        base = test_transformer_methods.make_base(kind)
        paths[kind] = save(base, folder / kind)
    return paths


def unproved():
    return [(m, k) for m in METHODS for k in KINDS if (m, k) not in pairs()]


@pytest.mark.parametrize("method, kind", unproved())
def test_a_method_without_an_oracle_is_refused(models, method, kind):
    length = ["--seq-len", SEQ] if kind in TRANSFORMERS else []
    done = run("plan", models[kind], "--method", method, "--precision", "f32", *length)
    assert done.returncode == 2, f"{method} runs on {kind}, but nothing proves it"
    assert done.stderr.count("\n") == 1 and method in done.stderr, done.stderr
