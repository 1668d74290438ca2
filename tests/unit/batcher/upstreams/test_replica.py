"""What an upstream's answer says, and what is learnt of it from which call."""

from typing import Any, Self

import aiohttp
import pytest

from autobatch_batcher.upstreams.breaker import FAILURES_MAX
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Answer, Upstream
from autobatch_batcher.upstreams.tuning import Tuner

JSON = "application/json"


def answer(body: bytes, status: int = 424) -> Answer:
    return Answer(status, JSON, body, None)


def tei(message: str) -> bytes:
    return b'{"error":"%b","error_type":"Backend"}' % message.encode()


OTHER_MODEL = [
    "Backend error: Model is not an embedding model",
    "Backend error: Model is not an embedding model with SPLADE pooling",
    "Backend error: Model is not a classifier model",
    "Backend error: model is not a re-ranker model",
    "Backend error: `normalize` is not available for SPLADE models",
    "Backend error: `embed_all` is not available for SPLADE models",
]


@pytest.mark.parametrize("message", OTHER_MODEL)
def test_a_route_of_another_model_is_told_from_a_failure(message: str) -> None:
    assert answer(tei(message)).is_of_another_model
    assert answer(b" " + tei(message) + b"\n").is_of_another_model
    assert not answer(tei(message), 500).is_of_another_model


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        tei("Backend error: out of memory"),
        tei("Model is overloaded"),
        tei('Backend error: Model is not a \\"user text\\"'),
        tei("Backend error: could not compute: Model is not a classifier model"),
        tei("score is NaN"),
        b"Backend error: Model is not a classifier model",
    ],
)
def test_a_failure_is_a_failure(body: bytes) -> None:
    assert not answer(body).is_of_another_model


class _Response:
    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status, self.headers, self._body = status, headers, body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing to close."""

    async def read(self) -> bytes:
        return self._body


class Session:
    """Answers every call alike, or raises."""

    def __init__(self, status: int = 200, body: bytes = b"[[1]]", headers: dict[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, body, headers or {}
        self.error: Exception | None = None

    def post(self, _url: str, **_: Any) -> _Response:
        if self.error is not None:
            raise self.error
        return _Response(self.status, self.body, self.headers)


def upstream(session: Any) -> Upstream:
    made = Upstream(session, "http://a", configured(32, 10**6), None, Tuner(2))
    made.is_healthy = True
    return made


async def test_a_count_says_nothing_of_how_the_upstream_computes() -> None:
    """One whose passes fail still counts tokens: else its breaker would never open."""
    session = Session(500)
    one = upstream(session)
    for _ in range(FAILURES_MAX):
        assert one.breaker.is_closed
        await one.post("/embed", b"", JSON, 1)
        session.status = 200
        await one.ask("/tokenize", b"", JSON, 1)
        session.status = 500

    assert not one.breaker.is_closed
    session.status = 200
    await one.ask("/tokenize", b"", JSON, 1)
    assert not one.breaker.is_closed


@pytest.mark.parametrize("status", [501, 503, 424])
async def test_nor_does_a_count_that_fails(status: int) -> None:
    one = upstream(Session(status, b""))
    for _ in range(2 * FAILURES_MAX):
        await one.ask("/tokenize", b"", JSON, 1)
    assert one.breaker.is_closed


async def test_a_route_of_another_model_opens_no_breaker() -> None:
    """Or whoever asks for `/rerank` takes the upstream from everybody."""
    one = upstream(Session(424, tei(OTHER_MODEL[0])))
    for _ in range(2 * FAILURES_MAX):
        await one.post("/rerank", b"", JSON, 1)
    assert one.breaker.is_closed

    failing = upstream(Session(424, tei("Backend error: out of memory")))
    for _ in range(FAILURES_MAX):
        await failing.post("/embed", b"", JSON, 1)
    assert not failing.breaker.is_closed


async def test_an_upstream_that_hangs_up_is_away_unless_it_only_counted() -> None:
    session = Session()
    session.error = aiohttp.ServerDisconnectedError()
    one = upstream(session)
    with pytest.raises(Exception, match="hung up"):
        await one.ask("/tokenize", b"", JSON, 1)
    assert one.is_healthy
    with pytest.raises(Exception, match="hung up"):
        await one.post("/embed", b"", JSON, 1)
    assert not one.is_healthy


async def test_measures_are_what_a_reply_can_carry() -> None:
    """A header need not be UTF-8, and a reply's has to be."""
    said = {"x-compute-type": "cpu\udcff", "x-compute-time": "7", "x-secret": "no", "x-queue-time": ""}

    assert (await upstream(Session(headers=said)).post("/embed", b"", JSON, 1)).measures == {"x-compute-time": "7"}
