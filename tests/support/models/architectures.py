"""The published architectures in numpy: one text at a time and so without padding, in float64, by the files' own names.

Compared by hand with the same weights in the `transformers` library, from which they differ by less than 1e-5.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Wide = npt.NDArray[np.float64]
Weights = Mapping[str, npt.NDArray[Any]]
Config = Mapping[str, Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def gelu(x: Wide) -> Wide:
    return np.asarray(x * (1 + _erf(x / math.sqrt(2))) / 2)


def silu(x: Wide) -> Wide:
    return np.asarray(x / (1 + np.exp(-x)))


def linear(w: Weights, name: str, x: Wide) -> Wide:
    bias = w.get(f"{name}.bias", np.zeros(1))
    return np.asarray(x @ w[f"{name}.weight"].astype(np.float64).T + bias)


def norm(w: Weights, name: str, x: Wide, epsilon: float) -> Wide:
    centred = x - x.mean(axis=-1, keepdims=True)
    scaled = centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + epsilon)
    return np.asarray(scaled * w[f"{name}.weight"] + w.get(f"{name}.bias", np.zeros(1)))


def softmax(x: Wide) -> Wide:
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def attend(q: Wide, k: Wide, v: Wide, heads: int, added: Wide | float = 0.0) -> Wide:
    """Mix `v`; `added` to the scores is (heads, tokens, tokens) or the same for all."""
    size = q.shape[1] // heads
    parts = [slice(head * size, (head + 1) * size) for head in range(heads)]
    scores = np.array([q[:, part] @ k[:, part].T / math.sqrt(size) for part in parts]) + added
    return np.concatenate([each @ v[:, part] for each, part in zip(softmax(scores), parts, strict=True)], axis=-1)


def bert(w: Weights, config: Config, ids: list[int], segments: list[int] | None = None) -> Wide:
    """BERT, RoBERTa, XLM-R: the last two begin their positions behind that of the padding token."""
    prefix = "bert." if config["model_type"] == "bert" else "roberta."
    prefix = prefix if f"{prefix}embeddings.word_embeddings.weight" in w else ""
    first = 0 if config["model_type"] == "bert" else config["pad_token_id"] + 1
    heads, epsilon = config["num_attention_heads"], config["layer_norm_eps"]
    name = f"{prefix}embeddings"
    x = w[f"{name}.word_embeddings.weight"][ids].astype(np.float64)
    x = x + w[f"{name}.position_embeddings.weight"][first : first + len(ids)]
    x = x + w[f"{name}.token_type_embeddings.weight"][segments or [0] * len(ids)]
    x = norm(w, f"{name}.LayerNorm", x, epsilon)
    for layer in range(config["num_hidden_layers"]):
        name = f"{prefix}encoder.layer.{layer}"
        q, k, v = (linear(w, f"{name}.attention.self.{part}", x) for part in ("query", "key", "value"))
        out = linear(w, f"{name}.attention.output.dense", attend(q, k, v, heads))
        x = norm(w, f"{name}.attention.output.LayerNorm", out + x, epsilon)
        out = linear(w, f"{name}.output.dense", gelu(linear(w, f"{name}.intermediate.dense", x)))
        x = norm(w, f"{name}.output.LayerNorm", out + x, epsilon)
    return x


def distilbert(w: Weights, config: Config, ids: list[int]) -> Wide:
    prefix = "distilbert." if "distilbert.embeddings.word_embeddings.weight" in w else ""
    name = f"{prefix}embeddings"
    x = w[f"{name}.word_embeddings.weight"][ids].astype(np.float64)
    x = norm(w, f"{name}.LayerNorm", x + w[f"{name}.position_embeddings.weight"][: len(ids)], 1e-12)
    for layer in range(config["n_layers"]):
        name = f"{prefix}transformer.layer.{layer}"
        q, k, v = (linear(w, f"{name}.attention.{part}_lin", x) for part in "qkv")
        out = linear(w, f"{name}.attention.out_lin", attend(q, k, v, config["n_heads"]))
        x = norm(w, f"{name}.sa_layer_norm", out + x, 1e-12)
        out = linear(w, f"{name}.ffn.lin2", gelu(linear(w, f"{name}.ffn.lin1", x)))
        x = norm(w, f"{name}.output_layer_norm", out + x, 1e-12)
    return x


def mpnet(w: Weights, config: Config, ids: list[int]) -> Wide:
    prefix = "mpnet." if "mpnet.embeddings.word_embeddings.weight" in w else ""
    heads, epsilon = config["num_attention_heads"], config["layer_norm_eps"]
    x = w[f"{prefix}embeddings.word_embeddings.weight"][ids].astype(np.float64)
    x = x + w[f"{prefix}embeddings.position_embeddings.weight"][2 : 2 + len(ids)]
    x = norm(w, f"{prefix}embeddings.LayerNorm", x, epsilon)
    places = range(len(ids))
    buckets = np.array([[distance_bucket(j - i) for j in places] for i in places])
    scores = w[f"{prefix}encoder.relative_attention_bias.weight"].astype(np.float64)[buckets].transpose(2, 0, 1)
    for layer in range(config["num_hidden_layers"]):
        name = f"{prefix}encoder.layer.{layer}"
        q, k, v = (linear(w, f"{name}.attention.attn.{part}", x) for part in "qkv")
        out = linear(w, f"{name}.attention.attn.o", attend(q, k, v, heads, scores))
        x = norm(w, f"{name}.attention.LayerNorm", out + x, epsilon)
        out = linear(w, f"{name}.output.dense", gelu(linear(w, f"{name}.intermediate.dense", x)))
        x = norm(w, f"{name}.output.LayerNorm", out + x, epsilon)
    return x


def distance_bucket(distance: int) -> int:
    """T5's: of 32 buckets, 16 for each direction, 8 of them for single distances, the others to 128 on a log scale."""
    first, far = (16 if distance > 0 else 0), abs(distance)
    if far < 8:
        return first + far
    return first + min(15, 8 + int(math.log(far / 8) / math.log(128 / 8) * 8))


def rotated(x: Wide, heads: int, base: float) -> Wide:
    """Rotate each head's first half with its second, by an angle for each place and pair."""
    count, hidden = x.shape
    half = hidden // heads // 2
    angles = np.arange(count)[:, None] / base ** (np.arange(half) / half)  # (tokens, half)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    first, second = np.split(x.reshape(count, heads, 2 * half), 2, axis=-1)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1).reshape(count, hidden)


def modernbert(w: Weights, config: Config, ids: list[int]) -> Wide:
    prefix = "model." if "model.embeddings.tok_embeddings.weight" in w else ""
    heads, epsilon = config["num_attention_heads"], config["norm_eps"]
    places = np.arange(len(ids))
    is_far = np.abs(places[:, None] - places) > config["local_attention"] // 2
    x = w[f"{prefix}embeddings.tok_embeddings.weight"][ids].astype(np.float64)
    x = norm(w, f"{prefix}embeddings.norm", x, epsilon)
    for layer in range(config["num_hidden_layers"]):
        name = f"{prefix}layers.{layer}"
        is_local = layer % config["global_attn_every_n_layers"] != 0
        base = config["local_rope_theta" if is_local else "global_rope_theta"]
        read = x if layer == 0 else norm(w, f"{name}.attn_norm", x, epsilon)
        q, k, v = np.split(linear(w, f"{name}.attn.Wqkv", read), 3, axis=-1)
        mask = np.where(is_far, -np.inf, 0.0) if is_local else 0.0
        x = x + linear(w, f"{name}.attn.Wo", attend(rotated(q, heads, base), rotated(k, heads, base), v, heads, mask))
        inner, gate = np.split(linear(w, f"{name}.mlp.Wi", norm(w, f"{name}.mlp_norm", x, epsilon)), 2, axis=-1)
        x = x + linear(w, f"{name}.mlp.Wo", gelu(inner) * gate)
    return norm(w, f"{prefix}final_norm", x, epsilon)


def nomic_bert(w: Weights, config: Config, ids: list[int]) -> Wide:
    heads, epsilon, base = config["n_head"], config["layer_norm_epsilon"], config["rotary_emb_base"]
    x = w["embeddings.word_embeddings.weight"][ids].astype(np.float64) + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(w, "emb_ln", x, epsilon)
    for layer in range(config["n_layer"]):
        name = f"encoder.layers.{layer}"
        q, k, v = np.split(linear(w, f"{name}.attn.Wqkv", x), 3, axis=-1)
        mixed = attend(rotated(q, heads, base), rotated(k, heads, base), v, heads)
        x = norm(w, f"{name}.norm1", linear(w, f"{name}.attn.out_proj", mixed) + x, epsilon)
        inner = linear(w, f"{name}.mlp.fc11", x) * silu(linear(w, f"{name}.mlp.fc12", x))
        x = norm(w, f"{name}.norm2", linear(w, f"{name}.mlp.fc2", inner) + x, epsilon)
    return x


ENCODERS: dict[str, Callable[[Weights, Config, list[int]], Wide]] = {
    "bert": bert,
    "roberta": bert,
    "xlm-roberta": bert,
    "camembert": bert,
    "distilbert": distilbert,
    "mpnet": mpnet,
    "modernbert": modernbert,
    "nomic_bert": nomic_bert,
}


def pooled(tokens: Wide, how: str) -> Wide:
    """One vector of those of a text's tokens."""
    weights = np.arange(1, len(tokens) + 1)[:, None]
    by_name: dict[str, Callable[[], Wide]] = {
        "mean": lambda: tokens.mean(axis=0),
        "cls": lambda: tokens[0],
        "max": lambda: tokens.max(axis=0),
        "last-token": lambda: tokens[-1],
        "weighted-mean": lambda: (tokens * weights).sum(axis=0) / weights.sum(),
    }
    return np.asarray(by_name[how]())
