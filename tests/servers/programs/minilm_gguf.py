"""Write the project's MiniLM as llama.cpp reads it, in the environment of that server: `minilm_gguf.py MODEL_FOLDER GGUF`.

Source: llama.cpp's `convert_hf_to_gguf.py`, of BERT.
"""

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np

_OF_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
_OF_EMBEDDINGS = {
    "word_embeddings": "token_embd",
    "position_embeddings": "position_embd",
    "token_type_embeddings": "token_types",
    "LayerNorm": "token_embd_norm",
}


def write(model: Path, written: Path) -> None:
    """Write vocabulary and weights, as float32."""
    sizes = json.loads((model / "config.json").read_text())
    words = (model / "vocab.txt").read_text().splitlines()
    writer = gguf.GGUFWriter(written, "bert")
    writer.add_context_length(sizes["max_position_embeddings"])
    writer.add_embedding_length(sizes["hidden_size"])
    writer.add_feed_forward_length(sizes["intermediate_size"])
    writer.add_block_count(sizes["num_hidden_layers"])
    writer.add_head_count(sizes["num_attention_heads"])
    writer.add_layer_norm_eps(sizes["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_tokenizer_model("bert")
    writer.add_token_type_count(sizes["type_vocab_size"])
    writer.add_token_list([_piece(word) for word in words])
    writer.add_token_types(
        [gguf.TokenType.CONTROL if word.startswith("[") and len(word) > 1 else gguf.TokenType.NORMAL for word in words]
    )
    for word, is_at in (
        ("[CLS]", writer.add_bos_token_id),
        ("[SEP]", writer.add_sep_token_id),
        ("[UNK]", writer.add_unk_token_id),
        ("[PAD]", writer.add_pad_token_id),
        ("[MASK]", writer.add_mask_token_id),
    ):
        is_at(words.index(word))
    for name, weights in _weights(model / "model.safetensors").items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _piece(word: str) -> str:
    """llama.cpp marks where a word begins, and BERT where it goes on."""
    if word.startswith("[") and len(word) > 1:
        return word
    return word[2:] if word.startswith("##") else "\u2581" + word


def _weights(file: Path) -> dict[str, Any]:
    """Read the tensors: eight bytes of length, a JSON header, the numbers."""
    packed = file.read_bytes()
    start = 8 + int.from_bytes(packed[:8], "little")
    found = {}
    for name, about in json.loads(packed[8:start]).items():
        known = _name(name)
        if known is not None:
            first, last = (start + place for place in about["data_offsets"])
            found[known] = np.frombuffer(packed[first:last], "<f4").reshape(about["shape"])
    return found


def _name(name: str) -> str | None:
    """Return what llama.cpp calls a tensor; None of one that it does not need."""
    group, *rest = name.split(".")
    if group == "embeddings" and rest[0] in _OF_EMBEDDINGS:
        return f"{_OF_EMBEDDINGS[rest[0]]}.{rest[1]}"
    if group != "encoder":
        return None
    _, layer, *of_layer, kind = rest
    return f"blk.{layer}.{_OF_LAYER['.'.join(of_layer)]}.{kind}"


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
