"""A case: one request, and why the proxy's answer to it may differ. Knows no server.

A case is plain data, made from the facts of the upstream's model: the same table is sent to an embedder,
a classifier, a reranker or a SPLADE model, and a route that the model does not have is a case of its error.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Json = Any
Kind = Literal["embedding", "splade", "classifier", "reranker"]
Join = Literal["lists", "openai", "ranks"]
Headers = tuple[tuple[str, str], ...]

JSON: Headers = (("content-type", "application/json"),)
OPENAI_PATHS = ("/v1/embeddings", "/embeddings")


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts that a case may depend on. The defaults are the packaged embedder's.

    Attributes:
        kind: The model's task.
        inputs_max: The longest list that the upstream takes.
        tokens_max: The longest input, in tokens.
        dimensions: The length of a vector; 0 if the model returns none.
        body_bytes_max: The longest request body.
    """

    kind: Kind = "embedding"
    inputs_max: int = 32
    tokens_max: int = 256
    dimensions: int = 384
    body_bytes_max: int = 2_000_000

    @property
    def characters_max(self) -> int:
        """The longest input, in characters: beyond it nothing is tokenized."""
        return 250 * self.tokens_max


@dataclass(frozen=True, slots=True)
class Case:
    """One request.

    Attributes:
        id: Its name, route first.
        method: As sent.
        path: As sent, percent signs included.
        body: As sent; None: no body.
        headers: All that are sent, except `host` and the body's length.
        is_chunked: The body is sent in chunks, without its length.
        differs: Key of `differences.TABLE`, if the answers differ on purpose.
        pieces: Bodies of requests that the upstream accepts, whose joined answers are the expected one.
        join: How they are joined.
    """

    id: str
    method: str
    path: str
    body: bytes | None = None
    headers: Headers = ()
    is_chunked: bool = False
    differs: str | None = None
    pieces: tuple[bytes, ...] = ()
    join: Join = "lists"


def encoded(body: Json) -> bytes:
    """Return a body as it is sent; bytes are sent as they are."""
    return body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def post(name: str, path: str, body: Json, headers: Headers = JSON, **more: Any) -> Case:
    """Return a POST with a body."""
    return Case(f"{path} {name}", "POST", path, encoded(body), headers, **more)


def bare(method: str, path: str, headers: Headers = (), *, name: str = "", **more: Any) -> Case:
    """Return a request without a body."""
    return Case(" ".join(filter(None, (path, method, name))), method, path, None, headers, **more)


def posts(path: str, bodies: Mapping[str, Json], **more: Any) -> Iterator[Case]:
    """Yield a POST for each named body."""
    for name, body in bodies.items():
        yield post(name, path, body, **more)


def split(name: str, path: str, body: Json, pieces: Sequence[Json], join: Join = "lists") -> Case:
    """Return a POST of more inputs than the upstream takes at once, with the pieces that it does take."""
    return post(name, path, body, pieces=tuple(map(encoded, pieces)), join=join)


def chunks(items: Sequence[Json], size: int) -> list[Sequence[Json]]:
    """Cut a list into lists of at most `size`."""
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


def numbered(count: int) -> list[str]:
    """Return different short texts."""
    return [f"text number {number}" for number in range(count)]
