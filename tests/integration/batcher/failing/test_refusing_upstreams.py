"""An upstream that refuses us has not said what it serves: it is not called, and never becomes the namespace's model."""

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr

from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.house import House, open_house, ready_house
from tests.support.paid.paid_api import REFUSAL, PaidApi
from tests.support.waiting import wait_until

ROUTES = ("/health", "/info", "/embed", "/")


async def says(house: House, reason: str) -> bool:
    """Whether it is not well, and for this reason."""
    return not await is_healthy(house) and reason.encode() in (await house.get("/status")).body


async def is_healthy(house: House) -> bool:
    return (await house.get("/health")).status == 200


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (dict.fromkeys(ROUTES, 401), "it answers 401 to /info: INFERENCE_API_KEY"),
        ({"/info": 403}, "it answers 403 to /info: INFERENCE_API_KEY"),
        ({"/embed": 401}, "it answers 401 to /embed: INFERENCE_API_KEY"),
        ({"/info": 404, "/embed": 403}, "it answers 403 to /embed: INFERENCE_API_KEY"),
        (dict.fromkeys(ROUTES, 404), "it has neither /info nor /v1/models nor /models nor a vector"),
    ],
)
async def test_one_that_refuses_us_from_the_start_is_not_called_until_it_does_not(
    redis_url: str, upstream: FakeUpstream, refused: dict[str, int], reason: str
) -> None:
    upstream.refuses = refused
    async with open_house(redis_url) as house:
        await house.add_batcher(upstream.url)
        await wait_until(lambda: says(house, reason))
        listed = (await house.get("/status")).json["batchers"][0]["upstreams"][0]
        assert listed["reason"] == reason
        assert upstream.calls == []

        upstream.refuses = {}
        await wait_until(lambda: is_healthy(house))
        assert await house.embed("one") == (200, [vector("one")])


@pytest.mark.usefixtures("_quick_probes")
@pytest.mark.parametrize("status", [401, 403, 404])
async def test_one_that_begins_to_refuse_us_leaves_the_namespace_its_model(
    redis_url: str, upstream: FakeUpstream, status: int
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        before = await house.post("/embed", {"inputs": "one"})
        upstream.refuses = dict.fromkeys(ROUTES, status)
        await wait_until(lambda: says(house, "it "))
        upstream.refuses = {}
        await wait_until(lambda: is_healthy(house))
        after = await house.post("/embed", {"inputs": "one"})
    assert before.headers["x-model-fingerprint"] == after.headers["x-model-fingerprint"]


async def test_a_request_that_meets_a_refusal_waits_for_the_key(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        upstream.refuses = dict.fromkeys(ROUTES, 401)
        waiting = asyncio.create_task(house.embed("one"))
        await wait_until(lambda: says(house, "it answers 401"))
        upstream.refuses = {}
        assert await waiting == (200, [vector("one")])


async def test_beside_one_that_refuses_us_the_other_is_the_model(redis_url: str, upstream: FakeUpstream) -> None:
    other = FakeUpstream(refuses=dict.fromkeys(ROUTES, 401))
    await other.start()
    try:
        async with ready_house(redis_url, f"{other.url},{upstream.url}") as house:
            assert await house.embed("one") == (200, [vector("one")])
    finally:
        await other.stop()
    assert other.calls == []


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_one_of_two_that_loses_its_model_while_it_runs_costs_no_request(
    redis_url: str, upstream: FakeUpstream, status: int
) -> None:
    """Its health and its card stay as they were: only vectors are refused."""
    lists = [[f"text {number}" for number in range(start, start + 32)] for start in (0, 32)]
    other = FakeUpstream()
    await other.start()
    try:
        async with ready_house(redis_url, f"{other.url},{upstream.url}") as house:
            other.refuses = {"/embed": status}
            answers: list[tuple[int, object]] = []

            async def is_seen() -> bool:
                """Two full calls at once: one for each upstream."""
                answers.extend(await asyncio.gather(*map(house.embed, lists)))
                return f"it answers {status} to /embed".encode() in (await house.get("/status")).body

            await wait_until(is_seen)
            calls = len(other.calls)
            other.refuses = {}
            await wait_until(lambda: are_all_well(house))
    finally:
        await other.stop()
    assert answers == [(200, list(map(vector, texts))) for texts in lists] * (len(answers) // 2)
    assert calls == 0


async def are_all_well(house: House) -> bool:
    batchers = (await house.get("/status")).json["batchers"]
    return all(each["is_healthy"] for each in batchers[0]["upstreams"])


async def test_a_route_that_one_upstream_has_not_is_asked_of_the_other_one_and_takes_none_out(
    redis_url: str, upstream: FakeUpstream
) -> None:
    other = FakeUpstream()
    await other.start()
    try:
        async with ready_house(redis_url, f"{other.url},{upstream.url}") as house:
            other.refuses = {"/embed_all": 404}
            answers = [await house.post("/embed_all", {"inputs": f"text {number}"}) for number in range(6)]
            assert await are_all_well(house)
    finally:
        await other.stop()
    assert {answer.status for answer in answers} == {200}


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ((429, "insufficient_quota", "insufficient_quota"), "insufficient_quota"),
        ((402, "payment_required", "insufficient_credits"), None),
    ],
)
async def test_an_account_without_money_is_told_at_once_in_the_upstreams_words(
    redis_url: str, caplog: pytest.LogCaptureFixture, refusal: tuple[int, str, str], code: str | None
) -> None:
    """A client would wait until its deadline for what no waiting brings."""
    api, status = PaidApi(), refusal[0]
    async with (
        api.listening() as url,
        ready_house(redis_url, url, inference_api_key=SecretStr(api.key), upstream_rpm=6000) as house,
    ):
        assert await house.embed("one") == (200, [vector("one")])
        api.refusal = refusal
        told = await asyncio.gather(*[house.post("/embed", {"inputs": f"text {place}"}) for place in range(8)])
        by_openai = await house.post("/v1/embeddings", {"input": "a", "model": "minilm"})
        api.refusal = None
        after = await house.embed("two")

    error_type = code or "Validation"
    assert [(status, {"error": REFUSAL, "error_type": error_type})] * 8 == [(each.status, each.json) for each in told]
    error = {"message": REFUSAL, "type": error_type, "param": None, "code": code}
    assert (by_openai.status, by_openai.json["error"]) == (status, error)
    assert after == (200, [vector("two")])
    assert api.refused <= 9
    assert f"status {status}" in [
        vars(record)["cause"][:10] for record in caplog.records if "upstream_call_failed" in record.msg
    ]


async def test_one_whose_account_has_no_money_from_the_start_is_not_called(redis_url: str) -> None:
    api = PaidApi(refusal=(429, "insufficient_quota", "insufficient_quota"))
    async with api.listening() as url, open_house(redis_url) as house:
        await house.add_batcher(url, inference_api_key=SecretStr(api.key))
        await wait_until(
            lambda: says(house, "it answers 429 to /v1/embeddings: its account there has no money or quota left")
        )
        api.refusal = None
        await wait_until(lambda: is_healthy(house))


@pytest.mark.parametrize("lists", [True, False])
async def test_that_the_key_was_revoked_is_told_to_clients_as_what_it_is(redis_url: str, *, lists: bool) -> None:
    """The upstream can be reached: it says 401."""
    api = PaidApi(lists=lists)
    async with (
        api.listening() as url,
        ready_house(
            redis_url, url, inference_api_key=SecretStr(api.key), upstream_model="minilm", upstream_patience_ms=0
        ) as house,
    ):
        assert await house.embed("one") == (200, [vector("one")])
        api.key = "sk-other"
        told = [await house.post("/embed", {"inputs": "a"}, x_request_timeout_ms="5000") for _ in range(3)]
        await wait_until(lambda: says(house, "it answers 401"))
        told += [await house.post("/embed", {"inputs": "a"}, x_request_timeout_ms="5000") for _ in range(3)]
    assert [] == [(each.status, each.body) for each in told if b" 401 " not in each.body]


@pytest.mark.usefixtures("_quick_probes")
@pytest.mark.parametrize("status", [500, 503])
async def test_of_one_that_answers_with_errors_clients_are_told_the_status_and_not_that_it_cannot_be_reached(
    redis_url: str, upstream: FakeUpstream, status: int
) -> None:
    async with ready_house(redis_url, upstream.url, upstream_patience_ms=0) as house:
        upstream.refuses = {"/embed": status, "/health": status}
        told = []

        async def is_out() -> bool:
            told.append(await house.post("/embed", {"inputs": "a"}))
            return not await is_healthy(house) and len(told) > 20

        await wait_until(is_out)
    assert {503} <= {each.status for each in told} <= {503, status}
    assert {f"The upstream answered {status}"} == {each.json["error"] for each in told if each.body}


@pytest.mark.usefixtures("_quick_probes")
@pytest.mark.parametrize(
    "answer", [204, 301, b"[]", b"<!doctype html>"], ids=["nothing", "a redirect", "no rows", "a page"]
)
async def test_of_one_that_answers_wrongly_clients_are_told_so_and_not_that_it_cannot_be_reached(
    redis_url: str, upstream: FakeUpstream, answer: int | bytes
) -> None:
    """Its health is good, so once it is taken out nothing else says what is wrong."""
    async with ready_house(redis_url, upstream.url, upstream_patience_ms=0) as house:
        if isinstance(answer, int):
            upstream.refuses = {"/embed": answer}
        else:
            upstream.rows = lambda _: answer
        told: list[tuple[int, Any]] = []

        async def is_out() -> bool:
            told.extend(await house.embed_each([f"{len(told)} {number}" for number in range(16)]))
            return [status for status, _ in told].count(503) > 20

        await wait_until(is_out)
    assert {status for status, _ in told} <= {502, 503}
    assert {body["error"] for status, body in told if status == 503} == {"The upstream's answers are invalid"}


async def test_one_whose_probes_go_well_while_its_calls_fail_is_not_healthy_until_one_is_answered(
    redis_url: str, upstream: FakeUpstream
) -> None:
    async with ready_house(redis_url, upstream.url, upstream_patience_ms=0) as house:
        upstream.refuses = {"/embed": 500}

        async def is_out() -> bool:
            await house.post("/embed", {"inputs": "a"})
            return not await is_healthy(house)

        await wait_until(is_out)
        upstream.refuses = {}
        await wait_until(lambda: is_healthy(house))  # without a request: it is tried
        assert await house.embed("one") == (200, [vector("one")])
