"""Every field of PEFT's configurations is honoured, without effect, or refused.

A folder as PEFT writes it is changed in one field at a time and read: what is
honoured changes the adapter that is read, what has no effect (it says how the
adapter was started, trained or stored, or the tensors say the same) does not,
and all else is refused by name. A field that this list does not know, of a
newer PEFT, fails the test.
"""

import dataclasses
import json

import peft
import pytest
import torch
from fieldtune_cli import run
from safetensors.torch import save_file
from small_nets import make_net

HONOURED, NO_EFFECT, REFUSED = "honoured", "no effect", "refused"

# field -> (verdict, a value off default)
COMMON = {
    "task_type": (NO_EFFECT, "SEQ_CLS"),
    "peft_type": (REFUSED, "POLY"),
    "auto_mapping": (NO_EFFECT, {"base_model_class": "Net"}),
    "peft_version": (NO_EFFECT, "99.0"),
    "base_model_name_or_path": (NO_EFFECT, "somebody/base"),
    "revision": (NO_EFFECT, "main"),
    "inference_mode": (NO_EFFECT, False),
    "modules_to_save": (NO_EFFECT, ["fc3"]),
}
TARGETS = {
    "target_modules": (NO_EFFECT, ["fc1"]),
    "exclude_modules": (NO_EFFECT, ["fc3"]),
}
LAYERS = {
    "layers_to_transform": (NO_EFFECT, [0]),
    "layers_pattern": (NO_EFFECT, "layers"),
}
FAN = {"fan_in_fan_out": (REFUSED, True)}
LORA = COMMON | TARGETS | LAYERS | FAN | {
    "r": (HONOURED, 2),
    "lora_alpha": (HONOURED, 3),
    "lora_dropout": (NO_EFFECT, 0.5),
    "bias": (HONOURED, "lora_only"),
    "use_rslora": (HONOURED, True),
    "use_dora": (HONOURED, True),
    "use_qalora": (HONOURED, True),
    "qalora_group_size": (HONOURED, 4),
    "rank_pattern": (NO_EFFECT, {"fc1": 4}),
    "alpha_pattern": (HONOURED, {"fc1": 3}),
    "init_lora_weights": (REFUSED, "pissa"),
    "loftq_config": (NO_EFFECT, {"loftq_bits": 4}),
    "eva_config": (NO_EFFECT, {"rho": 2}),
    "corda_config": (NO_EFFECT, {"corda_method": "ipm"}),
    "lora_ga_config": (NO_EFFECT, {"scale": "stable"}),
    "runtime_config": (NO_EFFECT, {"ephemeral_gpu_offload": True}),
    "megatron_core": (NO_EFFECT, "megatron.other"),
    "megatron_config": (REFUSED, {"hidden_size": 8}),
    "trainable_token_indices": (REFUSED, [1]),
    "velora_config": (REFUSED, {"rank": 1}),
    "alora_invocation_tokens": (REFUSED, [1]),
    "monteclora_config": (REFUSED, {"samples": 2}),
    "layer_replication": (REFUSED, [[0, 2]]),
    "lora_bias": (REFUSED, True),
    "target_parameters": (REFUSED, ["fc1.weight"]),
    "use_bdlora": (REFUSED, {"blocks": 2}),
    "arrow_config": (REFUSED, {"top_k": 2}),
    "kasa_config": (REFUSED, {"beta": 1}),
    "ensure_weight_tying": (REFUSED, True),
}  # fmt: skip
ADALORA = LORA | {
    "r": (NO_EFFECT, 2),
    "init_r": (REFUSED, 3),  # the tensors contradict
    "use_rslora": (REFUSED, True),
    "use_dora": (REFUSED, True),
    "use_qalora": (REFUSED, True),
    "qalora_group_size": (NO_EFFECT, 4),
    "rank_pattern": (REFUSED, {"fc1.lora_E": [True] + [False] * 3}),
    "target_r": (HONOURED, 2),
    "tinit": (HONOURED, 2),
    "tfinal": (HONOURED, 2),
    "deltaT": (HONOURED, 3),
    "beta1": (HONOURED, 0.5),
    "beta2": (HONOURED, 0.5),
    "orth_reg_weight": (HONOURED, 0.1),
    "total_step": (HONOURED, 77),
}
VERA = COMMON | LAYERS | FAN | {
    "target_modules": (NO_EFFECT, ["fc1"]),
    "r": (HONOURED, 2),
    "projection_prng_key": (HONOURED, 7),  # noted only
    "save_projection": (NO_EFFECT, False),
    "vera_dropout": (NO_EFFECT, 0.5),
    "d_initial": (HONOURED, 0.5),  # noted only
    "init_weights": (NO_EFFECT, False),
    "bias": (REFUSED, "vera_only"),
}  # fmt: skip
IA3 = COMMON | TARGETS | FAN | {
    "feedforward_modules": (REFUSED, ["fc3"]),  # the shapes contradict
    "init_ia3_weights": (NO_EFFECT, False),
}  # fmt: skip
VIRTUAL = COMMON | {
    "inference_mode": (NO_EFFECT, True),
    "task_type": (HONOURED, "SEQ_CLS"),
    "num_virtual_tokens": (REFUSED, 9),  # the tensor contradicts
    "token_dim": (HONOURED, 16),
    "num_attention_heads": (HONOURED, 4),
    "num_layers": (HONOURED, 3),
    "num_transformer_submodules": (REFUSED, 2),
}
PROMPT = VIRTUAL | {
    "prompt_tuning_init": (NO_EFFECT, "TEXT"),
    "prompt_tuning_init_text": (NO_EFFECT, "To be"),
    "tokenizer_name_or_path": (NO_EFFECT, "somebody/base"),
    "tokenizer_kwargs": (NO_EFFECT, {"use_fast": True}),
}
PREFIX = VIRTUAL | {
    "init_weights": (NO_EFFECT, "random"),
    "encoder_hidden_size": (NO_EFFECT, 8),
    "prefix_projection": (NO_EFFECT, True),
}
WHOLE = dict(num_virtual_tokens=4, token_dim=8, num_layers=2,
             num_attention_heads=2, num_transformer_submodules=1,
             task_type="CAUSAL_LM")  # fmt: skip
WRAPS = {"target_modules": ["fc1", "fc3"]}
TYPES = {
    "LoraConfig": (LORA, {"r": 4, **WRAPS}),
    "AdaLoraConfig": (
        ADALORA,
        {"init_r": 4, "target_r": 3, "total_step": 99, **WRAPS},
    ),
    "VeraConfig": (VERA, {"r": 3, **WRAPS}),
    "IA3Config": (IA3, {"feedforward_modules": [], **WRAPS}),
    "LNTuningConfig": (COMMON | TARGETS, {"target_modules": ["norm"]}),
    "PromptTuningConfig": (PROMPT, WHOLE),
    "PrefixTuningConfig": (PREFIX, WHOLE),
}


def write(name, folder):
    """The folder that PEFT writes with the fields at their defaults."""
    config = getattr(peft, name)(**TYPES[name][1])
    if TYPES[name][1] is WHOLE:
        config.save_pretrained(folder)
        columns = 8 if name.startswith("Prompt") else 2 * 2 * 8
        tensors = {"prompt_embeddings": torch.ones(4, columns)}
        save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
        return
    net = make_net("mlp")
    if name == "LNTuningConfig":
        net.add_module("norm", torch.nn.LayerNorm(4))
    peft.get_peft_model(net, config).save_pretrained(folder)


@pytest.fixture(scope="module", params=TYPES)
def case(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write(request.param, folder)
    return request.param, folder


def test_the_list_knows_every_field(case):
    """Where this fails, PEFT has a new field: say what it means to us."""
    fields = {f.name for f in dataclasses.fields(getattr(peft, case[0]))}
    assert fields == TYPES[case[0]][0].keys()


def read(folder, settings):
    """What fieldtune reads of the folder with these settings: the bytes of its
    own adapter file, or its complaint."""
    (folder / "adapter_config.json").write_text(json.dumps(settings))
    out = folder / "out.safetensors"
    done = run("export", folder, "--to", "fieldtune", "--out", out)
    if done.returncode != 0:
        assert done.returncode == 3, done.stderr
        return done.stderr
    content = out.read_bytes()
    out.unlink()
    return content


def test_every_field_is_honoured_without_effect_or_refused(case):
    name, folder = case
    config = folder / "adapter_config.json"
    text = config.read_text()
    settings = json.loads(text)
    plain = read(folder, settings)
    assert isinstance(plain, bytes), plain
    for field, (verdict, value) in TYPES[name][0].items():
        assert settings.get(field) != value, field
        got = read(folder, settings | {field: value})
        if verdict == REFUSED:
            assert isinstance(got, str) and field in got, (field, got)
            assert got.count("\n") == 1, got
        else:
            assert isinstance(got, bytes), (field, got)
            assert (got == plain) == (verdict == NO_EFFECT), field
    unknown = read(folder, settings | {"use_newest_trick": 0.5})
    assert "use_newest_trick" in unknown
    config.write_text(text)


@pytest.mark.parametrize("init", ["pissa", "pissa_niter_4", "olora", "corda", "loftq"])
def test_refuses_adapters_whose_start_was_taken_out_of_the_base(init, tmp_path):
    write("LoraConfig", tmp_path)
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    got = read(tmp_path, settings | {"init_lora_weights": init})
    assert "init_lora_weights" in got and init in got


@pytest.mark.parametrize("init", [False, "gaussian", "eva", "mica", "lora_ga"])
def test_takes_adapters_that_only_started_otherwise(init, tmp_path):
    write("LoraConfig", tmp_path)
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    plain = read(tmp_path, settings)
    assert read(tmp_path, settings | {"init_lora_weights": init}) == plain
