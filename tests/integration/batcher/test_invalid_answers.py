"""Status 200 without the rows that were asked for: an upstream that does so is taken out, and an input of which it does so fails alone."""

import asyncio

import pytest
from aiohttp import web

from autobatch_batcher.upstreams import breaker
from tests.support.fake_upstream import JSON, FakeUpstream, vector
from tests.support.house import House, ready_house
from tests.support.waiting import wait_until

ODD = "odd"
CALL_INPUTS = 32
BODIES = {
    "a login page": b"<html><body>Sign in</body></html>",
    "nothing": b"",
    "JSON of another shape": b'{"status":"ok"}',
    "too few rows": b"[]",
    "null for a row": b"[null]",
}


@pytest.fixture
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """An upstream that was taken out is tried again at once."""
    monkeypatch.setattr(breaker, "PAUSE_MAX_S", 0.1)


class Says:
    """A behaviour: a call is answered 200 with this body, whatever it has, or only one that has a certain text."""

    def __init__(self, body: bytes, only: str = "") -> None:
        self._body = body
        self._only = only

    async def __call__(self, texts: list[str]) -> web.Response | None:
        return None if self._only and self._only not in texts else web.Response(body=self._body, headers=JSON)


async def states(house: House) -> list[tuple[str, str, str]]:
    """How each upstream is, as people see it."""
    lines = (await house.get("/dashboard.json")).json["upstreams"]
    return [(each["level"], each["state"], each["reason"]) for each in lines]


@pytest.mark.usefixtures("_short_pauses")
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_one_of_two_that_gives_no_rows_is_taken_out_and_costs_no_request(
    redis_url: str, upstream: FakeUpstream, other: FakeUpstream, body: bytes
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

        other.behave = Says(body)
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
        upstream.behave = Says(b"[null]", ODD)
        told = await house.embed_each([*texts, ODD])
        for _ in range(2 * breaker.FAILURES_MAX):
            assert (await house.embed(ODD))[0] == 502

        async def is_told() -> bool:
            ((level, _, reason),) = await states(house)
            assert level != "bad"
            return reason.startswith("invalid answer in ")

        await wait_until(is_told)
    assert [(200, [vector(text)]) for text in texts] == told[:-1]
    assert told[-1][0] == 502
