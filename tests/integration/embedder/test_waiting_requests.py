"""Requests that wait at the embedder while a pass runs: refused, joined, left, failed, or answered while it stops."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import aiohttp
import numpy as np
import orjson
import pytest

from autobatch_embedder.app import serving
from autobatch_embedder.errors import backend_failed
from autobatch_embedder.model.loaded_model import Model
from tests.support.raw_http import RawAnswer, raw_connection, request, wait_until_refused
from tests.support.servers.embedder_server import Send, ServerAnswer, embed, sender, settings
from tests.support.waiting import wait_until


class GatedModel(Model):
    """The real model behind a gate that the test opens; `calls` has the sizes of the passes that began."""

    def __init__(self, loaded: Model) -> None:
        self.__dict__.update(loaded.__dict__)
        self.calls: list[int] = []
        self.opened = threading.Event()
        self.broken = False

    def run(self, rows: Any) -> Any:
        """Note the call, wait for the gate, then pass or fail."""
        self.calls.append(len(rows))
        assert self.opened.wait(60)
        if self.broken:
            raise backend_failed("broken")
        return super().run(rows)


@pytest.fixture
async def gate(model: Model) -> AsyncIterator[GatedModel]:
    gate = GatedModel(model)
    yield gate
    gate.opened.set()


async def has_line(send: Send, line: str) -> bool:
    return line in (await send("GET", "/metrics"))[2].decode().splitlines()


async def test_without_permits_requests_are_refused_and_permits_come_back(
    gate: GatedModel, client: aiohttp.ClientSession
) -> None:
    async with serving(settings(embedder_max_concurrent_requests=3), gate) as port:
        send = sender(client, port)
        first = asyncio.create_task(send("POST", "/embed", {"inputs": ["a", "b"]}))
        await wait_until(lambda: gate.calls)

        status, _, body = await send("POST", "/embed", {"inputs": ["a", "b"]})
        assert (status, body) == (429, b'{"error":"Model is overloaded","error_type":"Overloaded"}')
        second = asyncio.create_task(send("POST", "/embed", {"inputs": "c"}))
        await wait_until(lambda: has_line(send, "te_queue_size 1.0"))
        assert (await send("POST", "/embed", {"inputs": ""}))[0] == 429
        assert (await send("GET", "/health"))[0] == 200

        gate.opened.set()
        assert [(await first)[0], (await second)[0]] == [200, 200]
        assert (await send("POST", "/embed", {"inputs": ["a", "b", "c"]}))[0] == 200
        assert (await send("POST", "/embed", {"inputs": ["a", "b", "c", "d"]}))[0] == 429
        assert await has_line(send, 'te_request_failure{err="overloaded"} 3.0')


async def test_a_client_that_left_before_its_pass_costs_none(gate: GatedModel, client: aiohttp.ClientSession) -> None:
    async with serving(settings(), gate) as port:
        send = sender(client, port)
        first = asyncio.create_task(send("POST", "/embed", {"inputs": "a"}))
        await wait_until(lambda: gate.calls)
        leaving = asyncio.create_task(send("POST", "/embed", {"inputs": ["b", "c"]}))
        await wait_until(lambda: has_line(send, "te_queue_size 2.0"))
        last = asyncio.create_task(send("POST", "/embed", {"inputs": ["d", "e", "f"]}))
        await wait_until(lambda: has_line(send, "te_queue_size 5.0"))

        leaving.cancel()
        await wait_until(lambda: has_line(send, "te_queue_size 3.0"))
        gate.opened.set()

        assert [(await first)[0], (await last)[0]] == [200, 200]
        assert gate.calls == [1, 3]
        assert await has_line(send, 'te_request_failure{err="dropped"} 2.0')


async def waiting_behind_a_pass(send: Send, gate: GatedModel, texts: list[str]) -> list["asyncio.Task[ServerAnswer]"]:
    """Ask for "first", and for each text once that has its pass; return the requests in that order."""
    asked = [asyncio.create_task(send("POST", "/embed", {"inputs": "first"}))]
    await wait_until(lambda: gate.calls)
    for count, text in enumerate(texts, 1):
        asked.append(asyncio.create_task(send("POST", "/embed", {"inputs": text})))
        await wait_until(partial(has_line, send, f"te_queue_size {count}.0"))
    return asked


async def test_requests_that_wait_are_computed_together(gate: GatedModel, client: aiohttp.ClientSession) -> None:
    texts = ["one", "a longer text than the others", "three"]
    async with serving(settings(), gate) as port:
        send = sender(client, port)
        asked = await waiting_behind_a_pass(send, gate, texts)
        gate.opened.set()
        answers = [orjson.loads((await each)[2])[0] for each in asked]

        assert gate.calls == [1, 3]
        for text, vector in zip(["first", *texts], answers, strict=True):
            np.testing.assert_allclose((await embed(send, text))[0], vector, atol=1e-5)


async def test_requests_that_wait_are_computed_together_only_up_to_a_full_pass(
    gate: GatedModel, client: aiohttp.ClientSession
) -> None:
    gate.full_tokens = 7  # each of these texts has 3
    async with serving(settings(), gate) as port:
        asked = await waiting_behind_a_pass(sender(client, port), gate, ["one", "two", "three", "word " * 6])
        gate.opened.set()

        assert [(await each)[0] for each in asked] == [200] * 5
        assert gate.calls == [1, 2, 1, 1]


async def test_a_server_that_joins_nothing_computes_one_request_after_the_other(
    gate: GatedModel, client: aiohttp.ClientSession
) -> None:
    async with serving(settings(embedder_join_requests=False), gate) as port:
        asked = await waiting_behind_a_pass(sender(client, port), gate, ["one", "two"])
        gate.opened.set()

        assert [(await each)[0] for each in asked] == [200] * 3
        assert gate.calls == [1, 1, 1]


async def test_a_failed_pass_fails_each_of_its_requests(gate: GatedModel, client: aiohttp.ClientSession) -> None:
    gate.broken = True
    async with serving(settings(), gate) as port:
        asked = await waiting_behind_a_pass(sender(client, port), gate, ["one", "two"])
        gate.opened.set()

        assert [(await each)[0] for each in asked] == [424] * 3
        assert gate.calls == [1, 2]


async def test_a_failed_pass_is_424_and_health_tries_another(gate: GatedModel, client: aiohttp.ClientSession) -> None:
    gate.opened.set()
    gate.broken = True
    async with serving(settings(), gate) as port:
        send = sender(client, port)
        status, _, body = await send("POST", "/embed", {"inputs": "a"})
        assert (status, body) == (424, b'{"error":"Backend error: broken","error_type":"Backend"}')
        status, _, body = await send("GET", "/health")
        assert (status, body) == (503, b'{"error":"unhealthy","error_type":"Unhealthy"}')

        gate.broken = False
        assert (await send("GET", "/health"))[0] == 200
        assert len(gate.calls) == 3
        assert (await send("GET", "/health"))[0] == 200
        assert len(gate.calls) == 3


async def test_stopping_waits_for_requests_in_flight(gate: GatedModel, client: aiohttp.ClientSession) -> None:
    async with serving(settings(), gate) as port:
        reply = asyncio.create_task(sender(client, port)("POST", "/embed", {"inputs": "a"}))
        await wait_until(lambda: gate.calls)
        asyncio.get_running_loop().call_later(0.2, gate.opened.set)

    assert (await reply)[0] == 200


async def test_stopping_does_not_wait_for_a_client_that_sends_half_a_body(model: Model) -> None:
    async with asyncio.timeout(60):
        async with serving(settings(), model, drain_s=0.1) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = b"POST /embed HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-type: application/json\r\n"
            writer.write(head + b"content-length: 100\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"  # it waits for the body
            writer.write(b'{"in')
        writer.close()


async def test_stopping_answers_a_request_whose_body_had_still_to_come(model: Model) -> None:
    async def finish() -> RawAnswer | None:
        await wait_until_refused(port)
        await late.send([whole[-5:]])
        return await late.answer()

    whole = request(b'{"inputs":"a"}')
    async with AsyncExitStack() as after:
        async with serving(settings(), model) as port:
            late = await after.enter_async_context(raw_connection(port))
            await late.send([whole, whole[:-5]])
            assert await late.answer()  # so the next one's head has come, too
            finished = asyncio.create_task(finish())
        answered = await finished

    assert answered is not None
    assert (answered.status, answered.headers["connection"]) == (200, "close")
