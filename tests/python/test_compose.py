"""Several adapters on one base against HF PEFT: set_adapter() of two adapters,
add_weighted_adapter(), and what PEFT does not mix, against weights that PEFT
merged; then what may not go together.
"""

import hashlib
import json

import numpy as np
import peft
import pytest
import torch
from fieldtune_cli import MODELS, module_names, run, run_json
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from small_nets import make_net, to_tflite

BAR = 1e-5
torch.set_num_threads(1)


def relative(got, want):
    return np.abs(got - want).max() / np.abs(want).max()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Stack:
    """A net, its file, and adapters that belong to it."""

    def __init__(self, folder, kind):
        self.folder, self.net = folder, make_net(kind)
        self.model = folder / "net.tflite"
        self.model.write_bytes(to_tflite(self.net))
        rng = np.random.default_rng(3)
        self.x = rng.normal(size=[4, *self.net.shape]).astype(np.float32)
        self.layers = [n for n in self.net.names if n != "dw"]

    def save(self, name, tensors, method, **settings):
        metadata = {
            "format_version": "1", "base_sha256": sha256(self.model),
            "method": method, "precision": "f32", "r": "2",
            "lora_alpha": "4", "num_classes": "0", "seed": "0",
            "target_modules": json.dumps(self.layers), **settings,
        }  # fmt: skip
        path = self.folder / f"{name}.safetensors"
        tensors = {k: v.detach().float().contiguous() for k, v in tensors.items()}
        save_file(tensors, str(path), metadata=metadata)
        return path

    def save_peft(self, model, name, method, config):
        state = peft.get_peft_model_state_dict(model, adapter_name=name)
        targets = json.dumps(sorted(config.target_modules))
        alpha = str(getattr(config, "lora_alpha", 2 * config.r))
        own = {}
        if method == "adalora":
            own = {"target_r": str(config.target_r)}
        return self.save(name, state, method, lora_alpha=alpha,
                         r=str(getattr(config, "init_r", config.r)),
                         target_modules=targets, **own)  # fmt: skip

    def run(self, adapters, *options, model=None, fails=False):
        x = self.x.transpose(0, 2, 3, 1) if self.x.ndim == 4 else self.x
        np.save(self.folder / "x.npy", np.ascontiguousarray(x))
        args = ["run", model or self.model, "--input", self.folder / "x.npy",
                "--output", self.folder / "y.npy"]  # fmt: skip
        for a in adapters:
            args += ["--adapter", a]
        if fails:
            return run(*args, *options)
        run_json(*args, *options)
        return np.load(self.folder / "y.npy").reshape(len(self.x), -1)

    def merged(self, adapters, *options):
        out = self.folder / "merged.tflite"
        args = [a for path in adapters for a in ("--adapter", path)]
        run_json("merge", self.model, *args, *options, "--out", out)
        return self.run([], model=out)

    def answers(self, model):
        with torch.no_grad():
            return model(torch.tensor(self.x).double()).numpy()


@pytest.fixture(params=["conv", "mlp"])
def stack(request, tmp_path):
    return Stack(tmp_path, request.param)


@pytest.fixture
def mlp(tmp_path):
    return Stack(tmp_path, "mlp")


def randomize(model, seed=5):
    gen = torch.Generator().manual_seed(seed)
    for key, p in model.named_parameters():
        if "lora_" in key or "vera_lambda" in key:
            p.data += (0.3 * torch.randn(p.shape, generator=gen)).float()


def two_loras(stack):
    """Of different ranks and factors, on layers that overlap."""
    configs = {
        "a": peft.LoraConfig(r=2, lora_alpha=4, target_modules=stack.layers[:2]),
        "b": peft.LoraConfig(r=3, lora_alpha=5, target_modules=stack.layers),
    }
    model = peft.get_peft_model(stack.net, configs["a"], adapter_name="a")
    model.add_adapter("b", configs["b"])
    randomize(model)
    model = model.double()
    paths = [stack.save_peft(model, k, "lora", c) for k, c in configs.items()]
    return model, paths


def test_two_adapters_add_up_as_in_peft(stack):
    model, paths = two_loras(stack)
    model.base_model.set_adapter(["a", "b"])
    want = stack.answers(model)
    got = stack.run(paths)
    print(f"{relative(got, want):.1e}")
    assert relative(got, want) <= BAR
    assert relative(stack.merged(paths), want) <= BAR
    for path in paths:  # each alone is something else
        assert relative(stack.run([path]), want) > 1e-2


def test_weights_are_those_of_add_weighted_adapter(stack):
    model, paths = two_loras(stack)
    model.add_weighted_adapter(
        ["a", "b"], [0.7, 0.3], "c", combination_type="cat"
    )
    model.set_adapter("c")
    want = stack.answers(model)
    weights = ["--adapter-weight", 0.7, "--adapter-weight", 0.3]
    assert relative(stack.run(paths, *weights), want) <= BAR
    assert relative(stack.merged(paths, *weights), want) <= BAR


def test_lora_vera_adalora_and_bitfit_together(mlp):
    """PEFT's own delta weights of each, added to the base's."""
    lora = peft.LoraConfig(r=2, lora_alpha=4, target_modules=mlp.layers)
    vera = peft.VeraConfig(r=3, target_modules=mlp.layers[:2])
    ada = peft.AdaLoraConfig(
        init_r=3, target_r=2, total_step=9, lora_alpha=5, target_modules=mlp.layers
    )
    parts = []
    for name, method, config in [("a", "lora", lora), ("b", "vera", vera),
                                 ("d", "adalora", ada)]:  # fmt: skip
        model = peft.get_peft_model(make_net("mlp"), config, adapter_name=name)
        randomize(model)
        parts.append((model, mlp.save_peft(model, name, method, config)))
    want = make_net("mlp").double()
    weights = [1.0, -0.5, 0.7, 1.0]
    for (model, _), weight, name in zip(parts, weights, "abd"):
        for layer in mlp.layers:
            wrapped = getattr(model.base_model.model, layer)
            if hasattr(wrapped, "get_delta_weight"):
                delta = wrapped.get_delta_weight(name).double()
                getattr(want, layer).weight.data += weight * delta
    biases = {
        f"base_model.model.{k}": torch.randn(p.shape)
        for k, p in want.named_parameters()
        if k.endswith("bias")
    }
    for k, value in biases.items():
        layer = k.split(".")[-2]
        getattr(want, layer).bias.data = value.double()
    paths = [p for _, p in parts] + [mlp.save("c", biases, "bitfit")]
    options = [o for w in weights for o in ("--adapter-weight", w)]
    answers = mlp.answers(want)
    assert relative(mlp.run(paths, *options), answers) <= BAR
    assert relative(mlp.merged(paths, *options), answers) <= BAR


def bottleneck(width, seed, layer="fc2"):
    gen = torch.Generator().manual_seed(seed)
    shapes = {"down.0.weight": (2, width), "down.0.bias": (2,),
              "up.weight": (width, 2), "up.bias": (width,)}  # fmt: skip
    return {
        f"base_model.model.{layer}.adapter_{k}": torch.randn(s, generator=gen)
        for k, s in shapes.items()
    }


def test_bottlenecks_stand_behind_each_other(mlp):
    """AdapterHub's Stack("a", "b"); the weight scales what b adds."""
    adapters = [bottleneck(10, seed) for seed in (1, 2)]
    own = {"variant": "houlsby", "reduction_factor": "5",
           "target_modules": '["fc2"]'}  # fmt: skip
    paths = [
        mlp.save(f"{i}", a, "bottleneck", **own) for i, a in enumerate(adapters)
    ]

    def behind(y):
        for a, weight in zip(adapters, (1.0, 0.5)):
            p = lambda k: a["base_model.model.fc2.adapter_" + k].double()
            h = torch.relu(y @ p("down.0.weight").T + p("down.0.bias"))
            y = y + weight * (h @ p("up.weight").T + p("up.bias"))
        return y

    net = mlp.net.double()

    def want(x):  # the layer's ReLU comes before what stands behind it
        y = torch.relu(net.fc2(torch.relu(net.fc1(x))))
        return net.fc3(behind(y))

    got = mlp.run(paths, "--adapter-weight", 1, "--adapter-weight", 0.5)
    assert relative(got, mlp.answers(want)) <= BAR


def test_disabled_adapters_give_the_bits_of_the_base(stack):
    _, paths = two_loras(stack)
    base = stack.run([])
    zeros = ["--adapter-weight", 0, "--adapter-weight", 0]
    assert (stack.run(paths, *zeros) == base).all()
    assert (stack.run(paths, "--no-adapter") == base).all()
    first = stack.run(paths, "--adapter-weight", 1, "--adapter-weight", 0)
    assert (first == stack.run(paths[:1])).all()


def train(stack, out, *options):
    np.save(stack.folder / "labels.npy", np.int32([0, 1, 1, 0]))
    x = stack.x.transpose(0, 2, 3, 1) if stack.x.ndim == 4 else stack.x
    np.save(stack.folder / "x.npy", np.ascontiguousarray(x))
    return run_json(
        "train", stack.model, "--data", stack.folder / "x.npy", "--labels",
        stack.folder / "labels.npy", "--loss", "cross-entropy", "--precision",
        "f32", "--batch", 4, "--epochs", 1, "--schedule", "constant",
        *options, "--out", out,
    )  # fmt: skip


def test_a_second_adapter_is_trained_on_top_of_a_frozen_one(stack):
    """One SGD step shows the gradient; PEFT has both active, one trainable."""
    model, paths = two_loras(stack)
    model.base_model.set_adapter(["a", "b"])
    loss = torch.nn.functional.cross_entropy(
        model(torch.tensor(stack.x).double()), torch.tensor([0, 1, 1, 0])
    )
    params = {
        k.replace(".b.", "."): p
        for k, p in model.named_parameters()
        if ".b." in k
    }
    grads = dict(zip(params, torch.autograd.grad(loss, list(params.values()))))
    out = stack.folder / "trained.safetensors"
    lr = 100.0
    fields = train(
        stack, out, "--method", "lora", "--rank", 3, "--alpha", 5,
        "--target-modules", ",".join(stack.layers), "--on-top-of", paths[0],
        "--init-adapter", paths[1], "--optimizer", "sgd", "--momentum", 0,
        "--lr", lr,
    )  # fmt: skip
    before, after = load_file(paths[1]), load_file(out)
    assert before.keys() == after.keys() == grads.keys()
    assert fields["trainable"] == sum(v.numel() for v in before.values())
    for key, want in grads.items():
        got = (before[key].double() - after[key].double()) / lr
        assert relative(got.numpy(), want.numpy()) <= 1e-4, key
    with safe_open(out, "pt") as file:
        assert json.loads(file.metadata()["on_top_of"]) == [sha256(paths[0])]
    stack.run([paths[0], out])
    for wrong in ([out], [out, paths[0]], [paths[1], out]):
        done = stack.run(wrong, fails=True)
        assert done.returncode == 3, done.stderr
        assert "on top of another adapter" in done.stderr


def test_an_int8_base_adds_up_and_comes_back(tmp_path, shared):
    path = MODELS / "ad01_int8.tflite"
    names = module_names(path)[:2]
    gen = torch.Generator().manual_seed(1)
    x = np.random.default_rng(4).integers(-128, 128, [2, 640]).astype(np.int8)
    np.save(tmp_path / "x.npy", x)
    modules = run_json("inspect", path)["adaptable_modules"]
    shapes = {m["name"]: m["weight"] for m in modules}
    adapters = []
    for name in names:
        rows, columns = shapes[name]
        tensors = {
            f"base_model.model.{name}.lora_A.weight": torch.randn(
                (2, columns), generator=gen
            ),
            f"base_model.model.{name}.lora_B.weight": torch.randn(
                (rows, 2), generator=gen
            ),
        }
        metadata = {
            "format_version": "1", "base_sha256": sha256(path),
            "method": "lora", "precision": "mixed", "r": "2",
            "lora_alpha": "0.1", "target_modules": json.dumps([name]),
        }  # fmt: skip
        adapters.append(tmp_path / f"{len(adapters)}.safetensors")
        save_file(tensors, str(adapters[-1]), metadata=metadata)

    def outputs(*options):
        run_json("run", path, "--input", tmp_path / "x.npy", "--output",
                 tmp_path / "y.npy", *options)  # fmt: skip
        return np.load(tmp_path / "y.npy")

    both = ["--adapter", adapters[0], "--adapter", adapters[1]]
    twice = ["--adapter", adapters[0], "--adapter", adapters[0]]
    half = ["--adapter-weight", 0.5, "--adapter-weight", 0.5]
    base = outputs()
    assert (outputs(*both) != base).any()
    assert (outputs(*both, "--no-adapter") == base).all()
    one = outputs("--adapter", adapters[0]).astype(int)
    assert np.abs(outputs(*twice, *half).astype(int) - one).max() <= 1


def head_tensors(net):
    p = "base_model.model.fc3."
    return {p + "weight": net.fc3.weight, p + "bias": net.fc3.bias}


def test_what_does_not_go_together_is_refused_in_one_sentence(mlp):
    _, (a, b) = two_loras(mlp)
    head = mlp.save("head", head_tensors(make_net("mlp")), "head")
    mixed = mlp.save("mixed", load_file(b), "lora", precision="mixed",
                     r="3", lora_alpha="5")  # fmt: skip
    missing = mlp.folder / "none.safetensors"
    cases = [
        ([head, head], [], 2, "adapter 2 (head)"),
        ([head, head], [], 2, "fc3.weight' of adapter 1"),
        ([b, head], [], 2, "fc3.lora_A.weight' of adapter 1"),
        ([a, head], ["--adapter-weight", 1, "--adapter-weight", 0.5], 2,
         "no weight but 0 and 1"),
        ([a, b], ["--adapter-weight", 1], 2, "once for each --adapter"),
        ([a], ["--adapter-weight", "nan"], 2, "must lie between"),
        ([a, mixed], [], 3, "different precisions (f32 and mixed)"),
        ([a, missing], [], 5, "none.safetensors"),
    ]  # fmt: skip
    (mlp.folder / "y.npy").unlink(missing_ok=True)
    for adapters, options, code, said in cases:
        done = mlp.run(adapters, *options, fails=True)
        assert done.returncode == code, done.stderr
        assert said in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert not (mlp.folder / "y.npy").exists()
    done = run("merge", mlp.model, "--adapter", a, "--no-adapter", "--out",
               mlp.folder / "m.tflite")  # fmt: skip
    assert done.returncode == 3 and "changes nothing" in done.stderr
    assert not (mlp.folder / "m.tflite").exists()
