"""Many inputs at once that an upstream fails at: each is its client's, and no neighbour gets an error for it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from tests.support.fake_upstream import JSON, FakeUpstream, tei_error, vector
from tests.support.house import ready_house

CALL_S = 0.02
GOOD, BAD = 60, 30

Failing = Callable[[], Awaitable[web.StreamResponse]]


async def hangs_up() -> web.StreamResponse:
    raise asyncio.CancelledError  # the connection ends without an answer


async def says(status: int) -> web.StreamResponse:
    return tei_error(status, "out of range", "Backend")


async def no_number() -> web.StreamResponse:
    return web.Response(body=b"[[NaN]]", headers=JSON)


async def another_length() -> web.StreamResponse:
    return web.Response(body=b"[[0.5]]", headers=JSON)


FAILURES: dict[str, tuple[Failing, int]] = {
    "500": (lambda: says(500), 500),
    "424": (lambda: says(424), 424),
    "400": (lambda: says(400), 400),
    "502": (lambda: says(502), 503),
    "503": (lambda: says(503), 503),
    "504": (lambda: says(504), 503),
    "NaN": (no_number, 502),
    "another length": (another_length, 502),
    "a hang-up": (hangs_up, 503),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_many_that_an_upstream_fails_at_are_errors_of_their_clients_only(
    redis_url: str, upstream: FakeUpstream, failure: str
) -> None:
    fail, status = FAILURES[failure]

    async def behave(texts: list[str]) -> web.StreamResponse | None:
        await asyncio.sleep(CALL_S)
        return await fail() if any(text.startswith("bad") for text in texts) else None

    upstream.behave = behave
    good, bad = [f"good {number}" for number in range(GOOD)], [f"bad {number}" for number in range(BAD)]
    mixed = [text for three in zip(good[::2], bad, good[1::2], strict=True) for text in three]
    async with ready_house(redis_url, upstream.url) as house:
        answered = dict(zip(mixed, await house.embed_each(mixed), strict=True))

    assert {text: (200, [vector(text)]) for text in good} == {text: answered[text] for text in good}
    assert {status} == {answered[text][0] for text in bad}


async def test_what_is_refused_with_429_whenever_it_comes_is_told_so_and_holds_up_nobody(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """As OpenAI refuses a text that has more tokens than may be sent in a minute."""

    async def behave(texts: list[str]) -> web.StreamResponse | None:
        return tei_error(429, "too large", "Overloaded") if "bad" in texts else None

    upstream.behave = behave
    good = [f"good {number}" for number in range(GOOD)]
    async with ready_house(redis_url, upstream.url) as house:
        *answered, refused = await house.embed_each([*good, "bad"])

    assert [(200, [vector(text)]) for text in good] == answered
    assert refused[0] == 429
