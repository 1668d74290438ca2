"""Read Ollama's `POST /api/embed` and `/api/embeddings`, and put their answers together. Pure.

    /api/embed       {"model": "m", "input": "text"}   -> {"model": "m", "embeddings": [[...]], "total_duration": 9000000, ...}
    /api/embeddings  {"model": "m", "prompt": "text"}  -> {"embedding": [...]}

1. The vectors of `/api/embed` have length 1. Those of `/api/embeddings`, its older form, are as the model computes them.
2. `options` and `keep_alive` say how Ollama loads and runs a model. The upstream is running: they are not looked at.
3. An empty input, with which Ollama loads a model and answers nothing, is refused.

Source: Ollama's API and its client for Python, `ollama` 0.6. No content type is asked for, and curl's own is another.
"""

import msgspec

from autobatch_proxy.dialects.error_shapes import ErrorShape, message_of
from autobatch_proxy.dialects.forms import one_embedding
from autobatch_proxy.dialects.strict_json import decode_or_refuse
from autobatch_proxy.dialects.tei import Dimensions
from autobatch_proxy.requests.asked import AnswerFacts, Asked
from autobatch_shared.contract.errors import EmptyInput
from autobatch_shared.contract.options import Options, unavailable

NS_PER_MS = 1_000_000
USE_THE_NEWER = "`/api/embeddings` is not available: its vectors have not length 1, and the upstream computes no others; use `/api/embed`"


class _OllamaEmbed(msgspec.Struct):
    input: str | list[str]
    model: str | None = None
    truncate: bool | None = None
    dimensions: Dimensions | None = None


class _OllamaEmbeddings(msgspec.Struct):
    prompt: str
    model: str | None = None


_decode_embed = msgspec.json.Decoder(_OllamaEmbed).decode
_decode_embeddings = msgspec.json.Decoder(_OllamaEmbeddings).decode
_encode = msgspec.json.Encoder().encode


def read_api_embed(body: bytes) -> Asked:
    """Read a `POST /api/embed`.

    Raises:
        NotJson, EmptyInput: As the names say.
        InvalidRequest: It has another shape.
    """
    request = decode_or_refuse(_decode_embed, body)
    if not request.input:
        raise EmptyInput("`input` cannot be empty")
    return Asked(
        "/embed",
        request.input,
        _encode(request.input),
        Options(truncate=request.truncate is not False, dimensions=request.dimensions),
        _answer,
        is_native=False,
        model=request.model,
        counts_tokens=True,
    )


def read_api_embeddings(body: bytes) -> Asked:
    """Read a `POST /api/embeddings`; what it raises is what `read_api_embed` raises."""
    request = decode_or_refuse(_decode_embeddings, body)
    if not request.prompt:
        raise EmptyInput("`prompt` cannot be empty")
    options = Options(truncate=True, normalize=False)
    raw = _encode(request.prompt)
    return Asked("/embed", request.prompt, raw, options, one_embedding, is_native=False, model=request.model)


def _answer(rows: bytes, facts: AnswerFacts) -> bytes:
    return b'{"model":%b,"embeddings":%b,"total_duration":%d,"load_duration":0,"prompt_eval_count":%d}' % (
        _encode(facts.model),
        rows,
        facts.ms * NS_PER_MS,
        facts.tokens or 0,
    )


def _as_ollama(status: int, body: bytes) -> bytes:
    return _encode({"error": message_of(status, body)})


def _as_older_ollama(status: int, body: bytes) -> bytes:
    """An upstream without the option to leave vectors as they are refuses what no client of this route has written."""
    message = message_of(status, body)
    return _encode({"error": USE_THE_NEWER if message.startswith(unavailable("normalize")) else message})


OLLAMA_ERRORS = ErrorShape(_as_ollama, fills_refusals=True)
OLDER_OLLAMA_ERRORS = ErrorShape(_as_older_ollama, fills_refusals=True)
