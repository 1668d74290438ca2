"""What each batcher publishes of itself and its upstreams, for health, `/info` and people."""

from collections.abc import Iterable
from typing import Any

import msgspec

from autobatch_shared.contract.cache_names import model_identity
from autobatch_shared.contract.errors import NOT_AS_ASKED
from autobatch_shared.contract.frames import ANSWERED_SINCE

UNKNOWN_MAX = 1_000_000  # while no upstream has named a limit
FRESH_MS = 3_000  # three missed reports; the lease has ended by then too


class UpstreamStatus(msgspec.Struct, frozen=True):
    """One upstream as one batcher sees it.

    Attributes:
        url: Where it is, without credentials.
        is_healthy: Whether its last probe or call went well.
        batch_inputs_max: Inputs that one call to it may have.
        in_flight: Inputs that it is working on for this batcher.
        info: Its own `/info` as it sent it, empty when it has none.
    """

    url: str
    is_healthy: bool
    batch_inputs_max: int
    in_flight: int
    info: msgspec.Raw = msgspec.Raw(b"null")


class BatcherStatus(msgspec.Struct, frozen=True):
    """One batcher.

    Attributes:
        at: When it reported, unix ms of Redis's clock.
        held: Inputs claimed and not yet sent.
        upstreams: In the order of INFERENCE_URL.
        drained_per_s: Inputs that it answers in a second while there is a backlog; 0 while it does not know.
        frame_version: Of the frames that it reads; 1 where it does not say.
    """

    at: int
    held: int
    upstreams: list[UpstreamStatus]
    drained_per_s: float = 0.0
    frame_version: int = 1


class Ahead(msgspec.Struct, frozen=True):
    """What a job that is pushed now would come behind.

    Attributes:
        usual: Inputs that wait in the queue.
        bulk: Inputs that wait in the bulk queue.
        claimed: Jobs that batchers have claimed and not answered.
    """

    usual: int = 0
    bulk: int = 0
    claimed: int = 0


class _Info(msgspec.Struct):
    """What counts here of TEI's `/info`."""

    max_input_length: Any = None
    model_type: Any = None
    served_model_name: Any = None
    model_id: Any = None


_decoder = msgspec.json.Decoder(BatcherStatus)
_decode_info = msgspec.json.Decoder(_Info).decode
encode = msgspec.json.Encoder().encode


def raw_json(text: bytes) -> msgspec.Raw:
    """Return the bytes as JSON to be embedded as they are, or as null when they are no JSON."""
    try:
        msgspec.json.decode(text)
    except NOT_AS_ASKED:
        return msgspec.Raw(b"null")
    return msgspec.Raw(text)


class Fleet:
    """The batchers that reported lately."""

    def __init__(self, reports: Iterable[bytes], now_ms: int) -> None:
        fresh = []
        for report in reports:
            try:
                status = _decoder.decode(report.decode())  # msgspec would not look into what it passes on raw
            except NOT_AS_ASKED:
                continue  # of another version, or not ours
            if now_ms - status.at < FRESH_MS:
                fresh.append(status)
        self.batchers = tuple(fresh)
        #: Inputs that all of them answer in a second while there is a backlog; 0 while nobody knows.
        self.drained_per_s = sum(batcher.drained_per_s for batcher in fresh)
        #: Whether each of them reads our frames or answers that it does not: none puts them aside without an answer.
        self.answers_our_frames = all(batcher.frame_version >= ANSWERED_SINCE for batcher in fresh)
        #: Of all batchers, the healthy ones first.
        self.upstreams = sorted(
            (upstream for batcher in fresh for upstream in batcher.upstreams), key=lambda u: not u.is_healthy
        )
        #: Whether there is a live batcher with a healthy upstream.
        self.is_healthy = any(upstream.is_healthy for upstream in self.upstreams)
        infos = [bytes(upstream.info) for upstream in self.upstreams if upstream.is_healthy]
        #: What the healthy upstreams say that they are, None when they do not agree: see `autobatch_shared.contract.cache_names`.
        self.model = model_identity(infos)
        #: Tokens after which every upstream cuts an input off or refuses it.
        self.input_tokens_max = max((_input_tokens_max(info) for info in infos), default=UNKNOWN_MAX)
        told = _read(self.info or b"")
        #: What the upstream calls its model; empty while nobody knows.
        self.served_model = next((n for n in (told.served_model_name, told.model_id) if n and isinstance(n, str)), "")
        #: The route that `POST /` stands for.
        self.alias = _alias(told.model_type)
        allowed = (upstream.batch_inputs_max for upstream in self.upstreams)
        self._batch_inputs_max = max(1, min(allowed, default=UNKNOWN_MAX))

    def batch_inputs_max(self, configured: int) -> int:
        """Inputs that a job may have, so that every upstream takes it."""
        return min(configured, self._batch_inputs_max)

    @property
    def info(self) -> bytes | None:
        """The upstream's own `/info`."""
        for upstream in self.upstreams:
            if (info := bytes(upstream.info)) != b"null":
                return info
        return None


def _read(info: bytes) -> _Info:
    try:
        return _decode_info(info)
    except NOT_AS_ASKED:
        return _Info()


def _input_tokens_max(info: bytes) -> int:
    said = _read(info).max_input_length
    return max(1, said) if type(said) is int else UNKNOWN_MAX


def _alias(model_type: object) -> str:
    """Source: the router of text-embeddings-inference 1.9, but for its TASK, which `/info` does not tell."""
    kinds = model_type if isinstance(model_type, dict) else {}
    if "classifier" in kinds:
        return "/predict"
    if "reranker" in kinds:
        return "/rerank"
    embedding = kinds.get("embedding")
    is_sparse = isinstance(embedding, dict) and embedding.get("pooling") == "splade"
    return "/embed_sparse" if is_sparse else "/embed"
