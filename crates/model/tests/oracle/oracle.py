"""Writes oracle.json: small models of what no recipe of the conformance corpus has, and their logits.

The logits are computed here in float64, from the definitions in the models' papers and llama.cpp's sources, without any code of
this repository. Run `python3 oracle.py` (it needs numpy) after changing a case. The weights follow the rule of the
conformance recipes: see `uniform` in ../common/mod.rs.
"""

import json
import math

import numpy as np

E, H, KV, HD, FF, V, FFE, N, EPS = 64, 4, 2, 16, 96, 96, 32, 8, 1e-5
TOKENS = [3, 17, 55, 9, 80, 41, 2, 66, 30, 12, 95, 7]
SEED = 5
M64 = (1 << 64) - 1
SHAPES = {
    "attn_norm": [E], "ffn_norm": [E], "post_attention_norm": [E], "post_ffw_norm": [E], "attn_sub_norm": [E],
    "ffn_sub_norm": [FF], "attn_q_norm": [HD], "attn_k_norm": [HD], "attn_sinks": [H], "exp_probs_b": [N],
    "attn_q": [E, E], "attn_k": [E, KV * HD], "attn_v": [E, KV * HD], "attn_qkv": [E, E + 2 * KV * HD],
    "attn_output": [E, E], "ffn_gate": [E, FF], "ffn_up": [E, FF], "ffn_down": [FF, E], "ffn_gate_inp": [E, N],
    "ffn_gate_exps": [E, FFE, N], "ffn_up_exps": [E, FFE, N], "ffn_down_exps": [FFE, E, N],
    "ffn_gate_up_exps": [E, 2 * FFE, N], "ffn_gate_shexp": [E, FFE], "ffn_up_shexp": [E, FFE],
    "ffn_down_shexp": [FFE, E], "fused_shexp": [E, 2 * FFE],
}


def values(name, shape, fill):
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = ((h ^ b) * 0x100000001B3) & M64
    with np.errstate(over="ignore"):
        z = np.uint64(h ^ SEED) + np.arange(1, math.prod(shape) + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    u = (((z >> np.uint64(40)).astype(np.float64) - 2.0**23) / 2.0**23).astype(np.float32)
    x = np.float32(fill[1]) + np.float32(fill[2]) * u
    return x.astype(np.float64).reshape(shape[::-1])


class Case:
    """A model: `parts` are the tensors of a layer (for each layer, or one list for all); `keys` have no architecture."""

    def __init__(self, name, arch, parts, keys, top=("output_norm.weight",), global_keys=(), layers=2, extra=()):
        per_layer = parts if isinstance(parts[0], list) else [parts] * layers
        self.name, self.layers = name, layers
        base = {"context_length": 256, "embedding_length": E, "block_count": layers, "feed_forward_length": FF,
                "attention.head_count": H, "attention.head_count_kv": KV}
        base.update(keys)
        self.keys = {**base, **dict(global_keys)}
        typed = lambda v: ("bool" if isinstance(v, bool) else "uint32" if isinstance(v, int) else "float32" if isinstance(v, float)
                           else "array:float32" if isinstance(v[0], float) else "array:uint32")
        meta = [["general.architecture", "string", arch]]
        meta += [[f"{arch}.{k}", typed(v), v] for k, v in base.items()]
        meta += [[k, typed(v), v] for k, v in dict(global_keys).items()]
        tensors = [("token_embd.weight", [E, V])]
        tensors += [(t, [V] if t == "output.bias" else [E, V] if t == "output.weight" else [E]) for t in top]
        for i, parts in enumerate(per_layer):
            for part in parts:
                stem, _, kind = part.partition(".")
                shape = SHAPES["fused_shexp" if stem == "ffn_up_shexp" and "ffn_gate_shexp" not in parts else stem]
                tensors.append((f"blk.{i}.{stem}.{kind or 'weight'}", shape if not kind or len(shape) == 1 else shape[1:]))
        tensors += list(extra)
        self.json, self.t = [], {}
        for name, shape in tensors:
            norm = "norm" in name and not name.endswith(".bias")
            fill = ["affine", 1.0 if norm else 0.0, 0.2]
            self.json.append({"name": name, "shape": shape, "type": "F32", "fill": fill})
            self.t[name] = values(name, shape, fill)
        self.meta, self.arch = meta, arch

    def b(self, i, part, kind="weight"):
        return self.t.get(f"blk.{i}.{part}.{kind}")

    def lin(self, i, part, x):
        y, bias = x @ self.b(i, part).T, self.b(i, part, "bias")
        return y if bias is None else y + bias

    def write(self, logits):
        return {"name": self.name, "architecture": self.arch, "seed": SEED, "n_vocab": V, "metadata": self.meta,
                "tensors": self.json, "tokens": TOKENS, "logits": [round(float(x), 6) for x in logits[-1]]}


sigmoid = lambda x: 1 / (1 + np.exp(-x))
silu = lambda x: x * sigmoid(x)
relu = lambda x: np.maximum(x, 0)
relu2 = lambda x: relu(x) ** 2
gelu = lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def rms(x, w=None):
    y = x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS)
    return y if w is None else y * w


def layer_norm(x, w, b):
    d = x - x.mean(-1, keepdims=True)
    y = d / np.sqrt((d * d).mean(-1, keepdims=True) + EPS) * w
    return y if b is None else y + b


def rope(x, halves=True, base=10000.0):
    angle = np.arange(len(x))[:, None, None] * base ** (-2.0 * np.arange(HD // 2) / HD)
    c, s = np.cos(angle), np.sin(angle)
    a, b = (x[..., : HD // 2], x[..., HD // 2 :]) if halves else (x[..., 0::2], x[..., 1::2])
    y = np.empty_like(x)
    if halves:
        y[..., : HD // 2], y[..., HD // 2 :] = a * c - b * s, a * s + b * c
    else:
        y[..., 0::2], y[..., 1::2] = a * c - b * s, a * s + b * c
    return y


def attend(q, k, v, window=0, sinks=None):
    out = np.zeros((len(q), H, HD))
    for t in range(len(q)):
        first = max(0, t + 1 - window) if window else 0
        for h in range(H):
            score = k[first : t + 1, h * KV // H] @ q[t, h] / math.sqrt(HD)
            sink = [] if sinks is None else [sinks[h]]
            p = softmax(np.concatenate([score, sink]))[: len(score)]
            out[t, h] = p @ v[first : t + 1, h * KV // H]
    return out.reshape(len(q), -1)


def qkv(c, i, h):
    if c.b(i, "attn_qkv") is not None:
        y = c.lin(i, "attn_qkv", h)
        y = y[:, :E], y[:, E : E + KV * HD], y[:, E + KV * HD :]
    else:
        y = [c.lin(i, part, h) for part in ("attn_q", "attn_k", "attn_v")]
    return [x.reshape(len(h), -1, HD) for x in y]


def head_norms(c, i, q, k):
    return rms(q, c.b(i, "attn_q_norm")), rms(k, c.b(i, "attn_k_norm"))


def mixture(c, i, x, logits, weigh, act=silu):
    """`weigh(row of logits)` gives (expert, weight) pairs."""
    out = np.zeros_like(x)
    for t, row in enumerate(logits):
        for e, w in weigh(row):
            fused = c.b(i, "ffn_gate_up_exps")
            gate, up = (fused[e][:FFE], fused[e][FFE:]) if fused is not None else (c.b(i, "ffn_gate_exps")[e], c.b(i, "ffn_up_exps")[e])
            out[t] += w * (c.b(i, "ffn_down_exps")[e] @ (act(gate @ x[t]) * (up @ x[t])))
    return out


def dense(c, i, x, act=silu):
    return c.lin(i, "ffn_down", act(c.lin(i, "ffn_gate", x)) * c.lin(i, "ffn_up", x))


def run(c, layer, norm=rms, head="output.weight"):
    x = c.t["token_embd.weight"][TOKENS]
    for i in range(c.layers - c.keys.get("nextn_predict_layers", 0)):
        x = layer(c, i, x)
    bias = c.t.get("output_norm.bias")
    x = norm(x, c.t["output_norm.weight"]) if bias is None else norm(x, c.t["output_norm.weight"], bias)
    return c.write(x @ c.t.get(head, c.t["token_embd.weight"]).T)


ATTENTION = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"]
DENSE = ["ffn_norm", "ffn_gate", "ffn_up", "ffn_down"]
EXPERTS = ["ffn_norm", "ffn_gate_inp", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"]
OWN = ("output_norm.weight", "output.weight")
RMS = {"attention.layer_norm_rms_epsilon": EPS}
LAYER = {"attention.layer_norm_epsilon": EPS}


def apertus():
    xielu = {"alpha_n": [0.8, 0.9], "alpha_p": [0.7, 1.1], "beta": [0.5, 0.4], "eps": [-1e-6, -1e-6]}
    parts = ATTENTION + ["attn_q_norm", "attn_k_norm", "ffn_norm", "ffn_up", "ffn_down"]
    c = Case("apertus", "apertus", parts, RMS, OWN, {f"xielu.{k}": v for k, v in xielu.items()})

    def layer(c, i, x):
        h = rms(x, c.b(i, "attn_norm"))
        q, k, v = qkv(c, i, h)
        q, k = head_norms(c, i, q, k)
        x = x + c.lin(i, "attn_output", attend(rope(q), rope(k), v))
        an, ap, beta, eps = (xielu[k][i] for k in ("alpha_n", "alpha_p", "beta", "eps"))
        act = lambda u: np.where(u > 0, ap * u * u + beta * u, (np.expm1(np.minimum(u, eps)) - u) * an + beta * u)
        return x + c.lin(i, "ffn_down", act(c.lin(i, "ffn_up", rms(x, c.b(i, "ffn_norm")))))

    return run(c, layer)


def bitnet():
    c = Case("bitnet", "bitnet", ATTENTION + DENSE + ["attn_sub_norm", "ffn_sub_norm"], RMS)

    def layer(c, i, x):
        q, k, v = qkv(c, i, rms(x, c.b(i, "attn_norm")))
        x = x + c.lin(i, "attn_output", rms(attend(rope(q), rope(k), v), c.b(i, "attn_sub_norm")))
        f = rms(x, c.b(i, "ffn_norm"))
        inner = silu(c.lin(i, "ffn_gate", f)) * c.lin(i, "ffn_up", f)
        return x + c.lin(i, "ffn_down", rms(inner, c.b(i, "ffn_sub_norm")))

    return run(c, layer)


def groups():
    """Ling 2: 4 groups of 2 experts of which 2 are used, 3 experts a token, a dense layer first, a block that predicts."""
    attention = ["attn_norm", "attn_qkv", "attn_output", "attn_q_norm", "attn_k_norm"]
    shared = ["ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp", "exp_probs_b.bias"]
    routed = attention + EXPERTS + shared
    keys = {**RMS, "expert_count": N, "expert_used_count": 3, "expert_feed_forward_length": FFE, "expert_shared_count": 1,
            "expert_gating_func": 2, "expert_weights_norm": True, "expert_weights_scale": 2.5, "expert_group_count": 4,
            "expert_group_used_count": 2, "leading_dense_block_count": 1, "nextn_predict_layers": 1}
    c = Case("groups of experts, a predicting block", "bailingmoe2", [attention + DENSE, routed, routed], keys, OWN, layers=3)

    def weigh(row):
        p = sigmoid(row)
        choice = p + c.b(1, "exp_probs_b", "bias")
        kept = np.argsort(-choice.reshape(4, 2).sum(1), kind="stable")[:2]
        choice = np.where(np.isin(np.arange(N) // 2, kept), choice, -np.inf)
        ids = np.argsort(-choice, kind="stable")[:3]
        return zip(ids, 2.5 * p[ids] / p[ids].sum())

    def layer(c, i, x):
        q, k, v = qkv(c, i, rms(x, c.b(i, "attn_norm")))
        q, k = head_norms(c, i, q, k)
        x = x + c.lin(i, "attn_output", attend(rope(q), rope(k), v))
        f = rms(x, c.b(i, "ffn_norm"))
        if i == 0:
            return x + dense(c, i, f)
        inner = silu(c.lin(i, "ffn_gate_shexp", f)) * c.lin(i, "ffn_up_shexp", f)
        return x + mixture(c, i, f, c.lin(i, "ffn_gate_inp", f), weigh) + c.lin(i, "ffn_down_shexp", inner)

    return run(c, layer)


def top(row, n):
    p = softmax(row)
    ids = np.argsort(-p, kind="stable")[:n]
    return zip(ids, p[ids] / p[ids].sum())


def granite_swa():
    """Fused experts and a fused shared expert, sinks, a window in layer 0, no rotation in layer 1."""
    parts = ATTENTION + ["attn_sinks", "ffn_norm", "ffn_gate_inp", "ffn_gate_up_exps", "ffn_down_exps", "ffn_up_shexp",
                         "ffn_down_shexp"]
    keys = {**RMS, "feed_forward_length": FFE, "expert_count": N, "expert_used_count": 2, "logit_scale": 2.0,
            "expert_shared_feed_forward_length": FFE, "attention.sliding_window": 4,
            "attention.sliding_window_pattern": [1, 0], "attention.rope_pattern": [1, 0]}
    c = Case("granite_swa with fused experts", "granite_swa", parts, keys, OWN)

    def layer(c, i, x):
        q, k, v = qkv(c, i, rms(x, c.b(i, "attn_norm")))
        if i == 0:
            q, k = rope(q, False), rope(k, False)
        x = x + c.lin(i, "attn_output", attend(q, k, v, 4 if i == 0 else 0, c.b(i, "attn_sinks")))
        f = rms(x, c.b(i, "ffn_norm"))
        u = c.lin(i, "ffn_up_shexp", f)
        shared = c.lin(i, "ffn_down_shexp", silu(u[:, :FFE]) * u[:, FFE:])
        return x + mixture(c, i, f, c.lin(i, "ffn_gate_inp", f), lambda row: top(row, 2)) + shared

    r = run(c, layer)
    r["logits"] = [round(x / 2, 6) for x in r["logits"]]
    return r


def smallthinker():
    """Windows, and no rotation in layer 0; the router reads the layer's input."""
    keys = {**RMS, "expert_count": N, "expert_used_count": 2, "expert_feed_forward_length": FFE, "expert_gating_func": 1,
            "attention.sliding_window": 4, "rope.freq_base_swa": 500.0}
    c = Case("smallthinker with windows", "smallthinker", ATTENTION + EXPERTS, keys)

    def layer(c, i, x):
        logits = c.lin(i, "ffn_gate_inp", x)
        q, k, v = qkv(c, i, rms(x, c.b(i, "attn_norm")))
        if i % 4 != 0:
            q, k = rope(q, base=500.0), rope(k, base=500.0)
        x = x + c.lin(i, "attn_output", attend(q, k, v, 4 if i % 4 != 0 else 0))
        return x + mixture(c, i, rms(x, c.b(i, "ffn_norm")), logits, lambda row: top(row, 2), relu)

    return run(c, layer)


def gptneox():
    """Both halves in parallel, each with its norm."""
    biased = lambda parts: [q for p in parts for q in (p, p + ".bias")]
    parts = biased(["attn_norm", "attn_qkv", "attn_output", "ffn_norm", "ffn_up", "ffn_down"])
    c = Case("gptneox in parallel", "gptneox", parts, {**LAYER, "use_parallel_residual": True},
             OWN + ("output_norm.bias",))

    def layer(c, i, x):
        q, k, v = qkv(c, i, layer_norm(x, c.b(i, "attn_norm"), c.b(i, "attn_norm", "bias")))
        f = layer_norm(x, c.b(i, "ffn_norm"), c.b(i, "ffn_norm", "bias"))
        f = c.lin(i, "ffn_down", gelu(c.lin(i, "ffn_up", f)))
        return x + c.lin(i, "attn_output", attend(rope(q), rope(k), v)) + f

    return run(c, layer, layer_norm)


def hunyuan():
    """A stretched base, norms after the rotation."""
    c = Case("hunyuan with alpha", "hunyuan-dense", ATTENTION + ["attn_q_norm", "attn_k_norm"] + DENSE,
             {**RMS, "rope.scaling.alpha": 50.0})
    base = 10000.0 * 50.0 ** (HD / (HD - 2))

    def layer(c, i, x):
        q, k, v = qkv(c, i, rms(x, c.b(i, "attn_norm")))
        q, k = head_norms(c, i, rope(q, base=base), rope(k, base=base))
        x = x + c.lin(i, "attn_output", attend(q, k, v))
        return x + dense(c, i, rms(x, c.b(i, "ffn_norm")))

    return run(c, layer)


def mimo2():
    """Scaled values, sinks in layer 0, a window in layer 1, sigmoid routing with a bias for the choice."""
    routed = EXPERTS + ["exp_probs_b.bias"]
    keys = {**RMS, "expert_count": N, "expert_used_count": 2, "expert_feed_forward_length": FFE,
            "attention.value_scale": 0.5, "attention.sliding_window": 4, "attention.sliding_window_pattern": [0, 1],
            "rope.freq_base": 50000.0}
    c = Case("mimo2 with scaled values", "mimo2", [ATTENTION + ["attn_sinks"] + routed, ATTENTION + routed], keys, OWN)

    def layer(c, i, x):
        q, k, v = qkv(c, i, rms(x, c.b(i, "attn_norm")))
        base = 10000.0 if i == 1 else 50000.0
        heads = attend(rope(q, base=base), rope(k, base=base), 0.5 * v, 4 if i == 1 else 0, c.b(i, "attn_sinks"))
        x = x + c.lin(i, "attn_output", heads)
        f = rms(x, c.b(i, "ffn_norm"))

        def weigh(row):
            p = sigmoid(row)
            ids = np.argsort(-(p + c.b(i, "exp_probs_b", "bias")), kind="stable")[:2]
            return zip(ids, p[ids] / p[ids].sum())

        return x + mixture(c, i, f, c.lin(i, "ffn_gate_inp", f), weigh)

    return run(c, layer)


def v_norm():
    """A Llama whose V is normed head by head without weights; its architecture is the test's own."""
    c = Case("a norm of V", "own", ATTENTION + DENSE, RMS)

    def layer(c, i, x):
        q, k, v = qkv(c, i, rms(x, c.b(i, "attn_norm")))
        x = x + c.lin(i, "attn_output", attend(rope(q, False), rope(k, False), rms(v)))
        return x + dense(c, i, rms(x, c.b(i, "ffn_norm")))

    return run(c, layer)


def conv(c, i, name, x, bias=None):
    """The causal convolution of each channel, then SiLU."""
    w = c.t[f"blk.{i}.{name}.weight"]
    padded = np.concatenate([np.zeros((w.shape[1] - 1, x.shape[1])), x])
    y = np.stack([(padded[t : t + w.shape[1]].T * w).sum(1) for t in range(len(x))])
    return silu(y if bias is None else y + bias)


def falcon_mamba():
    """Mamba whose steps, B and C are normed without weights."""
    d, n, rank = 2 * E, 16, 32
    parts = {"ssm_in.weight": [E, 2 * d], "ssm_conv1d.weight": [4, d], "ssm_conv1d.bias": [d], "ssm_x.weight": [d, rank + 2 * n],
             "ssm_dt.weight": [rank, d], "ssm_dt.bias": [d], "ssm_a": [n, d], "ssm_d": [d], "ssm_out.weight": [d, E]}
    keys = {**RMS, "attention.head_count": 0, "attention.head_count_kv": 0, "feed_forward_length": 0, "ssm.inner_size": d,
            "ssm.state_size": n, "ssm.time_step_rank": rank, "ssm.conv_kernel": 4, "ssm.dt_b_c_rms": True}
    extra = [(f"blk.{i}.{part}", shape) for i in range(2) for part, shape in parts.items()]
    c = Case("mamba with normed steps", "mamba", ["attn_norm"], keys, extra=extra)

    def layer(c, i, x):
        xz = c.lin(i, "ssm_in", rms(x, c.b(i, "attn_norm")))
        u, z = conv(c, i, "ssm_conv1d", xz[:, :d], c.b(i, "ssm_conv1d", "bias")), xz[:, d:]
        dbc = c.lin(i, "ssm_x", u)
        dt = np.log1p(np.exp(c.lin(i, "ssm_dt", rms(dbc[:, :rank]))))
        b, cc = rms(dbc[:, rank : rank + n]), rms(dbc[:, rank + n :])
        h, y = np.zeros((d, n)), []
        for t in range(len(x)):
            h = h * np.exp(dt[t][:, None] * c.t[f"blk.{i}.ssm_a"]) + (dt[t] * u[t])[:, None] * b[t]
            y.append(h @ cc[t] + c.t[f"blk.{i}.ssm_d"] * u[t])
        return x + c.lin(i, "ssm_out", np.stack(y) * silu(z))

    return run(c, layer)


def qwen3next():
    """Two heads of V for each of K, one after the other; a layer of attention with gates beside its queries."""
    nk, nv, dim = 2, 4, 16
    kd, vd = nk * dim, nv * dim
    parts = {"attn_qkv.weight": [E, 2 * kd + vd], "attn_gate.weight": [E, vd], "ssm_conv1d.weight": [4, 2 * kd + vd],
             "ssm_ba.weight": [E, 2 * nv], "ssm_dt.bias": [nv], "ssm_a": [nv], "ssm_norm.weight": [dim], "ssm_out.weight": [vd, E]}
    extra = [(f"blk.0.{part}", shape) for part, shape in parts.items()] + [("blk.1.attn_q.weight", [E, 2 * E])]
    extra += [(f"blk.{i}.ffn_gate_inp_shexp.weight", [E]) for i in range(2)]
    routed = ["attn_norm", "post_attention_norm"] + EXPERTS[1:] + ["ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"]
    full = ["attn_k", "attn_v", "attn_output", "attn_q_norm", "attn_k_norm"]
    keys = {**RMS, "attention.recurrent_layers": [1, 0], "ssm.inner_size": vd, "ssm.state_size": dim, "ssm.time_step_rank": nv,
            "ssm.group_count": nk, "ssm.conv_kernel": 4, "expert_count": N, "expert_used_count": 2,
            "expert_feed_forward_length": FFE, "expert_shared_feed_forward_length": FFE}
    c = Case("qwen3next with groups of heads", "qwen3next", [routed, routed + full], keys, extra=extra)
    unit = lambda x: x / np.sqrt((x * x).sum(-1, keepdims=True) + EPS)

    def delta(c, i, h):
        y = conv(c, i, "ssm_conv1d", c.lin(i, "attn_qkv", h))
        q, k = (unit(y[:, j * kd : (j + 1) * kd].reshape(len(h), nk, dim)) for j in (0, 1))
        v = y[:, 2 * kd :].reshape(len(h), nv, dim)
        ba = c.lin(i, "ssm_ba", h).reshape(len(h), nk, 2, nv // nk)
        beta, alpha = sigmoid(ba[:, :, 0].reshape(len(h), nv)), ba[:, :, 1].reshape(len(h), nv)
        decay = np.exp(c.t[f"blk.{i}.ssm_a"] * np.log1p(np.exp(alpha + c.b(i, "ssm_dt", "bias"))))
        s, out = np.zeros((nv, dim, dim)), np.zeros((len(h), nv, dim))
        for t in range(len(h)):
            for j in range(nv):
                s[j] *= decay[t, j]
                key = k[t, j * nk // nv]
                s[j] += np.outer(key, beta[t, j] * (v[t, j] - key @ s[j]))
                out[t, j] = q[t, j * nk // nv] @ s[j] / math.sqrt(dim)
        out = rms(out, c.b(i, "ssm_norm")).reshape(len(h), vd) * silu(c.lin(i, "attn_gate", h))
        return c.lin(i, "ssm_out", out)

    def attention(c, i, h):
        both = c.lin(i, "attn_q", h).reshape(len(h), H, 2 * HD)
        k, v = (c.lin(i, part, h).reshape(len(h), KV, HD) for part in ("attn_k", "attn_v"))
        q, k = head_norms(c, i, both[..., :HD], k)
        heads = attend(rope(q), rope(k), v) * sigmoid(both[..., HD:]).reshape(len(h), -1)
        return c.lin(i, "attn_output", heads)

    def layer(c, i, x):
        h = rms(x, c.b(i, "attn_norm"))
        x = x + (delta(c, i, h) if i == 0 else attention(c, i, h))
        f = rms(x, c.b(i, "post_attention_norm"))

        def weigh(row):
            p = softmax(row)
            ids = np.argsort(-p, kind="stable")[:2]
            return zip(ids, p[ids] / p[ids].sum())

        shared = c.lin(i, "ffn_down_shexp", silu(c.lin(i, "ffn_gate_shexp", f)) * c.lin(i, "ffn_up_shexp", f))
        shared *= sigmoid(f @ c.b(i, "ffn_gate_inp_shexp"))[:, None]
        return x + mixture(c, i, f, c.lin(i, "ffn_gate_inp", f), weigh) + shared

    return run(c, layer)


def nemotron_h_moe():
    """A layer of attention alone, one of experts alone: ungated, sigmoid routing with a bias of the choice, a shared one."""
    routed = ["attn_norm", "ffn_gate_inp", "ffn_up_exps", "ffn_down_exps", "exp_probs_b.bias", "ffn_up_shexp", "ffn_down_shexp"]
    keys = {**RMS, "feed_forward_length": [0, FFE], "attention.head_count": H, "attention.head_count_kv": [KV, 0],
            "ssm.inner_size": E, "ssm.state_size": 16, "ssm.time_step_rank": 4, "ssm.group_count": 2, "ssm.conv_kernel": 4,
            "expert_count": N, "expert_used_count": 2, "expert_feed_forward_length": FFE, "expert_weights_norm": True,
            "expert_weights_scale": 2.5, "expert_shared_feed_forward_length": 2 * FFE}
    SHAPES["ffn_down_shexp"] = [2 * FFE, E]
    c = Case("nemotron_h with experts", "nemotron_h_moe", [ATTENTION, routed], keys)
    SHAPES["ffn_down_shexp"] = [FFE, E]

    def layer(c, i, x):
        h = rms(x, c.b(i, "attn_norm"))
        if i == 0:
            return x + c.lin(i, "attn_output", attend(*qkv(c, i, h)))
        logits, out = c.lin(i, "ffn_gate_inp", h), np.zeros_like(x)
        for t, row in enumerate(sigmoid(logits)):
            ids = np.argsort(-(row + c.b(i, "exp_probs_b", "bias")), kind="stable")[:2]
            for e, w in zip(ids, row[ids] / row[ids].sum() * 2.5):
                out[t] += w * (c.b(i, "ffn_down_exps")[e] @ relu2(c.b(i, "ffn_up_exps")[e] @ h[t]))
        return x + out + c.lin(i, "ffn_down_shexp", relu2(c.lin(i, "ffn_up_shexp", h)))

    return run(c, layer)


def shifted(x):
    """Each row less than the one before it."""
    return np.concatenate([np.zeros((1, x.shape[1])), x[:-1]]) - x


def time_mix7(c, i, x, first, size):
    """The time mix of RWKV-7, and its values for the layers after the first."""
    w = lambda part: c.b(i, "time_mix_" + part)
    lerp = w("lerp_fused").reshape(-1, E)
    r, wx, kx, vx, ax, *gx = (x + shifted(x) * m for m in lerp)
    low = lambda part, h, act=lambda y: y: act(h @ w(part + "1").T) @ w(part + "2").T
    r, k, v = r @ w("receptance").T, kx @ w("key").T, vx @ w("value").T
    decay = np.exp(-math.exp(-0.5) * sigmoid(w("w0") + low("w", wx, np.tanh)))
    if first is not None:
        v = v + (first - v) * sigmoid(w("v0") + low("v", vx))
    rate = sigmoid(w("a0") + low("a", ax))
    heads = lambda y: y.reshape(len(x), -1, size)
    unit = heads(k * w("k_k"))
    unit = unit / np.sqrt((unit * unit).sum(-1, keepdims=True))
    key = heads(k * (1 + (rate - 1) * w("k_a")))
    state, out = np.zeros((E // size, size, size)), np.zeros((len(x), E // size, size))
    for t in range(len(x)):
        for h in range(E // size):
            # [channel of V][channel of K]
            s, u = state[h], unit[t, h]
            s = s * heads(decay)[t, h] - np.outer(s @ u, u * heads(rate)[t, h]) + np.outer(heads(v)[t, h], key[t, h])
            state[h], out[t, h] = s, s @ heads(r)[t, h]
    if w("ln") is not None:
        d = out - out.mean(-1, keepdims=True)
        out = d / np.sqrt((d * d).mean(-1, keepdims=True) + 64e-5)
        out = out * w("ln").reshape(-1, size) + c.b(i, "time_mix_ln", "bias").reshape(-1, size)
    out = out + (heads(r) * key * w("r_k").reshape(-1, size)).sum(-1, keepdims=True) * heads(v)
    out = out.reshape(len(x), E)
    if gx:
        out = out * low("g", gx[0], sigmoid)
    return out @ w("output").T, v


def rwkv7_parts(i, gates, norm):
    ranks = {"w": 24, "a": 16, "v": 8, "g": 40}
    parts = {"lerp_fused.weight": [E, 1, 1, 6 if gates else 5]}
    for part, rank in ranks.items():
        if part == "g" and not gates or part == "v" and i == 0:
            continue
        parts |= {f"{part}1.weight": [E, rank], f"{part}2.weight": [rank, E]}
        if part != "g":
            parts[f"{part}0.weight"] = [E]
    parts |= {f"{part}.weight": [E] for part in ("k_k", "k_a", "r_k")}
    parts |= {f"{part}.weight": [E, E] for part in ("receptance", "key", "value", "output")}
    if norm:
        parts |= {"ln.weight": [E], "ln.bias": [E]}
    return [(f"blk.{i}.time_mix_{part}", shape) for part, shape in parts.items()]


def rwkv7_keys(size, gates):
    return {"attention.head_count": 0, "attention.head_count_kv": 0, "wkv.head_size": size, "attention.decay_lora_rank": 24,
            "attention.iclr_lora_rank": 16, "attention.value_residual_mix_lora_rank": 8,
            "attention.gate_lora_rank": 40 if gates else 0}


def rwkv7(size):
    """RWKV-7 with heads of 16, 32 or 64."""
    norms = ["attn_norm", "attn_norm.bias", "attn_norm_2", "attn_norm_2.bias"]
    mix = {"channel_mix_lerp_k": [E], "channel_mix_key": [E, FF], "channel_mix_value": [FF, E]}
    extra = [(f"blk.{i}.{part}.weight", shape) for i in range(3) for part, shape in mix.items()]
    extra += [t for i in range(3) for t in rwkv7_parts(i, True, True)]
    top = OWN + ("output_norm.bias", "token_embd_norm.weight", "token_embd_norm.bias")
    SHAPES["attn_norm_2"] = [E]
    c = Case(f"rwkv7 with heads of {size}", "rwkv7", norms, {**LAYER, **rwkv7_keys(size, True)}, top, layers=3, extra=extra)
    norm = lambda i, part, x: layer_norm(x, c.b(i, part), c.b(i, part, "bias"))
    first = [None]

    def layer(c, i, x):
        if i == 0:
            x = layer_norm(x, c.t["token_embd_norm.weight"], c.t["token_embd_norm.bias"])
        y, v = time_mix7(c, i, norm(i, "attn_norm", x), first[0], size)
        first[0] = v if i == 0 else first[0]
        x = x + y
        f = norm(i, "attn_norm_2", x)
        key = (f + shifted(f) * c.b(i, "channel_mix_lerp_k")) @ c.b(i, "channel_mix_key").T
        return x + relu2(key) @ c.b(i, "channel_mix_value").T

    return run(c, layer, layer_norm)


def arwkv7(size, gates):
    """RWKV-7's attention in Qwen 2, with gates and norms of the heads or without either."""
    extra = [t for i in range(2) for t in rwkv7_parts(i, gates, gates)]
    c = Case(f"arwkv7 with heads of {size}", "arwkv7", ["attn_norm"] + DENSE, {**RMS, **rwkv7_keys(size, gates)}, OWN, extra=extra)
    first = [None]

    def layer(c, i, x):
        y, v = time_mix7(c, i, rms(x, c.b(i, "attn_norm")), first[0], size)
        first[0] = v if i == 0 else first[0]
        x = x + y
        return x + dense(c, i, rms(x, c.b(i, "ffn_norm")))

    return run(c, layer)


def delta_by_channel(arch, rank):
    """Delta attention with a decay for each channel and several heads, of low rank or bounded; latent attention with several
    heads, in Ling 3 with a gate for each."""
    dim, rot, plain, kv_rank, vd, bound = 16, 8, 12, 24, 10, -4.0
    w = H * dim
    parts = {"ssm_a": [1, H], "ssm_dt.bias": [w], "ssm_beta.weight": [E, H], "ssm_norm.weight": [dim], "attn_output.weight": [w, E]}
    parts |= {f"attn_{x}.weight": [E, w] for x in "qkv"} | {f"ssm_conv1d_{x}.weight": [4, 1, w] for x in "qkv"}
    for x in "fg":
        parts |= {f"ssm_{x}_a.weight": [E, dim], f"ssm_{x}_b.weight": [dim, w]} if rank else {f"ssm_{x}_a.weight": [E, w]}
    extra = [(f"blk.0.{part}", shape) for part, shape in parts.items()]
    mla = {"attn_q": [E, H * (plain + rot)], "attn_kv_a_mqa": [E, kv_rank + rot], "attn_kv_a_norm": [kv_rank],
           "attn_k_b": [plain, kv_rank, H], "attn_v_b": [kv_rank, vd, H], "attn_output": [H * vd, E]}
    if not rank:
        mla["attn_gate"] = [E, H]
    extra += [(f"blk.1.{part}.weight", shape) for part, shape in mla.items()]
    routed = ["attn_norm"] + EXPERTS + ["exp_probs_b.bias", "ffn_gate_shexp", "ffn_up_shexp", "ffn_down_shexp"]
    keys = {**RMS, "attention.head_count": H, "attention.head_count_kv": [0, H], "attention.kv_lora_rank": kv_rank,
            "attention.key_length_mla": plain + rot, "attention.value_length_mla": vd, "rope.dimension_count": rot,
            "ssm.conv_kernel": 4, "kda.head_dim": dim, "expert_count": N, "expert_used_count": 2, "expert_shared_count": 1,
            "expert_feed_forward_length": FFE, "expert_gating_func": 2, "expert_weights_scale": 1.5, "leading_dense_block_count": 1}
    if not rank:
        keys |= {"kda.gate_lower_bound": bound, "expert_weights_norm": True}
    c = Case(f"{arch} with {H} heads", arch, [["attn_norm"] + DENSE, routed], keys, OWN, extra=extra)

    def delta(c, i, h):
        heads = lambda y: y.reshape(len(h), H, dim)
        taps = lambda x: c.t[f"blk.{i}.ssm_conv1d_{x}.weight"].reshape(w, 4)

        def causal(x):
            y = c.lin(i, f"attn_{x}", h)
            padded = np.concatenate([np.zeros((3, w)), y])
            return heads(silu(np.stack([(padded[t : t + 4].T * taps(x)).sum(1) for t in range(len(h))])))

        q, k, v = map(causal, "qkv")
        q, k = (y / np.sqrt((y * y).sum(-1, keepdims=True) + EPS) for y in (q, k))
        low = lambda x: c.lin(i, f"ssm_{x}_b", c.lin(i, f"ssm_{x}_a", h)) if rank else c.lin(i, f"ssm_{x}_a", h)
        f, a = heads(low("f") + c.b(i, "ssm_dt", "bias")), c.t[f"blk.{i}.ssm_a"]
        decay = np.exp(a * np.log1p(np.exp(f)) if rank else bound * sigmoid(a * f))
        beta, state, out = sigmoid(c.lin(i, "ssm_beta", h)), np.zeros((H, dim, dim)), np.zeros((len(h), H, dim))
        for t in range(len(h)):
            for j in range(H):
                s = state[j] * decay[t, j][:, None]
                state[j] = s + np.outer(k[t, j], beta[t, j] * (v[t, j] - k[t, j] @ s))
                out[t, j] = q[t, j] @ state[j] / math.sqrt(dim)
        out = rms(out, c.b(i, "ssm_norm")) * sigmoid(heads(low("g")))
        return c.lin(i, "attn_output", out.reshape(len(h), w))

    def turn(x):
        if rank:
            return x
        angle = np.arange(len(x))[:, None, None] * 10000.0 ** (-2.0 * np.arange(rot // 2) / rot)
        a, b, y = x[..., 0::2], x[..., 1::2], np.empty_like(x)
        y[..., 0::2], y[..., 1::2] = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
        return y

    def latent(c, i, h):
        q = c.lin(i, "attn_q", h).reshape(len(h), H, plain + rot)
        short = c.lin(i, "attn_kv_a_mqa", h)
        latent, k_rot = rms(short[:, :kv_rank], c.b(i, "attn_kv_a_norm")), turn(short[:, None, kv_rank:])
        q_rot, out = turn(q[..., plain:]), np.zeros((len(h), H, vd))
        for t in range(len(h)):
            for j in range(H):
                k, v = latent[: t + 1] @ c.b(i, "attn_k_b")[j], latent[: t + 1] @ c.b(i, "attn_v_b")[j].T
                score = k @ q[t, j, :plain] + k_rot[: t + 1, 0] @ q_rot[t, j]
                out[t, j] = softmax(score / math.sqrt(plain + rot)) @ v
        if not rank:
            out = out * sigmoid(c.lin(i, "attn_gate", h))[..., None]
        return c.lin(i, "attn_output", out.reshape(len(h), -1))

    def layer(c, i, x):
        h = rms(x, c.b(i, "attn_norm"))
        x = x + (delta(c, i, h) if i == 0 else latent(c, i, h))
        f = rms(x, c.b(i, "ffn_norm"))
        if i == 0:
            return x + dense(c, i, f)

        def weigh(row):
            p = sigmoid(row)
            ids = np.argsort(-(p + c.b(i, "exp_probs_b", "bias")), kind="stable")[:2]
            return zip(ids, 1.5 * p[ids] / p[ids].sum())

        shared = c.lin(i, "ffn_down_shexp", silu(c.lin(i, "ffn_gate_shexp", f)) * c.lin(i, "ffn_up_shexp", f))
        return x + mixture(c, i, f, c.lin(i, "ffn_gate_inp", f), weigh) + shared

    return run(c, layer)


def grovemoe():
    """Four small experts, one for each two large ones, with the same input and weights."""
    small, scale = 16, 0.5
    shapes = {"gate": [E, small, N // 2], "up": [E, small, N // 2], "down": [small, E, N // 2]}
    extra = [(f"blk.{i}.ffn_{x}_chexps.weight", shape) for i in range(2) for x, shape in shapes.items()]
    keys = {**RMS, "expert_count": N, "expert_used_count": 3, "expert_feed_forward_length": FFE, "experts_per_group": 2,
            "expert_group_scale": scale, "expert_chunk_feed_forward_length": small}
    c = Case("grovemoe with pairs of experts", "grovemoe", ATTENTION + ["attn_q_norm", "attn_k_norm"] + EXPERTS, keys, extra=extra)

    def layer(c, i, x):
        q, k, v = qkv(c, i, rms(x, c.b(i, "attn_norm")))
        q, k = head_norms(c, i, q, k)
        x = x + c.lin(i, "attn_output", attend(rope(q), rope(k), v))
        f = rms(x, c.b(i, "ffn_norm"))
        logits, own = c.lin(i, "ffn_gate_inp", f), np.zeros_like(x)
        for t, row in enumerate(logits):
            for e, weight in top(row, 3):
                gate, up, down = (c.b(i, f"ffn_{part}_chexps")[e // 2] for part in ("gate", "up", "down"))
                own[t] += weight * (down @ (silu(gate @ f[t]) * (up @ f[t])))
        return x + mixture(c, i, f, logits, lambda row: top(row, 3)) + scale * own

    return run(c, layer)


CASES = [apertus, bitnet, groups, granite_swa, smallthinker, gptneox, hunyuan, mimo2, v_norm, falcon_mamba, qwen3next,
         nemotron_h_moe, lambda: rwkv7(16), lambda: rwkv7(32), lambda: rwkv7(64), lambda: arwkv7(32, True),
         lambda: arwkv7(64, False), lambda: delta_by_channel("kimi-linear", True), lambda: delta_by_channel("bailingmoe3", False),
         grovemoe]
with open("oracle.json", "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(case(), separators=(",", ":")) for case in CASES) + "\n]\n")
