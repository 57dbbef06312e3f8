"""Writes draft_head.json: the logits of the draft heads (multi-token prediction) of the conformance recipes that have one.

They are computed here in float64, the model's hidden states too, from the definitions in llama.cpp's sources (`src/models/qwen35.cpp`,
`graph_mtp`, and `common/speculative.cpp`), without any code of this repository. Run `python3 draft_head.py FOLDER` (it needs numpy), where
FOLDER is the corpus `architectures` of the conformance data. The model's own logits are compared with llama.cpp's, which are there.

A row of the head has a token and the hidden state at the position before it: zeros for the first token, the model's for the
others. After the last one, the head guesses: each row has the best token of the row before it, and that row's own hidden state.
"""

import base64
import json
import math
import pathlib
import sys

import numpy as np

RECIPES = ["qwen35-nextn", "qwen35-array", "qwen35moe-nextn"]
ROWS = [0, 1, 17, 47]  # whose logits are kept; and those of the guesses
GUESSES = 3
M64 = (1 << 64) - 1


def fill(name, shape, rule, seed):
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = ((h ^ b) * 0x100000001B3) & M64
    with np.errstate(over="ignore"):
        z = np.uint64(h ^ seed) + np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (((z >> np.uint64(40)).astype(np.float64) - 2.0**23) / 2.0**23).astype(np.float32)
    x = np.float32(rule[1]) + np.float32(rule[2]) * u
    x = -np.abs(x) if rule[0] == "neg_abs" else x
    return x.astype(np.float64).reshape(shape[::-1])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Model:
    def __init__(self, recipe):
        arch = recipe["architecture"]
        self.keys = {key.removeprefix(arch + "."): value for key, _, value in recipe["metadata"]}
        self.t = {t["name"]: fill(t["name"], t["shape"], t["fill"], recipe["seed"]) for t in recipe["tensors"]}
        self.eps = float(np.float32(self.keys["attention.layer_norm_rms_epsilon"]))
        self.layers = self.keys["block_count"] - self.keys["nextn_predict_layers"]

    def b(self, i, part):
        return self.t[f"blk.{i}.{part}"]

    def lin(self, i, part, x):
        return x @ self.b(i, part + ".weight").T

    def rms(self, x, w):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * w

    def rope(self, x):
        n = self.keys["rope.dimension_count"]
        half = n // 2
        angle = np.arange(len(x))[:, None, None] * self.keys["rope.freq_base"] ** (-2.0 * np.arange(half) / n)
        c, s = np.cos(angle), np.sin(angle)
        y = x.copy()
        y[..., :half] = x[..., :half] * c - x[..., half:n] * s
        y[..., half:n] = x[..., :half] * s + x[..., half:n] * c
        return y

    def attention(self, i, h):
        n_heads, n_kv, hd = (self.keys["attention." + key] for key in ("head_count", "head_count_kv", "key_length"))
        both = self.lin(i, "attn_q", h).reshape(len(h), n_heads, 2 * hd)
        k, v = (self.lin(i, part, h).reshape(len(h), n_kv, hd) for part in ("attn_k", "attn_v"))
        q = self.rope(self.rms(both[..., :hd], self.b(i, "attn_q_norm.weight")))
        k = self.rope(self.rms(k, self.b(i, "attn_k_norm.weight")))
        out = np.zeros((len(h), n_heads, hd))
        for t in range(len(h)):
            for j in range(n_heads):
                kv = j * n_kv // n_heads
                out[t, j] = softmax(k[: t + 1, kv] @ q[t, j] / math.sqrt(hd)) @ v[: t + 1, kv]
        return self.lin(i, "attn_output", (out * sigmoid(both[..., hd:])).reshape(len(h), -1))

    def delta(self, i, h):
        nk, nv, dim, kernel = (self.keys["ssm." + k] for k in ("group_count", "time_step_rank", "state_size", "conv_kernel"))
        kd, n = nk * dim, len(h)
        x = np.concatenate([np.zeros((kernel - 1, 2 * kd + nv * dim)), self.lin(i, "attn_qkv", h)])
        w = self.b(i, "ssm_conv1d.weight")
        y = silu(sum(x[j : j + n] * w[:, j] for j in range(kernel)))
        unit = lambda x: x / np.sqrt((x * x).sum(-1, keepdims=True) + self.eps)
        q, k = (unit(y[:, j * kd : (j + 1) * kd].reshape(n, nk, dim)) for j in (0, 1))
        v = y[:, 2 * kd :].reshape(n, nv, dim)
        beta, alpha = sigmoid(self.lin(i, "ssm_beta", h)), self.lin(i, "ssm_alpha", h)
        decay = np.exp(self.b(i, "ssm_a") * np.log1p(np.exp(alpha + self.b(i, "ssm_dt.bias"))))
        s, out = np.zeros((nv, dim, dim)), np.zeros((n, nv, dim))
        for t in range(n):
            for j in range(nv):
                key = k[t, j % nk]
                s[j] *= decay[t, j]
                s[j] += np.outer(key, beta[t, j] * (v[t, j] - key @ s[j]))
                out[t, j] = q[t, j % nk] @ s[j] / math.sqrt(dim)
        out = self.rms(out, self.b(i, "ssm_norm.weight")).reshape(n, -1) * silu(self.lin(i, "attn_gate", h))
        return self.lin(i, "ssm_out", out)

    def ffn(self, i, f):
        if "expert_count" not in self.keys:
            return self.lin(i, "ffn_down", silu(self.lin(i, "ffn_gate", f)) * self.lin(i, "ffn_up", f))
        shared = self.lin(i, "ffn_down_shexp", silu(self.lin(i, "ffn_gate_shexp", f)) * self.lin(i, "ffn_up_shexp", f))
        out = shared * sigmoid(f @ self.b(i, "ffn_gate_inp_shexp.weight"))[:, None]
        gate, up, down = (self.b(i, f"ffn_{part}_exps.weight") for part in ("gate", "up", "down"))
        for t, p in enumerate(softmax(self.lin(i, "ffn_gate_inp", f))):
            ids = np.argsort(-p, kind="stable")[: self.keys["expert_used_count"]]
            for e in ids:
                out[t] += p[e] / p[ids].sum() * (down[e] @ (silu(gate[e] @ f[t]) * (up[e] @ f[t])))
        return out

    def layer(self, i, x):
        h = self.rms(x, self.b(i, "attn_norm.weight"))
        x = x + (self.attention(i, h) if f"blk.{i}.attn_q.weight" in self.t else self.delta(i, h))
        return x + self.ffn(i, self.rms(x, self.b(i, "post_attention_norm.weight")))

    def run(self, tokens):
        """The hidden states after the last norm, and the logits."""
        x = self.t["token_embd.weight"][tokens]
        for i in range(self.layers):
            x = self.layer(i, x)
        x = self.rms(x, self.t["output_norm.weight"])
        return x, x @ self.t.get("output.weight", self.t["token_embd.weight"]).T

    def head(self, tokens, hidden):
        """The same of the draft head, whose rows have a token and the hidden state before it."""
        i = self.layers
        own = lambda part, other: self.t.get(f"blk.{i}.nextn.{part}.weight", other)
        e = own("embed_tokens", self.t["token_embd.weight"])[tokens]
        joined = [self.rms(e, self.b(i, "nextn.enorm.weight")), self.rms(hidden, self.b(i, "nextn.hnorm.weight"))]
        x = self.layer(i, self.lin(i, "nextn.eh_proj", np.concatenate(joined, axis=-1)))
        x = self.rms(x, own("shared_head_norm", self.t["output_norm.weight"]))
        return x, x @ own("shared_head_head", self.t.get("output.weight", self.t["token_embd.weight"])).T


def case(folder, name):
    recipe = json.loads((folder / f"{name}.json").read_text())
    model, tokens = Model(recipe), list(recipe["tokens"])
    hidden, logits = model.run(tokens)
    expected = np.frombuffer(base64.b64decode(recipe["logits_f32le_base64"]), "<f4").astype(np.float64).reshape(logits.shape)
    nmse = ((logits - expected) ** 2).sum() / (expected**2).sum()
    assert nmse < 1e-9, f"{name}: the model's logits differ from llama.cpp's by {nmse:.1e}"
    n, rows = len(tokens), {}
    before = np.concatenate([np.zeros_like(hidden[:1]), hidden[:-1]])
    after, logits = model.head(tokens, before)
    for row in ROWS:
        rows[row] = logits[row]
    # The first guess follows the model's own choice, whose hidden state is the model's last.
    token, state = int(model.run(tokens)[1][-1].argmax()), hidden[-1]
    for row in range(n, n + GUESSES):
        tokens, before = tokens + [token], np.concatenate([before, state[None]])
        after, logits = model.head(tokens, before)
        rows[row], token, state = logits[row], int(logits[row].argmax()), after[row]
    print(f"{name}: model {nmse:.1e}, guesses {tokens[n:]}")
    rounded = [[row, [round(float(x), 7) for x in values]] for row, values in rows.items()]
    return {"name": name, "tokens": tokens, "n_given": n, "rows": rounded}


folder = pathlib.Path(sys.argv[1])
cases = [json.dumps(case(folder, name), separators=(",", ":")) for name in RECIPES]
pathlib.Path(__file__).with_name("draft_head.json").write_text("[\n" + ",\n".join(cases) + "\n]\n")
