"""A real Triton with the project's MiniLM, started in an environment of its own: `triton_server.py GRPC_PORT HTTP_PORT GRAPH TOKENIZER`.

Models:

    minilm          BYTES `text` (1)                                  ->  FP32 `embedding` (384)
    minilm_half     the same, FP16
    minilm_tokens   INT64 `input_ids`, `attention_mask` (tokens)      ->  FP32 `embedding` (384)
    wrong_shape     BYTES `text` (1)                                  ->  FP32 `embedding`, half of its rows missing
    refusing        BYTES `text` (1)                                  ->  an error for the text "refuse", else as minilm

The text "hang" keeps `minilm` for 3 seconds.
"""

import sys
import time
from typing import Any

import numpy as np
from minilm import MiniLM  # beside this file, whose folder is where a program's modules are looked for
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

BATCH_INPUTS_MAX = 32


def serve(grpc_port: int, http_port: int, minilm: MiniLM) -> None:
    """Serve until a signal."""

    def texts_of(text: Any) -> list[str]:
        return [row[0].decode() for row in text]

    @batch
    def embed(text: Any) -> dict[str, Any]:
        texts = texts_of(text)
        if "hang" in texts:
            time.sleep(3)
        return {"embedding": minilm.of_texts(texts)}

    @batch
    def embed_half(text: Any) -> dict[str, Any]:
        return {"embedding": minilm.of_texts(texts_of(text)).astype(np.float16)}

    @batch
    def embed_tokens(input_ids: Any, attention_mask: Any) -> dict[str, Any]:
        return {"embedding": minilm.of_tokens(input_ids, attention_mask)}

    @batch
    def embed_some(text: Any) -> dict[str, Any]:
        return {"embedding": minilm.of_texts(texts_of(text)).reshape(len(text), 2, -1)}

    @batch
    def refuse(text: Any) -> dict[str, Any]:
        if "refuse" in texts_of(text):
            raise ValueError("this text cannot be computed")
        return {"embedding": minilm.of_texts(texts_of(text))}

    text = [Tensor(name="text", dtype=bytes, shape=(1,))]
    tokens = [Tensor(name=name, dtype=np.int64, shape=(-1,)) for name in ("input_ids", "attention_mask")]
    models: list[tuple[str, Any, list[Tensor], Any, tuple[int, ...]]] = [
        ("minilm", embed, text, np.float32, (384,)),
        ("minilm_half", embed_half, text, np.float16, (384,)),
        ("minilm_tokens", embed_tokens, tokens, np.float32, (384,)),
        ("wrong_shape", embed_some, text, np.float32, (-1, -1)),
        ("refusing", refuse, text, np.float32, (384,)),
    ]
    config = TritonConfig(
        grpc_port=grpc_port,
        grpc_address="127.0.0.1",
        allow_http=True,
        http_port=http_port,
        http_address="127.0.0.1",
        allow_metrics=False,
        exit_timeout_secs=5,
    )
    with Triton(config=config) as triton:
        for name, function, inputs, dtype, shape in models:
            triton.bind(
                model_name=name,
                infer_func=function,
                inputs=inputs,
                outputs=[Tensor(name="embedding", dtype=dtype, shape=shape)],
                config=ModelConfig(max_batch_size=BATCH_INPUTS_MAX, batcher=DynamicBatcher()),
                strict=False,
            )
        triton.serve()


if __name__ == "__main__":
    serve(int(sys.argv[1]), int(sys.argv[2]), MiniLM(*sys.argv[3:]))
