#!/usr/bin/env python3
"""Reference vectors of a BERT sentence model in f64, from its safetensors, with numpy alone.

    minilm_reference.py FOLDER IDS OUT

FOLDER  the model: config.json, model.safetensors, and 1_Pooling/config.json (mean if it is missing)
IDS     a text file: the token ids of one text a line, separated by spaces or commas, with [CLS] and [SEP]
OUT     little-endian: u32 rows, u32 dimension, then f32 rows, not normalized

GELU is the exact one, x/2 (1 + erf(x / sqrt 2)), as transformers computes `hidden_act = gelu`.
"""
import json
import math
import pathlib
import struct
import sys

import numpy as np

erf = np.vectorize(math.erf, otypes=[np.float64])


def safetensors(path):
    """The tensors of a file, as f64."""
    data = pathlib.Path(path).read_bytes()
    (n,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, t in json.loads(data[8 : 8 + n]).items():
        if name == "__metadata__" or t["dtype"] not in ("F32", "F16"):
            continue
        begin, end = t["data_offsets"]
        kind = {"F32": "<f4", "F16": "<f2"}[t["dtype"]]
        values = np.frombuffer(data[8 + n + begin : 8 + n + end], kind)
        tensors[name.removeprefix("bert.")] = values.astype(np.float64).reshape(t["shape"])
    return tensors


class Bert:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        assert self.config.get("hidden_act", "gelu") == "gelu", "another activation than GELU"
        self.w = safetensors(folder / "model.safetensors")
        pooling = folder / "1_Pooling" / "config.json"
        settings = json.loads(pooling.read_text()) if pooling.exists() else {}
        self.cls = settings.get("pooling_mode_cls_token", False)

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x, name):
        mean = x.mean(axis=-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(axis=-1, keepdims=True)
        x = (x - mean) / np.sqrt(variance + self.config["layer_norm_eps"])
        return x * self.w[name + ".weight"] + self.w[name + ".bias"]

    def layer(self, x, prefix):
        heads = self.config["num_attention_heads"]
        split = lambda y: y.reshape(len(y), heads, -1).transpose(1, 0, 2)
        q, k, v = (split(self.linear(x, f"{prefix}.attention.self.{n}")) for n in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ v
        mixed = self.linear(mixed.transpose(1, 0, 2).reshape(len(x), -1), f"{prefix}.attention.output.dense")
        x = self.norm(x + mixed, f"{prefix}.attention.output.LayerNorm")
        up = self.linear(x, f"{prefix}.intermediate.dense")
        up = up / 2 * (1 + erf(up / math.sqrt(2)))
        return self.norm(x + self.linear(up, f"{prefix}.output.dense"), f"{prefix}.output.LayerNorm")

    def embed(self, ids):
        """The vector of one text."""
        table = lambda name: self.w[f"embeddings.{name}_embeddings.weight"]
        x = table("word")[ids] + table("position")[: len(ids)] + table("token_type")[0]
        x = self.norm(x, "embeddings.LayerNorm")
        for i in range(self.config["num_hidden_layers"]):
            x = self.layer(x, f"encoder.layer.{i}")
        return x[0] if self.cls else x.mean(axis=0)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    model = Bert(sys.argv[1])
    lines = pathlib.Path(sys.argv[2]).read_text().splitlines()
    texts = [[int(n) for n in line.replace(",", " ").split()] for line in lines if line.strip()]
    rows = np.array([model.embed(ids) for ids in texts], "<f4")
    pathlib.Path(sys.argv[3]).write_bytes(struct.pack("<II", *rows.shape) + rows.tobytes())
    print(f"{sys.argv[3]}: {rows.shape[0]} rows of {rows.shape[1]}")


if __name__ == "__main__":
    main()
