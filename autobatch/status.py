"""What each batcher publishes of itself and its upstreams, for health, `/info` and people."""

from collections.abc import Iterable

import msgspec

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
    """

    at: int
    held: int
    upstreams: list[UpstreamStatus]


_decoder = msgspec.json.Decoder(BatcherStatus)
encode = msgspec.json.Encoder().encode


def raw_json(text: bytes) -> msgspec.Raw:
    """Return the bytes as JSON to be embedded as they are, or as null when they are no JSON."""
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return msgspec.Raw(b"null")
    return msgspec.Raw(text)


class Fleet:
    """The batchers that reported lately."""

    def __init__(self, reports: Iterable[bytes], now_ms: int) -> None:
        fresh = []
        for report in reports:
            try:
                status = _decoder.decode(report)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue  # of another version, or not ours
            if now_ms - status.at < FRESH_MS:
                fresh.append(status)
        self.batchers = tuple(fresh)

    @property
    def upstreams(self) -> list[UpstreamStatus]:
        """Of all batchers, the healthy ones first."""
        every = [upstream for batcher in self.batchers for upstream in batcher.upstreams]
        return sorted(every, key=lambda upstream: not upstream.is_healthy)

    @property
    def is_healthy(self) -> bool:
        """Whether there is a live batcher with a healthy upstream."""
        return any(upstream.is_healthy for upstream in self.upstreams)

    def batch_inputs_max(self, configured: int) -> int:
        """Inputs that a job may have, so that every upstream takes it."""
        return min([configured, *(upstream.batch_inputs_max for upstream in self.upstreams)])

    @property
    def info(self) -> bytes | None:
        """The upstream's own `/info`."""
        for upstream in self.upstreams:
            if (info := bytes(upstream.info)) != b"null":
                return info
        return None
