"""Bottleneck adapters in AdapterHub's format against its library: folders in
and out, answers and gradients with the same weights, and what is refused.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fieldtune_cli import run, run_json
from safetensors.torch import load_file, save_file
from test_huggingface import SEQ, relative, some_ids
from test_transformer_methods import ANSWER_BAR, GRADIENT_BAR, Case, Method

LR = 100.0
KINDS = {"llama": "LlamaForCausalLM", "bert": "BertForSequenceClassification"}
# Of the library: a configuration that it has a name for, and changes of it.
# Of fieldtune: the same as options of `train`.
CONFIGS = {
    "pfeiffer": ("seq_bn", {"reduction_factor": 4}, ["pfeiffer", 4, "relu", 1]),
    "houlsby": ("double_seq_bn", {"reduction_factor": 3}, ["houlsby", 3, "swish", 1]),
    "parallel": ("par_bn", {}, ["parallel_block", 2, "relu", 4]),
    "pfeiffer-twice": (
        "seq_bn",
        {"mh_adapter": True, "non_linearity": "gelu", "scaling": 0.5},
        ["pfeiffer", 16, "gelu", 0.5],
    ),
    "parallel-twice": (
        "par_bn",
        {"mh_adapter": True, "non_linearity": "tanh", "leave_out": [0]},
        ["parallel_block", 2, "tanh", 4],
    ),
    "houlsby-attention": (
        "double_seq_bn",
        {"output_adapter": False, "leave_out": [1]},
        ["houlsby", 16, "swish", 1],
    ),
}
ENDS = {
    "llama": {"mh_adapter": "self_attn.o_proj", "output_adapter": "mlp.down_proj"},
    "bert": {"mh_adapter": "attention.output.dense", "output_adapter": "output.dense"},
}


class Oracle:
    """adapterhub_oracle.py, started once."""

    def __init__(self):
        here = Path(__file__).parent
        packages = Path(sys.prefix) / "adapterhub"
        assert packages.is_dir(), f"no folder {packages}: run tools/make_venv.sh"
        self.process = subprocess.Popen(
            [sys.executable, here / "adapterhub_oracle.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(packages)},
            text=True,
        )

    def ask(self, do, **request):
        asked = {k: str(v) if isinstance(v, Path) else v for k, v in request.items()}
        self.process.stdin.write(json.dumps({"do": do, **asked}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture(scope="module")
def oracle():
    started = Oracle()
    yield started
    started.process.stdin.close()
    started.process.wait(timeout=60)


class HubCase(Case):
    """A base and an adapter that the library made, each in its folder."""

    def __init__(self, oracle, where, kind, name="pfeiffer", model=None, **more):
        preset, change, own = CONFIGS[name]
        self.kind, self.where, self.oracle = kind, where, oracle
        self.model_class = model or KINDS[kind]
        self.folder, self.hub = where / "model", where / "hub"
        words = ["variant", "reduction_factor", "non_linearity", "scaling"]
        self.settings = dict(zip(words, map(str, own)))
        self.method = Method("bottleneck", settings=self.settings)
        self.ids = some_ids(6, padded=kind == "bert")
        self.labels = np.array([2, 0, 1, 0, 2, 1])
        np.save(where / "ids.npy", self.ids)
        asked = {"inputs": "inputs.npy", "labels": "labels.npy",
                 "gradients": "gradients.safetensors"}  # fmt: skip
        if self.model_class == KINDS[kind]:
            np.save(where / "inputs.npy", self.inputs())
            np.save(where / "labels.npy", self.targets_of().numpy())
            more |= {k: where / v for k, v in asked.items()}
        oracle.ask("make", kind=self.model_class, config=preset, change=change,
                   model=self.folder, adapter=self.hub, ids=where / "ids.npy",
                   out=where / "want.npy", **more)  # fmt: skip
        self.want = np.load(where / "want.npy")
        file = self.hub / "adapter_config.json"
        self.config = json.loads(file.read_text())
        self.targets = self.named_layers()

    def named_layers(self):
        said = self.config["config"]
        return [
            f"layer{'s' * (self.kind == 'llama')}.{i}.{end}"
            for i in range(2)
            if i not in said["leave_out"]
            for key, end in ENDS[self.kind].items()
            if said[key]
        ]

    def load(self, folder, **more):
        out = self.where / "theirs.npy"
        told = self.oracle.ask("load", kind=self.model_class, model=self.folder,
                               adapter=folder, ids=self.where / "ids.npy",
                               out=out, **more)  # fmt: skip
        return told, np.load(out)

    def refused(self, word, code=3, command="run"):
        out = self.where / "refused.npy"
        done = run(command, self.folder, "--input", self.where / "ids.npy",
                   "--seq-len", SEQ, "--adapter", self.hub, "--output", out)  # fmt: skip
        assert done.returncode == code, done.stderr
        assert word in done.stderr and done.stderr.count("\n") == 1, done.stderr
        assert not out.exists()

    def rewrite(self, inside=True, **settings):
        config = dict(self.config, config=dict(self.config["config"]))
        (config["config"] if inside else config).update(settings)
        (self.hub / "adapter_config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_answers_and_gradients_equal_the_library_s(oracle, name, kind, tmp_path):
    case = HubCase(oracle, tmp_path, kind, name)
    assert relative(case.run(), case.want) > 1e-2  # the adapter does something
    got = case.run("--adapter", case.hub)
    assert relative(got, case.want) <= ANSWER_BAR
    after = case.train(
        *["--init-adapter", case.hub, "--lr", LR],
        *["--optimizer", "sgd", "--momentum", 0],
    )
    run_json("export", tmp_path / "after.safetensors", "--to", "adapterhub",
             "--adapter-name", "theirs", "--out", tmp_path / "out")  # fmt: skip
    after = load_file(tmp_path / "out" / "adapter.safetensors")
    before = load_file(case.hub / "adapter.safetensors")
    grads = load_file(tmp_path / "gradients.safetensors")
    assert after.keys() == before.keys() == grads.keys()
    for key, want in grads.items():
        got = (before[key].double() - after[key].double()) / LR
        assert (got - want).abs().max() / want.abs().max() <= GRADIENT_BAR, key


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_the_library_loads_what_was_trained_here(oracle, name, kind, tmp_path):
    case = HubCase(oracle, tmp_path, kind, name)
    case.train("--lr", 0.05)
    out = tmp_path / "out"
    run_json("export", tmp_path / "after.safetensors", "--to", "adapterhub",
             "--out", out)  # fmt: skip
    told, want = case.load(out)
    assert not told["missing"] and not told["surplus"]
    said = json.loads((out / "adapter_config.json").read_text())["config"]
    for key, value in said.items():
        if key not in ("architecture", "init_weights"):
            assert value == case.config["config"][key], key
    assert relative(case.run(), want) > 1e-3
    for adapter in (tmp_path / "after.safetensors", out):
        assert relative(case.run("--adapter", adapter), want) <= ANSWER_BAR
    run_json("export", out, "--to", "adapterhub", "--out", tmp_path / "again")
    again = load_file(tmp_path / "again" / "adapter.safetensors")
    assert again.keys() == load_file(out / "adapter.safetensors").keys()


def test_a_new_head_goes_both_ways(oracle, tmp_path):
    case = HubCase(oracle, tmp_path, "bert", head=True)
    assert (case.hub / "model_head.safetensors").exists()
    assert relative(case.run("--adapter", case.hub), case.want) <= ANSWER_BAR
    out = tmp_path / "out"
    run_json("export", case.hub, "--to", "adapterhub", "--out", out)
    told, want = case.load(out, head=True)
    assert not told["missing"] and relative(want, case.want) <= ANSWER_BAR
    assert told["labels"] == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}


@pytest.mark.parametrize("model", ["BertModel", "BertForMaskedLM"])
def test_models_with_and_without_a_head_share_adapters(oracle, model, tmp_path):
    for part in ("own", "other"):
        (tmp_path / part).mkdir()
    own = HubCase(oracle, tmp_path / "own", "bert", model=model)
    got = own.run("--adapter", own.hub)
    used = own.ids.reshape(-1) != 0  # what stands at padding means nothing
    assert relative(got[used], own.want[used]) <= ANSWER_BAR
    other = HubCase(oracle, tmp_path / "other", "bert")
    swapped = other.run("--adapter", own.hub)
    told, want = other.load(own.hub)
    assert not told["missing"] and relative(swapped, want) <= ANSWER_BAR
    told, want = own.load(other.hub)
    got = own.run("--adapter", other.hub)
    assert not told["missing"] and relative(got[used], want[used]) <= ANSWER_BAR


def test_a_language_model_s_own_head_changes_nothing(oracle, tmp_path):
    case = HubCase(oracle, tmp_path, "llama", head=False)
    head = {"lm_head.weight": load_file(case.folder / "model.safetensors")["lm_head.weight"]}
    save_file(head, case.hub / "model_head.safetensors")
    assert relative(case.run("--adapter", case.hub), case.want) <= ANSWER_BAR
    head["lm_head.weight"][0, 0] += 1
    save_file(head, case.hub / "model_head.safetensors")
    case.refused("lm_head.weight")


def test_it_stands_beside_others_but_cannot_be_merged(oracle, tmp_path):
    case = HubCase(oracle, tmp_path, "bert", "houlsby")
    alone = case.run("--adapter", case.hub)
    twice = case.run("--adapter", case.hub, "--adapter", case.hub)
    assert relative(twice, alone) > 1e-2
    done = run("merge", case.folder, "--adapter", case.hub, "--out", tmp_path / "m")
    assert done.returncode == 2 and "cannot be merged" in done.stderr
    assert not (tmp_path / "m").exists()


def test_norms_can_be_trained_on_top_of_it(oracle, tmp_path):
    """The norm that the adapter reads through is none of the model's layers."""
    case = HubCase(oracle, tmp_path, "bert")
    top = tmp_path / "top.safetensors"
    run_json("train", case.folder, *case.data(), "--seq-len", SEQ, "--method",
             "norm", "--precision", "mixed", "--epochs", 1, "--lr", 0.01,
             "--on-top-of", case.hub, "--out", top)  # fmt: skip
    names = load_file(top)
    assert len(names) == 2 * (1 + 2 * 2) and not any("adapter" in n for n in names)


def test_a_pickle_is_refused(oracle, tmp_path):
    case = HubCase(oracle, tmp_path, "bert", pickle=True)
    case.refused("use_safetensors=True")


def test_bad_folders_are_refused_in_one_sentence(oracle, tmp_path):
    case = HubCase(oracle, tmp_path, "bert", "pfeiffer-twice")
    for key, value in {"phm_layer": True, "use_gating": True, "ln_before": True,
                       "ln_after": True, "non_linearity": "mish",
                       "original_ln_after": False, "scaling": "learned",
                       "architecture": "prefix_tuning"}.items():  # fmt: skip
        case.rewrite(**{key: value})
        case.refused(key)
    case.rewrite(inside=False, model_type="gpt2")
    case.refused("bert, llama")
    case.rewrite()
    tensors = load_file(case.hub / "adapter.safetensors")
    kept = {k: v for k, v in tensors.items() if ".layer.1." not in k}
    save_file(kept, case.hub / "adapter.safetensors")
    case.refused("leave layer 1 out")
    kept = dict(tensors, **{"bert.invertible_adapters.theirs.F": tensors.popitem()[1]})
    save_file(kept, case.hub / "adapter.safetensors")
    case.refused("invertible")
    (case.hub / "adapter_config.json").rename(case.hub / "adapter_fusion_config.json")
    case.refused("fusion")


def test_what_adapterhub_has_no_place_for_is_not_written(oracle, tmp_path):
    case = HubCase(oracle, tmp_path, "bert")
    case.targets = ["intermediate.dense"]
    case.settings = {"variant": "houlsby"}
    case.train("--lr", 0.05)
    after, out = tmp_path / "after.safetensors", tmp_path / "out"
    for extra, word in [((), "intermediate"),
                        (("--adapter-dtype", "int8"), "needs --to fieldtune"),
                        (("--adapter-name", "a.b"), "--adapter-name")]:  # fmt: skip
        done = run("export", after, "--to", "adapterhub", "--out", out, *extra)
        assert done.returncode == 2 and word in done.stderr, done.stderr
        assert not out.exists()
