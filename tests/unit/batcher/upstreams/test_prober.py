"""What an upstream that has never answered is said to be."""

import logging

import pytest

from autobatch_batcher.dialects.base import Question
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.clients.upstream_client import CallConnection
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.standing import NO_RECORD
from autobatch_shared.watching.upstream_words import obstacle_words
from tests.unit.upstreams import NO_SESSION


class RefusingClient(HttpClient):
    """Finds no server at its address."""

    def __init__(self) -> None:
        super().__init__(NO_SESSION, "http://a", None)

    async def fetch(self, question: Question, connection: CallConnection | None = None) -> tuple[int, bytes]:  # noqa: ARG002 - as the real one
        raise ConnectionRefusedError(111, "refused")


def upstream() -> Replica:
    made = Replica("http://a", RefusingClient(), [Tei()], configured(32, 10**6), Tuner(2))
    made.wait_for_model(0.0)
    return made


async def test_one_that_was_never_reached_says_why() -> None:
    one = upstream()
    assert one.reason == NO_RECORD

    await one.prober.probe()

    why = "it has not said yet what it serves: connection refused"
    assert (one.reason, one.obstacle, obstacle_words(one.status(32, 0.0))) == (why, why, why)


async def test_that_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    one = upstream()
    with caplog.at_level(logging.INFO):
        await one.prober.probe()
        await one.prober.probe()
    assert [(record.message, record.__dict__["why"]) for record in caplog.records] == [
        ("upstream_health_changed", "ECONNREFUSED")
    ]
