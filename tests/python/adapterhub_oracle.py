"""AdapterHub's `adapters` library as a process: one JSON request a line on
stdin, one answer a line on stdout.

It needs an older transformers than the other oracles, so it runs beside them
with the packages of requirements-adapterhub.txt in front of sys.path.
"""

import json
import sys

import adapters
import numpy as np
import torch
import transformers
from safetensors.torch import save_file

torch.set_num_threads(1)
NAME = "theirs"
SIZES = {"vocab_size": 67, "num_hidden_layers": 2, "max_position_embeddings": 64}
LLAMA = {"hidden_size": 48, "intermediate_size": 88, "num_attention_heads": 6,
         "num_key_value_heads": 2}  # fmt: skip
BERT = {"hidden_size": 40, "intermediate_size": 72, "num_attention_heads": 5,
        "num_labels": 3}  # fmt: skip


def randomize(params, size, seed):
    gen = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in params:
            p.add_(size * torch.randn(p.shape, generator=gen))


def make_base(kind):
    torch.manual_seed(1)
    if kind == "LlamaForCausalLM":
        config = transformers.LlamaConfig(**SIZES, **LLAMA)
    else:
        config = transformers.BertConfig(**SIZES, **BERT)
    model = getattr(transformers, kind)(config)
    randomize(model.parameters(), 0.15, 2)  # norms and biases too
    return model.eval()


def answers(model, ids):
    """Of every token or of every row of tokens, [rows, columns]."""
    tokens = torch.tensor(ids).long()
    if model.config.model_type == "bert":
        out = model(tokens, attention_mask=(tokens != 0).long())
    else:
        out = model(tokens)
    out = out.logits if hasattr(out, "logits") else out.last_hidden_state
    return out.reshape(-1, out.shape[-1])


def save_answers(model, request):
    with torch.no_grad():
        out = answers(model.double(), np.load(request["ids"]))
    np.save(request["out"], out.numpy())


def make(request):
    """A base, and an adapter of random weights for it, each in a folder."""
    model = make_base(request["kind"])
    model.save_pretrained(request["model"])
    adapters.init(model)
    config = adapters.AdapterConfig.load(request["config"], **request["change"])
    model.add_adapter(NAME, config=config)
    model.set_active_adapters(NAME)
    own = {k: p for k, p in model.named_parameters() if f".{NAME}." in k}
    randomize(own.values(), 0.2, 3)
    if request.get("head"):
        randomize(model.classifier.parameters(), 0.5, 4)
    options = {} if request["kind"] == "BertModel" else {
        "with_head": request.get("head", False)}
    model.save_adapter(request["adapter"], NAME, **options,
                       use_safetensors=not request.get("pickle"))  # fmt: skip
    model.eval()
    save_answers(model, request)
    if "labels" in request:
        out = answers(model, np.load(request["inputs"]))
        labels = torch.tensor(np.load(request["labels"])).long()
        loss = torch.nn.functional.cross_entropy(out, labels)
        grads = torch.autograd.grad(loss, list(own.values()))
        save_file(dict(zip(own, grads)), request["gradients"])


def load(request):
    """What the library's own loader makes of a folder."""
    kind = getattr(transformers, request["kind"])
    model = kind.from_pretrained(request["model"])
    adapters.init(model)
    told = {}
    options = {} if request["kind"] == "BertModel" else {
        "with_head": request.get("head", False)}
    model.load_adapter(request["adapter"], set_active=True, loading_info=told,
                       use_safetensors=True, **options)  # fmt: skip
    model.eval()
    save_answers(model, request)
    return {"missing": told["missing_keys"],
            "surplus": told["unexpected_keys"],
            "labels": getattr(model.config, "label2id", None)}  # fmt: skip


for line in sys.stdin:
    asked = json.loads(line)
    answer = {"make": make, "load": load}[asked.pop("do")](asked)
    print(json.dumps(answer or {}), flush=True)
