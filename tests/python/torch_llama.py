"""Oracle of decoder models: llama2.c checkpoints and their tokenizer in plain
Python, and the Llama architecture in PyTorch with LoRA beside the projections.
"""

import struct

import numpy as np
import torch
import torch.nn.functional as F

PREFIX = "base_model.model."
PROJECTIONS = [
    *(f"self_attn.{p}_proj" for p in "qkvo"),
    *(f"mlp.{p}_proj" for p in ("gate", "up", "down")),
]


class Checkpoint:
    """A llama2.c file under Hugging Face's names; float64 for `double`."""

    def __init__(self, path, dtype=torch.float32):
        raw = path.read_bytes()
        self.dim, self.hidden, self.layers, self.heads, self.kv_heads, \
            self.vocab, self.seq_len = struct.unpack_from("7i", raw)
        self.head_dim = self.dim // self.heads
        self.eps, self.theta = 1e-5, 10000.0
        self.floats = torch.from_numpy(
            np.frombuffer(raw, np.float32, offset=28).copy()
        ).to(dtype)
        self.at, self.w = 0, {}
        kv = self.kv_heads * self.head_dim
        self.take("model.embed_tokens", [self.vocab, self.dim])
        for name, shape in {
            "input_layernorm": [self.dim],
            "self_attn.q_proj": [self.dim, self.dim],
            "self_attn.k_proj": [kv, self.dim],
            "self_attn.v_proj": [kv, self.dim],
            "self_attn.o_proj": [self.dim, self.dim],
            "post_attention_layernorm": [self.dim],
            "mlp.gate_proj": [self.hidden, self.dim],
            "mlp.down_proj": [self.dim, self.hidden],
            "mlp.up_proj": [self.hidden, self.dim],
        }.items():
            for layer in range(self.layers):
                self.take(f"model.layers.{layer}.{name}", shape)
        self.take("model.norm", [self.dim])

    def take(self, name, shape):
        n = int(np.prod(shape))
        self.w[name] = self.floats[self.at : self.at + n].reshape(shape)
        self.at += n

    def modules(self):
        return [
            f"model.layers.{layer}.{p}"
            for layer in range(self.layers)
            for p in PROJECTIONS
        ]

    def rotations(self, length, dtype):
        """Complex e^(i angle) [length, head_dim / 2]; frequencies and angles in
        float32 as the model was trained with them."""
        steps = torch.arange(0, self.head_dim, 2).float() / self.head_dim
        angles = torch.outer(torch.arange(length).float(), self.theta**-steps)
        angles = angles.to(dtype)
        return torch.polar(torch.ones_like(angles), angles)

    def rope(self, x, turn):
        """x [batch, seq, heads, head_dim]; pairs are neighbours."""
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        turned = torch.view_as_real(pairs * turn[:, None])
        return turned.reshape(x.shape)

    def norm(self, x, name):
        scale = torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return x * scale * self.w[name]

    def logits(self, ids, lora=None, scaling=1.0):
        """ids [batch, seq] -> [batch, seq, vocab]; `lora` holds lora_A and
        lora_B by PEFT's keys without the prefix."""
        lora = lora or {}

        def linear(x, name):
            y = F.linear(x, self.w[name])
            if name + ".lora_A.weight" in lora:
                h = F.linear(x, lora[name + ".lora_A.weight"])
                y = y + scaling * F.linear(h, lora[name + ".lora_B.weight"])
            return y

        batch, seq = ids.shape
        x = self.w["model.embed_tokens"][ids]
        turn = self.rotations(seq, x.dtype)
        split = lambda t: t.reshape(batch, seq, -1, self.head_dim)
        for layer in range(self.layers):
            name = f"model.layers.{layer}."
            h = self.norm(x, name + "input_layernorm")
            q, k, v = (
                split(linear(h, f"{name}self_attn.{p}_proj")) for p in "qkv"
            )
            q, k = self.rope(q, turn), self.rope(k, turn)
            y = F.scaled_dot_product_attention(
                *(t.transpose(1, 2) for t in (q, k, v)),
                is_causal=True,
                enable_gqa=True,
            )
            y = y.transpose(1, 2).reshape(batch, seq, -1)
            x = x + linear(y, name + "self_attn.o_proj")
            h = self.norm(x, name + "post_attention_layernorm")
            gate = F.silu(linear(h, name + "mlp.gate_proj"))
            h = gate * linear(h, name + "mlp.up_proj")
            x = x + linear(h, name + "mlp.down_proj")
        return self.norm(x, "model.norm") @ self.w["model.embed_tokens"].T


class Tokenizer:
    """The definition, by exhaustive search: join the best-scored neighbours
    (the leftmost of equals) until no two form a token."""

    def __init__(self, path, vocab):
        raw, at = path.read_bytes(), 4
        self.texts, self.scores = [], []
        for _ in range(vocab):
            score, length = struct.unpack_from("fi", raw, at)
            at += 8
            self.scores.append(score)
            self.texts.append(raw[at : at + length])
            at += length
        self.ids = {}
        for i, text in enumerate(self.texts):
            self.ids.setdefault(text, i)

    def encode(self, text):
        tokens = [self.ids[b" "]] if text else []
        for character in text:
            piece = character.encode()
            known = self.ids.get(piece)
            tokens += [b + 3 for b in piece] if known is None else [known]
        while self.merge_best(tokens):
            pass
        return [1, *tokens]

    def pair(self, tokens, i):
        """Score and token of tokens i and i + 1 together, or None."""
        if not 0 <= i < len(tokens) - 1:
            return None
        text = self.texts[tokens[i]] + self.texts[tokens[i + 1]]
        merged = self.ids.get(text)
        return None if merged is None else (self.scores[merged], merged)

    def merge_best(self, tokens):
        """Joins the pairs of the best score from left to right, until joining
        made one that is as good. False: there is no pair."""
        pairs = [self.pair(tokens, i) for i in range(len(tokens) - 1)]
        scores = [p[0] for p in pairs if p]
        if not scores:
            return False
        best, i = max(scores), 0
        while i < len(tokens) - 1:
            pair = self.pair(tokens, i)
            if not pair or pair[0] != best:
                i += 1
                continue
            tokens[i : i + 2] = [pair[1]]
            around = [self.pair(tokens, i - 1), self.pair(tokens, i)]
            if any(p and p[0] >= best for p in around):
                break
        return True


def random_lora(model, r, seed, b_bound=0.0):
    """lora_A as PEFT draws it, lora_B uniform in +-b_bound (0: as PEFT)."""
    gen = torch.Generator().manual_seed(seed)
    draw = lambda shape: 2 * torch.rand(shape, generator=gen) - 1
    lora = {}
    for name in model.modules():
        rows, columns = model.w[name].shape
        lora[name + ".lora_A.weight"] = draw([r, columns]) / columns**0.5
        lora[name + ".lora_B.weight"] = draw([rows, r]) * b_bound
    return lora


def windows(tokens, seq_len, stride):
    """[n, seq_len + 1]: inputs and, one further, labels."""
    starts = range(0, len(tokens) - seq_len, stride)
    return torch.tensor([tokens[s : s + seq_len + 1] for s in starts])


def train(model, lora, samples, scaling, lr=1e-3, weight_decay=0.01):
    """Losses of one epoch in order, batch 1, AdamW; changes `lora`."""
    params = [p.requires_grad_() for p in lora.values()]
    optimizer = torch.optim.AdamW(params, lr=lr, weight_decay=weight_decay)
    losses = []
    for sample in samples:
        logits = model.logits(sample[None, :-1], lora, scaling)[0]
        loss = F.cross_entropy(logits, sample[1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
