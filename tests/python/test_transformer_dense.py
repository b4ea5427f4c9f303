"""The methods that PEFT does not have on a tiny Llama and a tiny BERT: whole
weights, the head, sparse differences and block-sparse LoRA. The reference is
the same formula in PyTorch.
"""

import pytest
import torch
from test_transformer_methods import (  # noqa: F401, for both tests
    ALPHA,
    LINEAR,
    METHODS as PEFT_METHODS,
    PREFIX,
    RANK,
    Case,
    Method,
    kind,
    test_answers_equal_the_reference,
    test_gradients_equal_autograd,
)

BLOCK = 4
HEAD = {"llama": "lm_head", "bert": "classifier"}


def chosen(model, kind):
    for name, module in model.named_modules():
        if any(name.endswith("." + t) for t in LINEAR[kind]):
            yield name, module


def whole(model, kind):
    params = {}
    for name, module in chosen(model, kind):
        params[f"{PREFIX}{name}.weight"] = module.weight
        if module.bias is not None:
            params[f"{PREFIX}{name}.bias"] = module.bias
    return params


def head(model, kind):
    """As a layer of its own, with a bias, which Llama's has not."""
    old = getattr(model, HEAD[kind])
    new = torch.nn.Linear(old.in_features, old.out_features)
    new.weight.data = old.weight.data.clone()
    new.bias.data.zero_()
    if old.bias is not None:
        new.bias.data = old.bias.data.clone()
    setattr(model, HEAD[kind], new)
    prefix = PREFIX + HEAD[kind]
    return {prefix + ".weight": new.weight, prefix + ".bias": new.bias}


class Sparse:
    """Adds a difference at some places of the weight."""

    def __init__(self, weight):
        self.shape, count = weight.shape, weight.numel() // 7
        index = torch.randperm(weight.numel())[:count].sort().values
        self.tensors = {
            "sparse_values": torch.nn.Parameter(torch.zeros(count)),
            "sparse_index": torch.nn.Parameter(index.float()),
        }

    def __call__(self, module, inputs, y):
        values, index = self.tensors.values()
        delta = torch.zeros(self.shape.numel(), dtype=values.dtype)
        delta = delta.index_add(0, index.detach().long(), values)
        return y + inputs[0] @ delta.reshape(self.shape).T


class Blocks:
    """LoRA that reads every second block of inputs."""

    def __init__(self, weight):
        rows, columns = weight.shape
        blocks = torch.arange(0, columns // BLOCK, 2)
        self.kept = (blocks[:, None] * BLOCK + torch.arange(BLOCK)).flatten()
        self.tensors = {
            "lora_A.weight": torch.nn.Parameter(torch.zeros(RANK, len(self.kept))),
            "lora_B.weight": torch.nn.Parameter(torch.zeros(rows, RANK)),
            "sparse_index": torch.nn.Parameter(blocks.float()),
        }

    def __call__(self, module, inputs, y):
        a, b, _ = self.tensors.values()
        return y + ALPHA / RANK * inputs[0][..., self.kept] @ a.T @ b.T


def hooked(adapter):
    def wrap(model, kind):
        params = {}
        torch.manual_seed(4)
        for name, module in chosen(model, kind):
            hook = adapter(module.weight)
            module.register_forward_hook(hook)
            params |= {f"{PREFIX}{name}.{k}": p for k, p in hook.tensors.items()}
        return params

    return wrap


NO_TARGETS = {"llama": [], "bert": []}
METHODS = {
    "full": Method("full", wrap=whole),
    "head": Method("head", wrap=head, targets=NO_TARGETS),
    "sparse": Method(
        "sparse",
        settings={"density": "0.2", "mask": "random"},
        wrap=hooked(Sparse),
        frozen=("sparse_index",),
    ),
    "block-lora": Method(
        "block-lora",
        settings={"block_size": str(BLOCK)},
        wrap=hooked(Blocks),
        frozen=("sparse_index",),
    ),
}
assert not METHODS.keys() & PEFT_METHODS.keys()


@pytest.fixture(params=METHODS)
def case(request, kind, tmp_path):  # noqa: F811
    return Case(tmp_path, kind, METHODS[request.param])
