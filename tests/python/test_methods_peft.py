"""Every method of the LoRA family and its neighbours against HF PEFT.

A net in PyTorch, wrapped by PEFT with random adapter values, and the same net
as a .tflite file with these values as a fieldtune adapter: equal answers, equal
gradients, and equal answers of the merged file. BitFit, which PEFT does not
have as a type, is PyTorch with all but the biases frozen.
"""

import copy
import hashlib
from dataclasses import dataclass, field

import numpy as np
import peft
import pytest
import torch
from fieldtune_cli import module_names, run, run_json
from peft.tuners.lora.variants import QALoraLinearVariant
from small_nets import make_net, to_tflite
from safetensors.torch import load_file, save_file

ANSWER_BAR, GRADIENT_BAR, MERGED_BAR = 1e-5, 1e-4, 1e-5
LR = 100.0  # one plain step then shows the gradient
RANK, ALPHA = 3, 6.0
torch.set_num_threads(1)


def lora(**settings):
    return lambda targets: peft.LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=targets, **settings
    )


def adalora(targets):
    return peft.AdaLoraConfig(
        init_r=RANK, target_r=RANK, lora_alpha=ALPHA, total_step=1,
        target_modules=targets,
    )  # fmt: skip


def ia3(feedforward=()):
    return lambda targets: peft.IA3Config(
        target_modules=targets, feedforward_modules=list(feedforward)
    )


@dataclass
class Method:
    name: str  # fieldtune's
    config: object = None  # of PEFT, from the list of targets
    ranked: bool = False
    settings: dict = field(default_factory=dict)
    frozen: tuple = ()  # keys that hold what is not trained
    depthwise: bool = False  # whether PEFT's meaning is ours there
    kinds: tuple = ("conv", "mlp")  # of nets that PEFT takes
    prepare: object = None  # of the wrapped model
    loads: bool = True  # PEFT's own loader takes it


def use_qalora(model):
    """PEFT takes use_qalora on GPTQ layers only; the arithmetic is that of any."""
    for module in model.modules():
        if isinstance(module, peft.tuners.lora.Linear):
            config = model.peft_config["default"]
            variant = QALoraLinearVariant()
            variant.init(module, "default", config)
            module.lora_variant["default"] = variant


METHODS = {
    "lora": Method("lora", lora(), True),
    "rslora": Method(
        "lora", lora(use_rslora=True), True, {"use_rslora": "true"}
    ),
    "dora": Method(
        "lora", lora(use_dora=True), True, {"use_dora": "true"}
    ),
    "lora-fa": Method("lora-fa", lora(), True, frozen=("lora_A",)),
    "qalora": Method(
        "lora",
        lora(qalora_group_size=2),
        True,
        {"use_qalora": "true", "qalora_group_size": "2"},
        kinds=("mlp",),
        prepare=use_qalora,
        loads=False,
    ),
    # Without the penalty and before anything is pruned; test_adalora.py.
    "adalora": Method(
        "adalora",
        adalora,
        True,
        {"target_r": str(RANK), "orth_reg_weight": "0", "total_step": "1"},
    ),
    "vera": Method(
        "vera",
        lambda targets: peft.VeraConfig(r=RANK, target_modules=targets),
        True,
        frozen=("vera_A", "vera_B"),
        kinds=("mlp",),
    ),
    "ia3": Method("ia3", ia3(), depthwise=True),
    "ia3-inputs-conv": Method(
        "ia3",
        ia3(["conv", "dw", "pw"]),
        settings={"feedforward_modules": "conv,dw,pw"},
        depthwise=True,
        kinds=("conv",),
    ),
    "ia3-inputs-mlp": Method(
        "ia3",
        ia3(["fc1", "fc3"]),
        settings={"feedforward_modules": "fc1,fc3"},
        kinds=("mlp",),
    ),
    "bitfit": Method("bitfit", depthwise=True, loads=False),
}


class Case:
    """One net with one method, adapter values drawn at random."""

    def __init__(self, folder, kind, method):
        self.folder, self.method = folder, method
        net = make_net(kind)
        self.model_path = folder / "net.tflite"
        self.model_path.write_bytes(to_tflite(net))
        self.targets = [n for n in net.names if method.depthwise or n != "dw"]
        if method.config is None:
            self.model = net
        else:
            self.model = peft.get_peft_model(net, method.config(self.targets))
        if method.prepare is not None:
            method.prepare(self.model)
        self.model = self.model.double()
        gen = torch.Generator().manual_seed(5)
        for key, p in self.adapter().items():
            noise = 0.3 * torch.randn(p.shape, generator=gen)
            p.data.copy_((p.data + noise).float())
        rng = np.random.default_rng(3)
        self.x = rng.normal(size=[4, *net.shape]).astype(np.float32)
        self.labels = np.array([0, 1, 1, 0])

    def adapter(self):
        """Parameters and frozen parts by the keys of PEFT's files."""
        if self.method.config is None:
            return {
                "base_model.model." + k: p
                for k, p in self.model.named_parameters()
                if k.endswith("bias")
            }
        tensors = [*self.model.parameters(), *self.model.buffers()]
        by_address = {t.data_ptr(): t for t in tensors}
        state = peft.get_peft_model_state_dict(self.model)
        return {k: by_address[t.data_ptr()] for k, t in state.items()}

    def answers(self, x=None):
        x = self.x if x is None else x
        return self.model(torch.tensor(x).double())

    def trained(self):
        return {
            k: p
            for k, p in self.adapter().items()
            if not any(f in k for f in self.method.frozen)
        }

    def gradients(self):
        trained = self.trained()
        loss = torch.nn.functional.cross_entropy(
            self.answers(), torch.tensor(self.labels)
        )
        grads = torch.autograd.grad(loss, list(trained.values()))
        return dict(zip(trained, grads))

    def write_adapter(self):
        path = self.folder / "before.safetensors"
        metadata = {
            "format_version": "1",
            "base_sha256": hashlib.sha256(
                self.model_path.read_bytes()
            ).hexdigest(),
            "method": self.method.name,
            "precision": "f32",
            "r": str(RANK),
            "lora_alpha": str(ALPHA),
            "target_modules": str(self.targets).replace("'", '"'),
            "num_classes": "0",
            "seed": "0",
            **self.method.settings,
        }
        tensors = {
            k: v.detach().float().contiguous()
            for k, v in self.adapter().items()
        }
        save_file(tensors, str(path), metadata=metadata)
        return path

    def inputs(self):
        """x as the file of the model has it."""
        x = self.x.transpose(0, 2, 3, 1) if self.x.ndim == 4 else self.x
        np.save(self.folder / "x.npy", np.ascontiguousarray(x))
        return self.folder / "x.npy"

    def run(self, model, *options):
        out = self.folder / "y.npy"
        run_json("run", model, "--input", self.inputs(), "--output", out, *options)
        return np.load(out).reshape(len(self.x), -1)

    def own_options(self):
        own = []
        for key, value in self.method.settings.items():
            own.append("--" + key.replace("_", "-"))
            if value != "true":
                own.append(value)
        return own

    def train(self, *options):
        np.save(self.folder / "y.npy", self.labels.astype(np.int32))
        after = self.folder / "after.safetensors"
        own = self.own_options()
        if self.method.ranked:
            own += ["--rank", RANK, "--alpha", ALPHA]
        run_json(
            "train", self.model_path, "--data", self.inputs(),
            "--labels", self.folder / "y.npy", "--loss", "cross-entropy",
            "--method", self.method.name, "--precision", "f32",
            "--target-modules", ",".join(self.targets), "--batch", 4,
            "--init-adapter", self.write_adapter(), "--epochs", 1,
            "--schedule", "constant", *own, *options, "--out", after,
        )  # fmt: skip
        return load_file(after)


def relative(got, want):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    return np.abs(got - want).max() / max(np.abs(want).max(), 1e-12)


@pytest.fixture(params=["conv", "mlp"])
def kind(request):
    return request.param


@pytest.fixture(params=METHODS)
def case(request, kind, tmp_path):
    method = METHODS[request.param]
    if kind not in method.kinds:
        pytest.skip(f"PEFT has no {request.param} of convolutions")
    return Case(tmp_path, kind, method)


def test_layers_have_the_names_of_the_file(case):
    names = make_net("conv").names if len(case.x.shape) == 4 else ["fc1", "fc2", "fc3"]
    assert module_names(case.model_path) == names


def test_answers_equal_peft(case):
    got = case.run(case.model_path, "--adapter", case.write_adapter())
    want = case.answers().detach().numpy()
    plain = case.run(case.model_path)
    assert relative(plain, want) > 1e-2  # the adapter does something
    error = relative(got, want)
    print(f"{error:.1e}")
    assert error <= ANSWER_BAR


@pytest.mark.parametrize("kernels", ["default", "exact"])
def test_gradients_equal_autograd(case, kernels):
    options = ["--optimizer", "sgd", "--momentum", 0, "--lr", LR]
    after = case.train(*options, *(["--exact"] if kernels == "exact" else []))
    before = load_file(case.write_adapter())
    assert after.keys() == before.keys()
    for key, want in case.gradients().items():
        got = (before[key].double() - after[key].double()) / LR
        error = relative(got, want)
        print(f"{key} {error:.1e}")
        assert error <= GRADIENT_BAR, key
    for key in before.keys() - case.trained().keys():
        assert torch.equal(before[key], after[key]), key


def test_merged_file_answers_as_peft(case):
    merged = case.folder / "merged.tflite"
    run_json("merge", case.model_path, "--adapter", case.write_adapter(),
             "--out", merged)  # fmt: skip
    want = case.answers().detach().numpy()
    assert relative(case.run(merged), want) <= MERGED_BAR


def test_a_fresh_adapter_leaves_the_model_as_it_is(case):
    """Initial values as PEFT's: also there the wrapped model starts equal."""
    after = case.folder / "fresh.safetensors"
    np.save(case.folder / "y.npy", case.labels.astype(np.int32))
    own = ["--rank", RANK] if case.method.ranked else []
    run_json(
        "train", case.model_path, "--data", case.inputs(),
        "--labels", case.folder / "y.npy", "--loss", "cross-entropy",
        "--method", case.method.name, "--precision", "f32", "--batch", 4,
        "--target-modules", ",".join(case.targets),
        "--epochs", 1, "--lr", 1e-30, *own, *case.own_options(), "--out", after,
    )  # fmt: skip
    got = case.run(case.model_path, "--adapter", after)
    np.testing.assert_allclose(got, case.run(case.model_path), 1e-6, 1e-6)


def test_reads_the_folder_that_peft_wrote(case):
    if not case.method.loads:
        pytest.skip("PEFT has no such folder")
    folder = case.folder / "folder"
    copy.deepcopy(case.model).float().save_pretrained(folder)
    got = case.run(case.model_path, "--adapter", folder)
    assert relative(got, case.answers().detach().numpy()) <= ANSWER_BAR


def test_peft_reads_the_folder_that_was_exported(case):
    if not case.method.loads:
        pytest.skip("PEFT has no such folder")
    folder = case.folder / "folder"
    run_json("export", case.write_adapter(), "--to", "peft", "--out", folder)
    kind = "conv" if case.x.ndim == 4 else "mlp"
    model = peft.PeftModel.from_pretrained(make_net(kind), folder).double()
    want = model(torch.tensor(case.x).double()).detach().numpy()
    assert relative(case.answers().detach().numpy(), want) <= 1e-7
    got = case.run(case.model_path, "--adapter", folder)
    assert relative(got, want) <= ANSWER_BAR


def test_a_setting_of_another_method_is_refused_by_name(tmp_path):
    case = Case(tmp_path, "mlp", METHODS["bitfit"])
    done = run("plan", case.model_path, "--method", "bitfit", "--use-rslora")
    assert done.returncode == 2
    assert "use_rslora" in done.stderr and "bitfit" in done.stderr
