"""VeRA on convolutions, which PEFT does not have: the same formula in PyTorch,
with columns of the shared A in the order (height, width, channel).
"""

import pytest
import torch
from test_methods_peft import (  # noqa: F401, the tests take this file's case
    RANK,
    Case,
    Method,
    test_a_fresh_adapter_leaves_the_model_as_it_is,
    test_answers_equal_peft,
    test_gradients_equal_autograd,
    test_merged_file_answers_as_peft,
)
from torch.nn.utils import parametrize

METHOD = Method(
    "vera", ranked=True, frozen=("vera_A", "vera_B"), depthwise=True, loads=False
)
KIND = "conv"


class Vera(torch.nn.Module):
    def __init__(self, weight, a, b):
        super().__init__()
        self.shape, self.shared = weight.shape, (a, b)
        self.lambda_b = torch.nn.Parameter(torch.zeros(weight.shape[0]))
        self.lambda_d = torch.nn.Parameter(torch.zeros(RANK))

    def forward(self, weight):
        rows, channels, *image = self.shape
        a, b = self.shared
        columns = weight[0].numel()
        product = (self.lambda_b[:, None] * b[:rows]) @ (
            self.lambda_d[:, None] * a[:, :columns]
        )
        if not image:
            return weight + product
        return weight + product.reshape(rows, *image, channels).permute(0, 3, 1, 2)


class VeraCase(Case):
    def adapter(self):
        if not hasattr(self, "tensors"):
            self.tensors = self.wrap()
        return self.tensors

    def wrap(self):
        layers = {name: getattr(self.model, name) for name in self.targets}
        columns = max(m.weight[0].numel() for m in layers.values())
        rows = max(m.weight.shape[0] for m in layers.values())
        a = torch.zeros(RANK, columns, dtype=torch.double)
        b = torch.zeros(rows, RANK, dtype=torch.double)
        tensors = {"base_model.vera_A": a, "base_model.vera_B": b}
        for name, m in layers.items():
            vera = Vera(m.weight, a, b).double()
            parametrize.register_parametrization(m, "weight", vera)
            prefix = f"base_model.model.{name}.vera_lambda_"
            tensors |= {prefix + "b": vera.lambda_b, prefix + "d": vera.lambda_d}
        return tensors


@pytest.fixture
def case(tmp_path):
    return VeraCase(tmp_path, KIND, METHOD)
