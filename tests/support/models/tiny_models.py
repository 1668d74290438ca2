"""Small random models of every family, in the hub's layout: config.json, model.safetensors, tokenizer.json."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
from tokenizers import Tokenizer, models, pre_tokenizers, processors

Array = npt.NDArray[np.float32]
Shapes = dict[str, tuple[int, ...]]

LAYERS, HEADS, HIDDEN, INNER, VOCABULARY, POSITIONS = 3, 2, 8, 12, 30, 40
WORDS = ["<pad>", "<s>", "</s>", "<unk>", *(f"w{place}" for place in range(4, VOCABULARY))]

_BERT: dict[str, Any] = {
    "hidden_act": "gelu",
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "hidden_size": HIDDEN,
    "intermediate_size": INNER,
    "vocab_size": VOCABULARY,
    "max_position_embeddings": POSITIONS,
    "layer_norm_eps": 1e-5,
    "pad_token_id": 1,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "bert": {**_BERT, "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0},
    "roberta": {**_BERT, "type_vocab_size": 1},
    "xlm-roberta": {**_BERT, "type_vocab_size": 1},
    "camembert": {**_BERT, "type_vocab_size": 1},
    "mpnet": {**_BERT, "relative_attention_num_buckets": 32},
    "distilbert": {
        "activation": "gelu",
        "n_layers": LAYERS,
        "n_heads": HEADS,
        "dim": HIDDEN,
        "hidden_dim": INNER,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": POSITIONS,
    },
    "modernbert": {
        "hidden_activation": "gelu",
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": POSITIONS,
        "norm_eps": 1e-5,
        "global_attn_every_n_layers": 3,
        "local_attention": 6,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
    },
    "nomic_bert": {
        "activation_function": "swiglu",
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_embd": HIDDEN,
        "n_inner": INNER,
        "vocab_size": VOCABULARY,
        "n_positions": POSITIONS,
        "type_vocab_size": 2,
        "layer_norm_epsilon": 1e-12,
        "rotary_emb_base": 1000,
        "rotary_emb_fraction": 1.0,
        "rotary_scaling_factor": None,
        "prenorm": False,
    },
}


def tiny_config(kind: str, **more: Any) -> dict[str, Any]:
    return {"model_type": kind, **CONFIGS[kind], **more}


def tiny_tensors(kind: str, prefix: str = "", **heads: tuple[int, ...]) -> dict[str, Array]:
    """Random weights by their names in the file; `heads` are more of them, dots as `__`, without the prefix."""
    shapes = {f"{prefix}{name}": shape for name, shape in _SHAPES[kind]()}
    shapes |= {name.replace("__", "."): shape for name, shape in heads.items()}
    random = np.random.default_rng(7)
    return {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def _linear(name: str, out: int, inside: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, inside)
    yield f"{name}.bias", (out,)


def _norm(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (HIDDEN,)
    yield f"{name}.bias", (HIDDEN,)


def _bert(segments: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "embeddings.word_embeddings.weight", (VOCABULARY, HIDDEN)
    yield "embeddings.position_embeddings.weight", (POSITIONS, HIDDEN)
    if segments:
        yield "embeddings.token_type_embeddings.weight", (segments, HIDDEN)
    yield from _norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        if segments:
            for part in ("query", "key", "value"):
                yield from _linear(f"{name}.attention.self.{part}", HIDDEN, HIDDEN)
            yield from _linear(f"{name}.attention.output.dense", HIDDEN, HIDDEN)
            yield from _norm(f"{name}.attention.output.LayerNorm")
        else:
            for part in "qkvo":
                yield from _linear(f"{name}.attention.attn.{part}", HIDDEN, HIDDEN)
            yield from _norm(f"{name}.attention.LayerNorm")
        yield from _linear(f"{name}.intermediate.dense", INNER, HIDDEN)
        yield from _linear(f"{name}.output.dense", HIDDEN, INNER)
        yield from _norm(f"{name}.output.LayerNorm")
    if not segments:
        yield "encoder.relative_attention_bias.weight", (32, HEADS)


def _distilbert() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "embeddings.word_embeddings.weight", (VOCABULARY, HIDDEN)
    yield "embeddings.position_embeddings.weight", (POSITIONS, HIDDEN)
    yield from _norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"transformer.layer.{layer}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            yield from _linear(f"{name}.attention.{part}", HIDDEN, HIDDEN)
        yield from _norm(f"{name}.sa_layer_norm")
        yield from _linear(f"{name}.ffn.lin1", INNER, HIDDEN)
        yield from _linear(f"{name}.ffn.lin2", HIDDEN, INNER)
        yield from _norm(f"{name}.output_layer_norm")


def _modernbert() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "embeddings.tok_embeddings.weight", (VOCABULARY, HIDDEN)
    yield "embeddings.norm.weight", (HIDDEN,)
    for layer in range(LAYERS):
        name = f"layers.{layer}"
        if layer:
            yield f"{name}.attn_norm.weight", (HIDDEN,)
        yield f"{name}.attn.Wqkv.weight", (3 * HIDDEN, HIDDEN)
        yield f"{name}.attn.Wo.weight", (HIDDEN, HIDDEN)
        yield f"{name}.mlp_norm.weight", (HIDDEN,)
        yield f"{name}.mlp.Wi.weight", (2 * INNER, HIDDEN)
        yield f"{name}.mlp.Wo.weight", (HIDDEN, INNER)
    yield "final_norm.weight", (HIDDEN,)


def _nomic_bert() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "embeddings.word_embeddings.weight", (VOCABULARY, HIDDEN)
    yield "embeddings.token_type_embeddings.weight", (2, HIDDEN)
    yield from _norm("emb_ln")
    for layer in range(LAYERS):
        name = f"encoder.layers.{layer}"
        yield f"{name}.attn.Wqkv.weight", (3 * HIDDEN, HIDDEN)
        yield f"{name}.attn.out_proj.weight", (HIDDEN, HIDDEN)
        yield from _norm(f"{name}.norm1")
        for part, shape in (("fc11", (INNER, HIDDEN)), ("fc12", (INNER, HIDDEN)), ("fc2", (HIDDEN, INNER))):
            yield f"{name}.mlp.{part}.weight", shape
        yield from _norm(f"{name}.norm2")


_SHAPES = {
    "bert": lambda: _bert(2),
    "roberta": lambda: _bert(1),
    "xlm-roberta": lambda: _bert(1),
    "camembert": lambda: _bert(1),
    "mpnet": lambda: _bert(0),
    "distilbert": _distilbert,
    "modernbert": _modernbert,
    "nomic_bert": _nomic_bert,
}


def write_safetensors(path: Path, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
    """Float16 and int64 go as they are; uint16 stands for bfloat16, which numpy does not have."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        kind = {"float32": "F32", "int64": "I64", "float16": "F16", "uint16": "BF16"}[tensor.dtype.name]
        offsets = [len(data), len(data) + tensor.nbytes]
        header[name] = {"dtype": kind, "shape": tensor.shape, "data_offsets": offsets}
        data += tensor.tobytes()
    head = orjson.dumps(header)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(value))


def write_tokenizer(path: Path) -> None:
    """One word is one token; pairs have two segments, as BERT's have."""
    words = Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    words.add_special_tokens(["<pad>", "<s>", "</s>"])
    path.mkdir(parents=True, exist_ok=True)
    words.save(str(path / "tokenizer.json"))


MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def write_model(
    path: Path, config: Mapping[str, Any], tensors: Mapping[str, Array], *, mode: str | None = "mean_tokens"
) -> Path:
    """Write a folder; with a pooling mode it is a Sentence Transformers model."""
    write_tokenizer(path)
    write_json(path / "config.json", config)
    write_safetensors(path / "model.safetensors", tensors)
    if mode:
        write_json(path / "modules.json", MODULES)
        write_json(path / "1_Pooling" / "config.json", {f"pooling_mode_{mode}": True})
    return path
