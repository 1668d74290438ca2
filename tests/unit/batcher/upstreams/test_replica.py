"""What is learnt of an upstream from which of its answers."""

import asyncio
from typing import Any, Self

import aiohttp
import pytest

from autobatch_batcher.dialects.base import Answer, Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.tuning.recent_calls import NO_CALL_SEEN
from autobatch_batcher.tuning.tuner import Sample, Tuner
from autobatch_batcher.upstreams.breaker import FAILURES_MAX
from autobatch_batcher.upstreams.http_client import HttpClient
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.contract.errors import UpstreamUnavailable
from tests.unit.upstreams import NO_SESSION


def tei(message: str) -> bytes:
    return b'{"error":"%b","error_type":"Backend"}' % message.encode()


OTHER_MODEL = "Backend error: Model is not an embedding model"


class _Response:
    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.status, self.headers, self._body = status, headers, body
        self.content_length = len(body)

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


def upstream(session: Any) -> Replica:
    made = Replica("http://a", HttpClient(session, "http://a", None), [Tei()], configured(32, 10**6), Tuner(2))
    made.is_healthy = True
    return made


async def test_a_count_says_nothing_of_how_the_upstream_computes() -> None:
    """One whose passes fail still counts tokens: else its breaker would never open."""
    session = Session(500)
    one = upstream(session)
    for _ in range(FAILURES_MAX):
        assert one.breaker.is_closed
        await one.call(Post("/embed", b""), 1)
        session.status = 200
        await one.ask(Post("/tokenize", b""), 1)
        session.status = 500

    assert not one.breaker.is_closed
    session.status = 200
    await one.ask(Post("/tokenize", b""), 1)
    assert not one.breaker.is_closed


@pytest.mark.parametrize("status", [501, 503, 424])
async def test_nor_does_a_count_that_fails(status: int) -> None:
    one = upstream(Session(status, b""))
    for _ in range(2 * FAILURES_MAX):
        await one.ask(Post("/tokenize", b""), 1)
    assert one.breaker.is_closed


async def test_a_route_of_another_model_opens_no_breaker() -> None:
    """Or a client that sends `/rerank` would disable the upstream for all others."""
    one = upstream(Session(424, tei(OTHER_MODEL)))
    for _ in range(2 * FAILURES_MAX):
        await one.call(Post("/rerank", b""), 1)
    assert one.breaker.is_closed

    failing = upstream(Session(424, tei("Backend error: out of memory")))
    for _ in range(FAILURES_MAX):
        await failing.call(Post("/embed", b""), 1)
    assert not failing.breaker.is_closed


async def test_an_upstream_that_hangs_up_is_away_unless_it_only_counted() -> None:
    session = Session()
    session.error = aiohttp.ServerDisconnectedError()
    one = upstream(session)
    with pytest.raises(Exception, match="hung up"):
        await one.ask(Post("/tokenize", b""), 1)
    assert one.is_healthy
    with pytest.raises(Exception, match="hung up"):
        await one.call(Post("/embed", b""), 1)
    assert not one.is_healthy


async def test_measures_are_what_a_reply_can_carry() -> None:
    """A header need not be UTF-8, and a reply's has to be."""
    said = {"x-compute-type": "cpu\udcff", "x-compute-time": "7", "x-secret": "no", "x-queue-time": ""}

    assert (await upstream(Session(headers=said)).call(Post("/embed", b""), 1)).measures == {"x-compute-time": "7"}


def test_of_an_idle_upstream_it_is_unknown_what_a_call_takes() -> None:
    """Only a call can show it, so none is kept from being made by what calls took before."""
    one = upstream(Session())
    one.tuner.note(Sample(one.tuner.setting, 100, 100, 0.0, 1.5, was_busy=True))
    idle = one.call_time(1.5, 32, is_scarce=False)
    one.load.calls = 1

    assert (NO_CALL_SEEN, 1500.0) == (idle, one.call_time(1.5, 32, is_scarce=False).ms(100))


def test_where_another_job_takes_its_place_one_is_dropped_by_what_calls_took_at_most() -> None:
    """Also at an upstream that is idle for this moment: a call in vain would cost that other job its own."""
    one = upstream(Session())
    for ended_s, takes_s in ((1.0, 1.0), (1.5, 0.5)):
        one.tuner.note(Sample(one.tuner.setting, 100, 100, ended_s - takes_s, ended_s, was_busy=True))

    assert 1000.0 == one.call_time(1.5, 1, is_scarce=True).ms(100)


class Draining(HttpClient):
    """Answers a call that it has, and refuses another one meanwhile."""

    def __init__(self) -> None:
        super().__init__(NO_SESSION, "http://a", None)
        self.answers = asyncio.Event()
        self.refuses = False

    async def send(self, _post: Post, _timeout_s: float) -> Answer:
        if self.refuses:
            raise UpstreamUnavailable
        await self.answers.wait()
        return Answer(200, "application/json", b"[[1]]", None)


async def test_the_late_answer_of_one_that_drains_does_not_say_that_it_is_back() -> None:
    """The connection that was refused is newer than the call."""
    client = Draining()
    one = Replica("http://a", client, [Tei()], configured(32, 10**6), Tuner(2))
    late = asyncio.create_task(one.call(Post("/embed", b""), 1))
    await asyncio.sleep(0)
    client.refuses = True
    with pytest.raises(UpstreamUnavailable):
        await one.call(Post("/embed", b""), 1)
    client.answers.set()

    assert 200 == (await late).status
    assert (False, True) == (one.is_healthy, one.down_since_s is not None)
    client.refuses = False
    await one.call(Post("/embed", b""), 1)
    assert (True, None) == (one.is_healthy, one.down_since_s)
