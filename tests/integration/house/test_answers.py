"""What clients get: their own vectors, in TEI's shape, or their own errors."""

import asyncio
import gzip

import pytest
from pydantic import SecretStr

from tests.support.clerk import open_clerk
from tests.support.fake_upstream import FakeUpstream, Gate, tei_error, vector
from tests.support.house import House, open_house, ready_house
from tests.support.servers.leaks import keys_left
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("redis_url")


async def test_a_string_is_answered_with_a_list_of_one_vector(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        assert await house.embed("hello") == (200, [vector("hello")])


async def test_the_answer_is_the_upstreams_own_bytes(redis_url: str, upstream: FakeUpstream) -> None:
    """No float is parsed and printed."""
    async with ready_house(redis_url, upstream.url) as house:
        async with house.http.post(f"{upstream.url}/embed", json={"inputs": "hello"}) as direct:
            expected = await direct.read()
        async with house.http.post(f"{house.url}/embed", json={"inputs": "hello"}) as answer:
            assert answer.headers["Content-Type"] == "application/json"
            assert await answer.read() == expected


async def test_many_single_requests_become_few_calls(redis_url: str, upstream: FakeUpstream) -> None:
    texts = [f"text {number}" for number in range(200)]
    async with ready_house(redis_url, upstream.url) as house:
        answers = await house.embed_each(texts)
    assert [(200, [vector(text)]) for text in texts] == answers
    assert len(upstream.calls) < 30
    assert max(map(len, upstream.calls)) <= 32
    assert sorted(texts) == sorted(text for call in upstream.calls for text in call)
    assert await keys_left(redis_url) == []


async def test_a_long_list_is_split_and_joined_in_order(redis_url: str, upstream: FakeUpstream) -> None:
    texts = [f"text {number}" for number in range(100)]
    async with ready_house(redis_url, upstream.url, proxy={"bulk_above_inputs": 100}) as house:
        assert await house.embed(texts) == (200, [vector(text) for text in texts])
    assert sorted(map(len, upstream.calls)) == [4, 32, 32, 32]


async def test_the_limit_of_a_call_comes_from_the_upstreams_info(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.info = {"max_client_batch_size": 4, "max_concurrent_requests": 6}
    texts = [f"text {number}" for number in range(50)]
    async with ready_house(redis_url, upstream.url) as house:
        assert await house.embed(texts[:10]) == (200, [vector(text) for text in texts[:10]])
        assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)
    assert max(map(len, upstream.calls)) == 4
    assert upstream.in_flight_max <= 6


async def test_an_upstream_without_info_keeps_the_configured_limit(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.info = None
    texts = [f"text {number}" for number in range(20)]
    async with ready_house(redis_url, upstream.url, max_batch_size=5) as house:
        assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)
        async with house.http.get(f"{house.url}/info") as answer:
            assert answer.status == 503
    assert max(map(len, upstream.calls)) == 5


async def test_requests_with_other_options_never_share_a_call(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await asyncio.gather(
            *(house.embed(f"plain {number}") for number in range(20)),
            *(house.embed(f"raw {number}", normalize=False) for number in range(20)),
        )
    for body in upstream.bodies:
        kinds = {text.split()[0] for text in body["inputs"]}
        assert kinds == ({"raw"} if body.get("normalize") is False else {"plain"})


async def test_a_poisonous_input_fails_alone(redis_url: str, upstream: FakeUpstream) -> None:
    """Its sender gets the upstream's own status and body, the other requests get their vectors."""
    texts = [f"text {number}" for number in range(60)]
    texts[20] = "poison 20"
    gate = Gate()
    upstream.behave = gate
    async with ready_house(redis_url, upstream.url, batch_policy="full", max_wait_time_ms=50) as house:
        asking = asyncio.create_task(house.embed_each(texts))
        await wait_until(lambda: upstream.calls)
        gate.opened.set()
        answers = await asking
    error = {"error": "Input validation error: poison 20", "error_type": "Validation"}
    assert answers.pop(20) == (422, error)
    del texts[20]
    assert [(200, [vector(text)]) for text in texts] == answers


async def test_embeddings_around_the_array_for_clients_that_read_nothing_else(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """On every path through the proxy; and their errors are objects, too."""
    texts = [f"text {number}" for number in range(40)]
    async with ready_house(redis_url, upstream.url, proxy={"embed_answer": "embeddings"}) as house:
        assert await house.embed(texts) == (200, {"embeddings": [vector(text) for text in texts]})
        assert await house.embed("a") == (200, {"embeddings": [vector("a")]})
        assert (await house.post("/embed", {"input": "a"})).json == {"embedding": vector("a")}
        alone = await house.post("/embed", b'{"inputs":["a"],"inputs":["b"]}', content_type="application/json")
        assert alone.json == {"embeddings": [vector("b")]}
        for body, content_type in ((b"{", "application/json"), (b'{"inputs":["a"]}', "text/plain")):
            answer = await house.post("/embed", body, content_type=content_type)
            assert answer.status in {400, 415}
            assert answer.headers["content-type"] == "application/json"
            assert answer.json["error"]
        plain = await house.post("/", {"inputs": ["a"]})
        assert plain.json == [vector("a")]


async def test_one_bad_job_of_a_split_request_fails_the_request(redis_url: str, upstream: FakeUpstream) -> None:
    texts = [f"text {number}" for number in range(80)]
    texts[50], texts[70] = "poison 50", "poison 70"
    async with ready_house(redis_url, upstream.url, proxy={"bulk_above_inputs": 80}) as house:
        status, body = await house.embed(texts)
    assert (status, body["error"]) == (422, "Input validation error: poison 50")


async def test_a_body_that_is_not_plain_gets_the_upstreams_own_answer(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        for body in (b"{", b"", b'{"texts":["a"]}', b"\xff"):
            answers = []
            for url in (upstream.url, house.url):
                headers = {"Content-Type": "application/json"}
                async with house.http.post(f"{url}/embed", data=body, headers=headers) as answer:
                    answers.append((answer.status, answer.headers.get("Content-Type"), await answer.read()))
            assert answers[0] == answers[1]
            assert answers[0][0] == 400


async def test_a_body_that_does_not_say_that_it_is_json_is_refused(redis_url: str, upstream: FakeUpstream) -> None:
    """Before it is read, as TEI does it."""
    async with ready_house(redis_url, upstream.url) as house:
        for headers in ({}, {"content_type": "text/plain"}):
            reply = await house.post("/embed", b'{"inputs":"a"}', **headers)
            assert (reply.status, reply.body) == (415, b"Expected request with `Content-Type: application/json`")
            assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert upstream.calls == []


async def test_too_many_inputs_are_refused_in_teis_words(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, proxy={"max_client_batch_size": 10}) as house:
        error = {"error": "batch size 11 > maximum allowed batch size 10", "error_type": "Validation"}
        assert await house.embed(["a"] * 11) == (422, error)
    assert upstream.calls == []


async def test_an_oversized_body_is_refused_as_the_upstream_does(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, proxy={"payload_limit": 1000}) as house:
        async with house.http.post(f"{house.url}/embed", json={"inputs": "a" * 2000}) as answer:
            assert answer.status == 413
            assert await answer.text() == "Failed to buffer the request body: length limit exceeded"


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/embed", 405, "POST"),
        ("POST", "/health", 405, "GET,HEAD"),
        ("GET", "/nothing", 404, None),
        ("POST", "/embed/", 404, None),
        ("HEAD", "/health", 200, None),
    ],
)
async def test_paths_and_methods_are_answered_as_tei_does(
    redis_url: str, upstream: FakeUpstream, method: str, path: str, status: int, allow: str | None
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        async with house.http.request(method, house.url + path) as answer:
            assert (answer.status, await answer.read()) == (status, b"")
            assert answer.headers.get("Allow") == allow


async def test_info_is_the_upstreams_own_but_for_the_longest_list(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house, house.http.get(f"{house.url}/info") as answer:
        own = {"max_client_batch_size": 2048, "upstream_max_client_batch_size": 32}
        assert await answer.json() == (upstream.info or {}) | own


async def test_the_worker_counts_its_answers(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        await house.embed("hello")
        await house.embed("poison")
        metrics = await house.metrics()
    assert 'autobatch_http_requests_total{code="200",route="/embed"} 1.0' in metrics
    assert 'autobatch_http_requests_total{code="422",route="/embed"} 1.0' in metrics


async def test_the_batcher_counts_its_batches(redis_url: str, upstream: FakeUpstream, unused_port: int) -> None:
    async with ready_house(redis_url, upstream.url, batcher_port=unused_port) as house:
        await house.embed_each(["a", "b", "c"])
        async with house.http.get(f"http://127.0.0.1:{unused_port}/metrics") as answer:
            metrics = await answer.text()
        async with house.http.get(f"http://127.0.0.1:{unused_port}/health") as answer:
            assert answer.status == 200
    assert "autobatch_batch_inputs_sum 3.0" in metrics
    assert 'autobatch_batches_total{reason="idle",route="/embed"}' in metrics


async def test_a_client_that_leaves_does_not_disturb_its_batch(redis_url: str, upstream: FakeUpstream) -> None:
    gate = Gate()
    upstream.behave = gate
    texts = [f"text {number}" for number in range(10)]
    async with ready_house(redis_url, upstream.url, batch_policy="full", max_wait_time_ms=100) as house:
        asking = [asyncio.create_task(house.embed(text)) for text in texts]
        await wait_until(lambda: upstream.calls)
        asking[3].cancel()
        await asyncio.wait([asking[3]])
        await wait_until(lambda: departures(house))
        gate.opened.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers.pop(3), asyncio.CancelledError)
    del texts[3]
    assert [(200, [vector(text)]) for text in texts] == answers


async def departures(house: House) -> bool:
    return "autobatch_departures_total 1.0" in await house.metrics()


async def test_a_client_that_left_before_the_claim_costs_no_upstream_work(
    redis_url: str, upstream: FakeUpstream
) -> None:
    gate = Gate()
    upstream.behave = gate
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house:
        first = asyncio.create_task(house.embed("first"))
        await wait_until(lambda: upstream.calls)
        leaving = asyncio.create_task(house.embed("leaving"))
        await wait_until(lambda: queued(redis_url))
        leaving.cancel()
        await asyncio.wait([leaving])
        await wait_until(lambda: departures(house))
        gate.opened.set()
        assert await first == (200, [vector("first")])
        assert await house.embed("last") == (200, [vector("last")])
    assert upstream.calls == [["first"], ["last"]]


async def queued(redis_url: str) -> bool:
    return any(name.endswith(":jobs") for name in await keys_left(redis_url))


async def test_a_busy_upstream_is_asked_again(redis_url: str, upstream: FakeUpstream) -> None:
    async def busy_once(_texts: list[str]) -> object:
        upstream.behave = None
        return tei_error(429, "Model is overloaded", "Overloaded")

    upstream.behave = busy_once  # type: ignore[assignment]
    async with ready_house(redis_url, upstream.url) as house:
        assert await house.embed("hello") == (200, [vector("hello")])
    assert len(upstream.calls) == 2


async def test_no_more_calls_run_at_once_than_configured(redis_url: str, upstream: FakeUpstream) -> None:
    """Even if each request is a lane of its own, and the loop could send many without a pause."""
    gate = Gate()
    upstream.behave = gate
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=1) as house:
        asking = [asyncio.create_task(house.embed([[number]])) for number in range(1, 30)]
        await wait_until(lambda: upstream.calls)
        await wait_until(lambda: in_flight(house, 29))
        upstream.behave = None
        gate.opened.set()
        await asyncio.gather(*asking)
    assert upstream.calls_in_flight_max == 1


async def in_flight(house: House, inputs: int) -> bool:
    return f"autobatch_in_flight_inputs {inputs}.0" in await house.metrics()


async def test_inputs_in_flight_stay_within_what_the_upstream_takes(redis_url: str, upstream: FakeUpstream) -> None:
    upstream.info = {"max_client_batch_size": 32, "max_concurrent_requests": 40}
    texts = [f"text {number}" for number in range(300)]
    async with ready_house(redis_url, upstream.url, max_concurrent_batches=4) as house:
        assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)
    assert upstream.in_flight_max <= 40


@pytest.mark.usefixtures("_quick_probes")
async def test_limits_are_learnt_though_a_call_succeeded_first(redis_url: str, upstream: FakeUpstream) -> None:
    """TEI's health check waits behind its calls."""
    upstream.info = {"max_client_batch_size": 8}
    upstream.is_healthy = False
    async with open_clerk(redis_url), open_house(redis_url) as house:
        await house.add_batcher(upstream.url, upstream_patience_ms=300)
        assert await house.embed("first") == (200, [vector("first")])
        upstream.is_healthy = True
        await wait_until(lambda: has_info(house))
        texts = [f"text {number}" for number in range(20)]
        assert await house.embed(texts) == (200, [vector(text) for text in texts])


async def has_info(house: House) -> bool:
    async with house.http.get(f"{house.url}/info") as answer:
        return answer.status == 200


async def test_odd_big_lists_of_many_lanes_do_not_stall_the_batcher(redis_url: str, upstream: FakeUpstream) -> None:
    async with ready_house(redis_url, upstream.url, batch_policy="full", max_wait_time_ms=200) as house:
        lists = [[f"list {number} text {place}" for place in range(20)] for number in range(10)]
        answers = await asyncio.gather(
            *(house.embed(texts, dimensions=number + 1) for number, texts in enumerate(lists))
        )
    assert [(200, [vector(text) for text in texts]) for texts in lists] == list(answers)


async def test_a_compressed_body_is_no_json(redis_url: str, upstream: FakeUpstream) -> None:
    body = gzip.compress(b'{"inputs":"hello"}')
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    async with (
        ready_house(redis_url, upstream.url) as house,
        house.http.post(f"{house.url}/embed", data=body, headers=headers) as answer,
    ):
        assert answer.status == 400


async def test_a_body_that_does_not_come_is_not_waited_for_longer_than_the_request(
    redis_url: str, upstream: FakeUpstream
) -> None:
    async with ready_house(redis_url, upstream.url) as house:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(house.url.rpartition(":")[2]))
        headers = b"Content-Type: application/json\r\nContent-Length: 100\r\nX-Request-Timeout-Ms: 50\r\n"
        writer.write(b"POST /embed HTTP/1.1\r\nHost: a\r\n%b\r\n{" % headers)
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_each_job_gets_an_answer_though_the_call_cannot_even_be_made(
    redis_url: str, upstream: FakeUpstream
) -> None:
    """A password in the address and a key beside it: the HTTP client refuses to choose."""
    url = upstream.url.replace("://", "://user:password@")
    async with open_house(redis_url) as house:
        await house.add_batcher(url, inference_api_key=SecretStr("key"))
        status, error = await house.embed("hello")
    assert (status, error["error_type"]) == (503, "Unhealthy")
    assert await keys_left(redis_url) == []


async def test_a_burst_after_silence_is_not_cut_into_one_and_the_rest(redis_url: str, upstream: FakeUpstream) -> None:
    """If only bursts were seen; `test_pace` shows that lone requests end that."""
    texts = [f"text {number}" for number in range(32)]
    whole = 0
    async with ready_house(redis_url, upstream.url) as house:
        for _ in range(9):
            upstream.calls.clear()
            assert [(200, [vector(text)]) for text in texts] == await house.embed_each(texts)
            whole += len(upstream.calls[0]) > 1 and len(upstream.calls) < 16
    assert whole >= 5  # not every time: on a busy machine a burst can arrive in two parts
