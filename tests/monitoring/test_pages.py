"""What `/metrics` says, of workers and of batchers, while they work and when something is missing."""

import asyncio
import re

from pydantic import SecretStr

from autobatch_batcher.side_port import together
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import House, left_house, open_house, ready_house
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

KEYS = ("first", "second")


def figure(text: str, series: str) -> float | None:
    """The value of a series, by its name and labels as they are written; None: it is not there."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.MULTILINE)
    return None if found is None else float(found[1])


async def says(house: House, series: str, value: float | None) -> bool:
    return figure(await house.metrics(), series) == value


async def test_the_queue_is_seen_while_jobs_wait_in_it(redis_url: str, upstream: FakeUpstream) -> None:
    async with left_house(redis_url, upstream.url, max_queue_size=4) as house:
        asked = [asyncio.create_task(house.embed(text)) for text in ("one", "another")]
        await wait_until(lambda: says(house, 'autobatch_fleet_queue_jobs{queue="usual"}', 2))
        await wait_until(lambda: _ages(house))
        text = await house.metrics()
        await house.add_batcher(upstream.url)
        await asyncio.gather(*asked)
        await wait_until(lambda: says(house, 'autobatch_fleet_queue_jobs{queue="usual"}', 0))

    assert figure(text, 'autobatch_fleet_queue_inputs{queue="usual"}') == 2
    assert 0 < (figure(text, 'autobatch_fleet_queue_bytes{queue="usual"}') or 0) < 2_000
    assert figure(text, 'autobatch_fleet_queue_jobs{queue="bulk"}') == 0
    assert figure(text, "autobatch_in_flight_inputs") == 2
    assert figure(text, "autobatch_fleet_saturation_ratio") == 0.5
    assert figure(text, "autobatch_redis_up") == 1


async def _ages(house: House) -> bool:
    return (figure(await house.metrics(), 'autobatch_fleet_queue_oldest_age_seconds{queue="usual"}') or 0) > 0


async def test_the_fleet_is_counted_without_naming_it(redis_url: str, upstream: FakeUpstream) -> None:
    """The workers' port is public, and the upstreams' addresses are not."""
    async with ready_house(redis_url, upstream.url) as house:
        await wait_until(lambda: says(house, "autobatch_fleet_upstreams_up", 1))
        text = await house.metrics()
    assert figure(text, "autobatch_fleet_batchers") == 1
    assert figure(text, "autobatch_fleet_saturation_ratio") == 0
    assert upstream.url not in text


async def test_without_redis_the_page_says_so_and_leaves_the_fleet_out(own_redis: RedisServer) -> None:
    own_redis.start()
    async with open_house(own_redis.url) as house:
        await wait_until(lambda: says(house, "autobatch_redis_up", 1))
        own_redis.kill()
        await wait_until(lambda: says(house, "autobatch_redis_up", 0))
        text = await house.metrics()
    # Not 0 batchers, either: an alert would have the operator start some.
    assert [] == [line for line in text.splitlines() if line.startswith("autobatch_fleet_")]


async def test_a_refusal_is_counted_by_its_reason_and_apart_from_good_answers(
    redis_url: str, upstream: FakeUpstream
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await house.embed("hello")
        await house.embed("poison")
        await house.post("/embed", {"inputs": "hello"}, x_request_timeout_ms="soon")
        text = await house.metrics()
    refusals = 'autobatch_http_refusals_total{{reason="{}",route="/embed"}}'
    assert figure(text, refusals.format("upstream_422")) == 1
    assert figure(text, refusals.format("invalid_request")) == 1
    seconds = 'autobatch_http_request_duration_seconds_count{{code="{}",route="/embed"}}'
    assert [figure(text, seconds.format(code)) for code in (200, 422)] == [1, 2]


async def test_a_body_that_is_not_taken_is_counted_by_what_is_wrong_with_it(redis_url: str) -> None:
    async with open_house(redis_url, payload_limit=100) as house:
        for words, content_type in (("long " * 30, "application/json"), ("short", "text/plain")):
            body, headers = f'{{"inputs":"{words}"}}'.encode(), {"Content-Type": content_type}
            async with house.http.post(f"{house.url}/embed", data=body, headers=headers) as answer:
                await answer.read()
        text = await house.metrics()
    refusals = 'autobatch_http_refusals_total{{reason="{}",route="/embed"}}'
    assert figure(text, refusals.format("body_too_large")) == 1
    assert figure(text, refusals.format("wrong_content_type")) == 1


async def test_what_is_refused_before_it_is_read_is_counted_too(redis_url: str) -> None:
    async with open_house(redis_url, api_keys=SecretStr(KEYS[0])) as house:
        await house.embed("hello")
        await house.post("/nowhere/1", {})
        await house.post("/nowhere/2", {})
        await house.post("/health", {})
        text = await house.metrics()
    requests, refusals = "autobatch_http_requests_total", "autobatch_http_refusals_total"
    assert figure(text, f'{requests}{{code="401",route="/embed"}}') == 1
    assert figure(text, f'{refusals}{{reason="unauthorized",route="/embed"}}') == 1
    assert figure(text, f'{requests}{{code="404",route="none"}}') == 2
    assert figure(text, f'{refusals}{{reason="unknown_path",route="none"}}') == 2
    assert figure(text, f'{refusals}{{reason="method_not_allowed",route="/health"}}') == 1


async def test_the_phases_are_all_of_a_requests_time(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await house.embed("hello")
        text = await house.metrics()
    phases = [
        figure(text, f'autobatch_http_request_phase_seconds_total{{phase="{each}"}}')
        for each in ("queue", "upstream", "own")
    ]
    whole_s = figure(text, 'autobatch_http_request_duration_seconds_sum{code="200",route="/embed"}')
    assert all(each is not None and each >= 0 for each in phases)
    assert whole_s is not None
    assert 0 < sum(filter(None, phases)) <= whole_s + 0.002  # queue's part is exact to a millisecond


async def test_requests_are_counted_by_the_place_of_their_key(redis_url: str) -> None:
    async with open_house(redis_url, api_keys=SecretStr(",".join(KEYS))) as house:
        for key in (KEYS[1], KEYS[1], KEYS[0], "none of them"):
            await house.embed("hello", {"Authorization": f"Bearer {key}"})
        text = await house.metrics()
    assert [figure(text, f'autobatch_key_requests_total{{key="{place}"}}') for place in (1, 2, 3)] == [1, 2, None]


async def test_a_batcher_names_its_upstreams_and_what_they_serve(
    redis_url: str, upstream: FakeUpstream, unused_port: int
) -> None:
    async with ready_house(redis_url, upstream.url, batcher_port=unused_port) as house:
        await house.embed_each(["a", "b", "c"])
        async with house.http.get(f"http://127.0.0.1:{unused_port}/metrics") as answer:
            text = await answer.text()
        async with house.http.get(f"http://127.0.0.1:{unused_port}/metrics?upstream=1") as answer:
            theirs = await answer.text()
    assert figure(text, f'autobatch_upstream_up{{upstream="{upstream.url}"}}') == 1
    assert figure(text, f'autobatch_upstream_breaker_open{{upstream="{upstream.url}"}}') == 0
    calls = figure(text, f'autobatch_upstream_calls_total{{code="200",upstream="{upstream.url}"}}')
    assert calls == figure(text, f'autobatch_upstream_call_seconds_count{{upstream="{upstream.url}"}}')
    assert figure(text, "autobatch_queue_wait_seconds_count") == 3, "of every job, not of a batch's oldest"
    assert 'autobatch_upstream_info{dialect="tei"' in text
    assert "_created" not in text
    assert theirs == f"# {upstream.url} has no metrics for Prometheus at /metrics, or does not answer.\n"


async def test_a_batcher_counts_what_fails_by_its_cause_and_says_what_is_wrong_now(
    redis_url: str, upstream: FakeUpstream, unused_port: int
) -> None:
    async with ready_house(redis_url, upstream.url, batcher_port=unused_port) as house:
        await upstream.stop()
        await asyncio.gather(*(house.embed(f"hello {number}", {"x-request-timeout-ms": "300"}) for number in range(3)))
        async with house.http.get(f"http://127.0.0.1:{unused_port}/metrics") as answer:
            text = await answer.text()
    labels = f'{{cause="connection refused",upstream="{upstream.url}"}}'
    assert (figure(text, f"autobatch_upstream_failures_total{labels}") or 0) > 0
    assert figure(text, f"autobatch_upstream_trouble{labels}") == 1


def test_upstreams_metrics_keep_their_names_and_get_their_upstream_as_label() -> None:
    said = '# TYPE te_request_count counter\nte_request_count{method="batch"} 3\n\n# TYPE te_queue_size gauge\nte_queue_size 0\n'
    assert together({"http://a": said, "http://b": said.replace("3", "4")}) == (
        "# TYPE te_request_count counter\n"
        'te_request_count{method="batch",upstream="http://a"} 3\n'
        'te_request_count{method="batch",upstream="http://b"} 4\n'
        "# TYPE te_queue_size gauge\n"
        'te_queue_size{upstream="http://a"} 0\n'
        'te_queue_size{upstream="http://b"} 0\n'
    )
