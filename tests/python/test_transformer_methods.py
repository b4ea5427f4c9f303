"""Every method on a tiny Llama and a tiny BERT of random weights: answers and
gradients against HF PEFT, whose models start from the same values.

BitFit, which PEFT has only beside LoRA, is PyTorch with all but the biases
frozen; bottleneck adapters are AdapterHub's formula, restated as hooks.
"""

import json
from dataclasses import dataclass, field

import numpy as np
import peft
import pytest
import torch
from fieldtune_cli import run_json
from safetensors.torch import load_file, save_file
from test_huggingface import SEQ, bert, llama, relative, save, some_ids

ANSWER_BAR, GRADIENT_BAR, LR = 1e-5, 1e-4, 100.0
RANK, ALPHA, VIRTUAL = 3, 6.0, 4
PREFIX = "base_model.model."
torch.set_num_threads(1)

LINEAR = {
    "llama": [f"{p}_proj" for p in ("q", "k", "v", "o", "gate", "up", "down")],
    "bert": ["query", "key", "value", "dense"],
}
BLOCK_ENDS = {
    "llama": ["o_proj", "down_proj"],
    "bert": ["attention.output.dense", "intermediate.dense"],
}
FEEDFORWARD = {"llama": ["down_proj"], "bert": ["dense"]}
TASK = {"llama": "CAUSAL_LM", "bert": "SEQ_CLS"}


@dataclass
class Method:
    name: str  # fieldtune's
    config: object = None  # of PEFT, from the kind of model
    settings: dict = field(default_factory=dict)
    frozen: tuple = ()
    targets: dict = field(default_factory=dict)
    wrap: object = None  # in place of a config: model, kind -> parameters


def lora(**settings):
    return lambda kind: peft.LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=LINEAR[kind], **settings
    )


def virtual(config):
    return lambda kind: config(
        task_type=TASK[kind], num_virtual_tokens=VIRTUAL
    )


def biases(model, kind):
    del kind
    return {
        PREFIX + k: p for k, p in model.named_parameters() if k.endswith("bias")
    }


class Bottleneck(torch.nn.Module):
    """up(relu(down(x))), added behind the layer (houlsby) or to it."""

    def __init__(self, inside, outside, parallel):
        super().__init__()
        self.down = torch.nn.Linear(inside, outside // 2)
        self.up = torch.nn.Linear(outside // 2, outside)
        self.parallel = parallel

    def __call__(self, module, inputs, y):
        x = inputs[0] if self.parallel else y
        return y + self.up(torch.relu(self.down(x)))


def bottlenecks(parallel):
    def wrap(model, kind):
        params = {}
        for name, module in model.named_modules():
            if not any(name.endswith("." + t) for t in BLOCK_ENDS[kind]):
                continue
            rows, columns = module.weight.shape
            b = Bottleneck(columns if parallel else rows, rows, parallel)
            module.register_forward_hook(b)
            key = f"{PREFIX}{name}.adapter_"
            params |= {
                key + "down.0.weight": b.down.weight,
                key + "down.0.bias": b.down.bias,
                key + "up.weight": b.up.weight,
                key + "up.bias": b.up.bias,
            }
        return params

    return wrap


NORMS = {
    "llama": ["input_layernorm", "post_attention_layernorm", "norm"],
    "bert": ["LayerNorm"],
}
METHODS = {
    "lora": Method("lora", lora()),
    "rslora": Method("lora", lora(use_rslora=True), {"use_rslora": "true"}),
    "dora": Method("lora", lora(use_dora=True), {"use_dora": "true"}),
    "lora-fa": Method("lora-fa", lora(), frozen=("lora_A",)),
    "lora-biases": Method("lora", lora(bias="all"), {"bias": "all"}),
    "adalora": Method(
        "adalora",
        lambda kind: peft.AdaLoraConfig(
            init_r=RANK, target_r=RANK, lora_alpha=ALPHA, total_step=1,
            target_modules=LINEAR[kind],
        ),
        {"target_r": str(RANK), "orth_reg_weight": "0", "total_step": "1"},
    ),
    "vera": Method(
        "vera",
        lambda kind: peft.VeraConfig(
            r=RANK, target_modules=LINEAR[kind], save_projection=True
        ),
        frozen=("vera_A", "vera_B"),
    ),
    "ia3": Method(
        "ia3",
        lambda kind: peft.IA3Config(
            target_modules=LINEAR[kind], feedforward_modules=FEEDFORWARD[kind]
        ),
        {"feedforward_modules": FEEDFORWARD},
    ),
    "bitfit": Method("bitfit", wrap=biases, targets={"llama": [], "bert": []}),
    "norm": Method(
        "norm",
        lambda kind: peft.LNTuningConfig(target_modules=NORMS[kind]),
        targets=NORMS,
    ),
    "bottleneck": Method(
        "bottleneck",
        settings={"variant": "houlsby", "reduction_factor": "2"},
        wrap=bottlenecks(False),
        targets=BLOCK_ENDS,
    ),
    "parallel": Method(
        "bottleneck",
        settings={"variant": "parallel", "reduction_factor": "2"},
        wrap=bottlenecks(True),
        targets=BLOCK_ENDS,
    ),
    "prompt": Method(
        "prompt",
        virtual(peft.PromptTuningConfig),
        {"num_virtual_tokens": str(VIRTUAL)},
        targets={"llama": [], "bert": []},
    ),
    "prefix": Method(
        "prefix",
        virtual(peft.PrefixTuningConfig),
        {"num_virtual_tokens": str(VIRTUAL)},
        targets={"llama": [], "bert": []},
    ),
}


def make_base(kind):
    if kind == "llama":
        return llama(attention_bias=True)
    return bert("BertForSequenceClassification")


def tensors_of(model):
    """PEFT's keys -> parameters and buffers."""
    if model.active_peft_config.is_prompt_learning:
        weight = model.prompt_encoder["default"].embedding.weight
        return {"prompt_embeddings": weight}
    by_address = {
        t.data_ptr(): t for t in [*model.parameters(), *model.buffers()]
    }
    state = peft.get_peft_model_state_dict(model)
    ours = lambda k: k.replace(".base_layer.bias", ".bias")
    return {ours(k): by_address[t.data_ptr()] for k, t in state.items()}


def answers(model, kind, ids):
    """Of the model's own tokens, [rows, classes]."""
    tokens = torch.tensor(ids).long()
    if kind == "bert":
        return model(tokens, attention_mask=(tokens != 0).long()).logits
    return model(tokens).logits[:, -SEQ:].flatten(0, 1)


class Case:
    def __init__(self, folder, kind, method):
        self.kind, self.method, self.where = kind, method, folder
        base = make_base(kind)
        self.folder = save(base, folder / "model")
        if method.config is not None:
            self.model = peft.get_peft_model(base, method.config(kind)).eval()
        else:
            self.model, params = base, method.wrap(base, kind)
        self.model.double()
        if method.config is not None:
            params = tensors_of(self.model)
        else:  # .double() has made other tensors of those that hooks hold
            params = {k: to_double(p) for k, p in params.items()}
        self.params = params
        gen = torch.Generator().manual_seed(7)
        for key, p in params.items():
            if "sparse_index" in key:  # places, no values
                continue
            noise = 0.2 * torch.randn(p.shape, generator=gen)
            p.data.copy_((p.data + noise).float())
        self.ids = some_ids(6, padded=kind == "bert")
        self.labels = np.array([2, 0, 1, 0, 2, 1])
        self.targets = method.targets.get(kind, LINEAR[kind])
        self.settings = {  # lists are of a kind of model
            k: v if isinstance(v, str) else ",".join(v[kind])
            for k, v in method.settings.items()
        }

    def answers(self):
        return answers(self.model, self.kind, self.ids)

    def trained(self):
        return {
            k: p.requires_grad_()
            for k, p in self.params.items()
            if not any(f in k for f in self.method.frozen)
        }

    def gradients(self):
        trained = self.trained()
        logits = answers(self.model, self.kind, self.inputs())
        loss = torch.nn.functional.cross_entropy(logits, self.targets_of())
        grads = torch.autograd.grad(loss, list(trained.values()))
        return dict(zip(trained, grads))

    def text(self):
        return some_ids().reshape(-1)[: 2 * SEQ + 1]

    def inputs(self):
        if self.kind == "bert":
            return self.ids
        return self.text()[:-1].reshape(2, SEQ)

    def targets_of(self):
        what = self.labels if self.kind == "bert" else self.text()[1:]
        return torch.tensor(what).long()

    def write(self):
        path = self.where / "before.safetensors"
        metadata = {
            "format_version": "1",
            "base_sha256": run_json("inspect", self.folder)["sha256"],
            "method": self.method.name,
            "precision": "f32",
            "r": str(RANK),
            "lora_alpha": str(ALPHA),
            "target_modules": json.dumps(self.targets),
            "num_classes": "0",
            "seed": "0",
            **self.settings,
        }
        tensors = {
            k: p.detach().float().contiguous() for k, p in self.params.items()
        }
        save_file(tensors, str(path), metadata=metadata)
        return path

    def run(self, *options, folder=None):
        np.save(self.where / "ids.npy", self.ids)
        run_json(
            *["run", folder or self.folder, "--input", self.where / "ids.npy"],
            *["--seq-len", SEQ, "--output", self.where / "out.npy", *options],
        )
        got = np.load(self.where / "out.npy")
        return got.reshape(-1, got.shape[-1])

    def data(self):
        if self.kind == "llama":
            np.save(self.where / "tokens.npy", self.text())
            return ["--text", self.where / "tokens.npy", "--batch", 2]
        np.save(self.where / "x.npy", self.ids)
        np.save(self.where / "y.npy", self.labels)
        return ["--data", self.where / "x.npy", "--batch", 6,
                "--labels", self.where / "y.npy"]  # fmt: skip

    def own_options(self):
        own = []
        for key, value in self.settings.items():
            own += ["--" + key.replace("_", "-")]
            own += [] if value == "true" else [value]
        ranked = self.method.name.startswith(("lora", "adalora", "block-lora"))
        if ranked or self.method.name == "vera":
            own += ["--rank", RANK]
        if ranked:
            own += ["--alpha", ALPHA]
        if self.targets:
            own += ["--target-modules", ",".join(self.targets)]
        return own

    def train(self, *options):
        after = self.where / "after.safetensors"
        run_json(
            *["train", self.folder, *self.data(), "--seq-len", SEQ],
            *["--method", self.method.name, *self.own_options(), "--in-order"],
            *["--precision", "f32", "--epochs", 1, "--schedule", "constant"],
            *["--out", after, *options],
        )
        return load_file(after)


def to_double(p):
    p.data = p.data.double()
    return p


@pytest.fixture(params=["llama", "bert"])
def kind(request):
    return request.param


@pytest.fixture(params=METHODS)
def case(request, kind, tmp_path):
    return Case(tmp_path, kind, METHODS[request.param])


def test_answers_equal_the_reference(case):
    with torch.no_grad():
        want = case.answers().numpy()
    got = case.run("--adapter", case.write())
    assert relative(case.run(), want) > 1e-2  # the adapter does something
    assert relative(got, want) <= ANSWER_BAR


def test_gradients_equal_autograd(case):
    before = load_file(case.write())
    after = case.train(
        *["--init-adapter", case.write(), "--lr", LR],
        *["--optimizer", "sgd", "--momentum", 0],
    )
    assert after.keys() == before.keys()
    grads = case.gradients()
    largest = max(g.abs().max() for g in grads.values())
    for key, want in grads.items():
        got = (before[key].double() - after[key].double()) / LR
        # A key's bias moves all scores of a query alike: its gradient is 0,
        # in float32 the sum of rounding errors of others.
        is_zero = want.abs().max() < 1e-12 * largest
        scale = max(want.abs().max(), (1e-2 if is_zero else 1e-3) * largest)
        assert (got - want).abs().max() / scale <= GRADIENT_BAR, key
    for key in before.keys() - grads.keys():
        assert torch.equal(before[key], after[key]), key
