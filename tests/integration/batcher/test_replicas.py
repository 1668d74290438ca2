"""Several upstreams: a bad one gets no calls and is tried again, and no client is affected."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from autobatch_batcher.upstreams import breaker
from autobatch_batcher.upstreams.breaker import FAILURES_MAX
from tests.support.fake_upstream import JSON, FakeUpstream, tei_error, vector
from tests.support.house import House, ready_house
from tests.support.waiting import wait_until

CALL_S, DRAINS_S, CLIENTS, ROUNDS = 0.05, 0.4, 24, 25
ODD = "odd"
CALL_INPUTS = 32
NO_ROWS = {
    "a login page": (200, b"<html><body>Sign in</body></html>"),
    "the way to one": (302, b""),
    "nothing": (200, b""),
    "nothing, and no more to come": (204, b""),
    "JSON of another shape": (200, b'{"status":"ok"}'),
    "too few rows": (200, b"[]"),
    "null for a row": (200, b"[null]"),
}


async def failing(_texts: list[str]) -> web.StreamResponse:
    """What a replica does whose health is green and whose model is gone."""
    return tei_error(500, "out of memory", "Backend")


async def test_work_goes_to_both(redis_url: str, upstream: FakeUpstream, other: FakeUpstream) -> None:
    texts = [f"text {number}" for number in range(300)]
    async with ready_house(redis_url, f"{upstream.url},{other.url}") as house:
        await wait_until(lambda: both_told(upstream, other))
        assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)
    assert upstream.calls
    assert other.calls


def both_told(*upstreams: FakeUpstream) -> bool:
    return all(upstream.info_asked for upstream in upstreams)


async def test_a_replica_that_only_fails_is_taken_out_and_comes_back(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream
) -> None:
    async with ready_house(redis_url, f"{upstream.url},{other.url}", upstream_attempts=3) as house:

        async def has_calls(count: int) -> bool:
            texts = [f"before {number}" for number in range(100)]  # more than a call, so that one goes to each
            assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)
            return len(other.calls) >= count

        await wait_until(lambda: has_calls(2))  # one of them may be the prober's: one that never worked is not called
        other.behave = failing
        other.calls.clear()
        await wait_until(lambda: has_calls(FAILURES_MAX))
        other.calls.clear()
        for number in range(60):
            assert (200, [vector(f"text {number}")]) == await house.embed(f"text {number}")
        assert len(other.calls) < 15  # a few trials; half of all would be 30 and more
        other.behave = None
        other.calls.clear()

        async def is_used_again() -> bool:
            assert (await house.embed("again"))[0] == 200
            return len(other.calls) > 1

        await wait_until(is_used_again)


async def test_each_replica_gets_what_it_takes(redis_url: str, upstream: FakeUpstream, other: FakeUpstream) -> None:
    upstream.info = {"model_id": "fake", "max_client_batch_size": 8, "max_concurrent_requests": 512}
    texts = [f"text {number}" for number in range(400)]
    async with ready_house(redis_url, f"{upstream.url},{other.url}") as house:
        await wait_until(lambda: both_told(upstream, other))
        assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)
    assert max(map(len, upstream.calls)) <= 8
    assert max(map(len, other.calls)) > 8


# One of two goes away under load, and no client is told.


async def holds(_texts: list[str]) -> None:
    """Take long enough that both have calls in flight all the time."""
    await asyncio.sleep(CALL_S)


async def says_503(_texts: list[str]) -> web.StreamResponse:
    return web.Response(status=503, text="nothing is behind this")


async def drains(away: FakeUpstream) -> None:
    """As a container that is stopped and started again."""
    await away.drain()
    await asyncio.sleep(DRAINS_S)
    await away.stop()
    away.behave = holds
    await away.start()


async def answers_503(away: FakeUpstream) -> None:
    """As a proxy that stands in its place, with a green health."""
    away.behave = says_503


async def becomes_another(away: FakeUpstream) -> None:
    await away.stop()
    away.info = {"model_id": "other", "max_client_batch_size": 32, "max_concurrent_requests": 512}
    away.rows = lambda texts: b"[%b]" % b",".join([b"[0.25,0.5]"] * len(texts))
    await away.start()


@pytest.mark.parametrize("goes_away", [drains, answers_503, becomes_another])
async def test_one_of_two_that_goes_away_under_load_costs_no_client_an_error(
    redis_url: str,
    upstream: FakeUpstream,
    other: FakeUpstream,
    goes_away: Callable[[FakeUpstream], Awaitable[None]],
) -> None:
    upstream.behave = other.behave = holds
    async with ready_house(
        redis_url, f"{upstream.url},{other.url}", max_batch_size=8, max_concurrent_batches=1
    ) as house:
        await wait_until(lambda: both_told(upstream, other))
        answers: list[tuple[str, tuple[int, object]]] = []

        async def asks(client: int) -> None:
            for number in range(ROUNDS):
                text = f"client {client} text {number}"
                answers.append((text, await house.embed(text)))

        clients = [asyncio.create_task(asks(client)) for client in range(CLIENTS)]
        await wait_until(lambda: len(answers) > 4 * CLIENTS and len(other.calls) > 2)
        await goes_away(other)
        await asyncio.gather(*clients)
    assert [answer for text, answer in answers if answer != (200, [vector(text)])] == []


# No error, and not the rows that were asked for.


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream that was taken out is tried again at once."""
    monkeypatch.setattr(breaker, "PAUSE_MAX_S", 0.1)


class SaysNoRows:
    """A behaviour: a call is answered with this status and body, whatever it has, or only one that has a certain text."""

    def __init__(self, status: int, body: bytes, only: str = "") -> None:
        self._status = status
        self._body = body
        self._only = only

    async def __call__(self, texts: list[str]) -> web.Response | None:
        if self._only and self._only not in texts:
            return None
        return web.Response(status=self._status, body=self._body or None, headers=JSON)


async def states(house: House) -> list[tuple[str, str, str]]:
    """How each upstream is, as people see it."""
    lines = (await house.get("/dashboard.json")).json["upstreams"]
    return [(each["level"], each["state"], each["reason"]) for each in lines]


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize(("status", "body"), NO_ROWS.values(), ids=NO_ROWS)
async def test_one_of_two_that_gives_no_rows_is_taken_out_and_costs_no_request(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream, status: int, body: bytes
) -> None:
    lists = [[f"text {number}" for number in range(start, start + CALL_INPUTS)] for start in (0, CALL_INPUTS)]
    async with ready_house(redis_url, f"{other.url},{upstream.url}") as house:
        answers: list[tuple[int, object]] = []

        async def ask() -> None:
            """Two calls at once: one for each upstream."""
            answers.extend(await asyncio.gather(*map(house.embed, lists)))

        async def is_taken_out() -> bool:
            await ask()
            return any(
                (level, state) == ("bad", "failing") and why.startswith("invalid answer")
                for level, state, why in await states(house)
            )

        other.behave = SaysNoRows(status, body)
        await wait_until(is_taken_out)
        other.behave = None

        async def are_both_well() -> bool:
            await ask()
            return "bad" not in {level for level, _, _ in await states(house)}

        await wait_until(are_both_well)
    assert [(200, list(map(vector, texts))) for texts in lists] * (len(answers) // 2) == answers


async def test_a_text_whose_answer_has_no_rows_fails_alone_and_takes_no_upstream_out(
    redis_url: str, upstream: FakeUpstream
) -> None:
    texts = [f"text {number}" for number in range(15)]
    async with ready_house(redis_url, upstream.url) as house:
        upstream.behave = SaysNoRows(200, b"[null]", ODD)
        told = await house.embed_each([*texts, ODD])
        for _ in range(2 * FAILURES_MAX):
            assert (await house.embed(ODD))[0] == 502

        async def is_told() -> bool:
            ((level, _, reason),) = await states(house)
            assert level != "bad"
            return reason.startswith("invalid answer in ")

        await wait_until(is_told)
    assert [(200, [vector(text)]) for text in texts] == told[:-1]
    assert told[-1][0] == 502
