"""The bytes and headers of TEI's answers. Pure but for the response objects."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from autobatch_embedder.bodies.requests import Input
from autobatch_embedder.errors import TeiError
from autobatch_embedder.model.engine import Done, Engine
from autobatch_embedder.model.tokens import characters
from autobatch_embedder.model.vectors import Vectors
from autobatch_embedder.model_files.model_folder import ModelFolder

OPENAI_PATHS = ("/v1/embeddings", "/embeddings")
CONTRACT_VERSION = "1.9.3"  # the version of TEI that this imitates; clients adapt to it


def dump(value: object) -> bytes:
    """Print JSON as serde does: float32 as their shortest text, NaN as null, no spaces."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def json_answer(body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    """Answer 200."""
    return web.Response(body=body, headers={"content-type": "application/json", **(headers or {})})


def error_answer(error: TeiError, path: str) -> web.Response:
    """Answer with TEI's error, in the format that the path's clients read."""
    if path in OPENAI_PATHS:
        value: dict[str, object] = {"message": error.message, "code": error.status, "type": error.error_type}
    else:
        value = {"error": error.message, "error_type": error.error_type}
    return web.Response(status=error.status, body=dump(value), headers={"content-type": "application/json"})


def openai_list(vectors: Vectors, model: str, tokens: int, *, is_base64: bool) -> bytes:
    """Print vectors in OpenAI's list, keys in TEI's order.

    Args:
        vectors: (n, dimensions) float32, C-contiguous.
        model: The name to show.
        tokens: Of all inputs.
        is_base64: Vectors as base64 of their little-endian float32, instead of as lists.
    """
    shown: Sequence[object] = [b64encode(row.astype("<f4")).decode() for row in vectors] if is_base64 else list(vectors)
    data = [{"object": "embedding", "embedding": row, "index": index} for index, row in enumerate(shown)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return dump({"object": "list", "data": data, "model": model, "usage": usage})


def info_of(engine: Engine) -> dict[str, object]:
    """Return what GET /info answers: TEI's flat object, in its order, and how the cores are divided."""
    folder, limits = engine.model.folder, engine.limits
    return {
        "model_id": folder.model_id,
        "model_sha": folder.revision,
        "model_dtype": engine.model.dtype,
        "served_model_name": folder.model_id,
        "model_type": _model_type(folder),
        "max_concurrent_requests": limits.inputs_max,
        "max_input_length": folder.tokens_max,
        "max_batch_tokens": limits.batch_inputs_max * folder.tokens_max,
        "max_batch_requests": limits.batch_inputs_max,
        "max_client_batch_size": limits.batch_inputs_max,
        "auto_truncate": limits.truncate,
        "tokenization_workers": engine.tokenizer_threads,
        "version": CONTRACT_VERSION,
        "sha": None,
        "docker_label": None,
        "cores": engine.model.choice.shown,
    }


def _model_type(folder: ModelFolder) -> dict[str, object]:
    if folder.task in {"embedding", "splade"}:
        return {"embedding": {"pooling": folder.pooling.replace("-", "_")}}
    id2label = {str(place): label for place, label in enumerate(folder.labels)}
    label2id = {label: place for place, label in enumerate(folder.labels)}
    return {folder.task: {"id2label": id2label, "label2id": label2id}}


def measurements(inputs: Sequence[Input | tuple[str, ...]], done: Done[Any]) -> dict[str, str]:
    """Return TEI's x-headers. TEI says `gpu+optimized` on every device."""
    total_ms = _ms(done.total_s)
    return {
        "x-compute-type": "gpu+optimized",
        "x-compute-time": total_ms,
        "x-compute-characters": str(sum(map(characters, inputs))),
        "x-compute-tokens": str(done.tokens),
        "x-total-time": total_ms,
        "x-tokenization-time": _ms(done.tokenization_s),
        "x-queue-time": _ms(done.queue_s),
        "x-inference-time": _ms(done.inference_s),
    }


def _ms(seconds: float) -> str:
    return str(int(seconds * 1000))
