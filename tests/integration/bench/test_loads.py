"""The three kinds of load against servers with real sockets: every answer is counted once, in its category."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from autobatch_bench.checking.checks import OracleCheck
from autobatch_bench.checking.oracle import answer
from autobatch_bench.load import burst, closed_loop, open_loop
from autobatch_bench.load.connection import connect
from autobatch_bench.load.outcome import NO_ANSWER, LoadOutcome
from autobatch_bench.load.traffic import Endpoint, Traffic
from autobatch_bench.load.workloads import Workload, WorkloadKind, make, several_short
from autobatch_bench.systems.rig import RunLoad
from tests.support.fake_upstream import FakeUpstream, tei_error
from tests.support.waiting import wait_until

SHORT = make(WorkloadKind.SHORT)
LOADS: dict[str, RunLoad] = {
    "closed": lambda target, traffic: closed_loop.run(target, traffic, concurrency=4, seconds=0.1),
    "open": lambda target, traffic: open_loop.run(target, traffic, per_second=200, seconds=0.1),
    "burst": lambda target, traffic: burst.run(target, traffic, requests=20),
}


@pytest.fixture(params=list(LOADS))
def load(request: pytest.FixtureRequest) -> RunLoad:
    return LOADS[request.param]


async def outcome_of(load: RunLoad, upstream: FakeUpstream, workload: Workload = SHORT) -> LoadOutcome:
    """Run a load to its end, checks included."""
    traffic = Traffic(workload, itertools.count(), OracleCheck(workload))
    outcome = await load(Endpoint("127.0.0.1", upstream.port), traffic)
    outcome.wrong += traffic.check.wrong_after_all()
    return outcome


async def test_right_answers_are_right(load: RunLoad, upstream: FakeUpstream) -> None:
    outcome = await outcome_of(load, upstream)
    assert outcome.right == len(upstream.calls) > 0
    assert (outcome.wrong, outcome.failed) == (0, {})


async def test_no_text_is_sent_twice(load: RunLoad, upstream: FakeUpstream) -> None:
    await outcome_of(load, upstream)
    texts = [text for call in upstream.calls for text in call]
    assert len(set(texts)) == len(texts)


async def test_somebody_elses_vectors_are_wrong(load: RunLoad, upstream: FakeUpstream) -> None:
    """The shape and the status are right: only the oracle detects it."""

    async def mix_up(_texts: list[str]) -> web.Response:
        return web.Response(body=answer(["somebody else's"]))

    upstream.behave = mix_up
    outcome = await outcome_of(load, upstream)
    assert outcome.right == 0
    assert outcome.wrong == len(upstream.calls) > 0


async def test_another_status_is_a_failure_of_that_status(load: RunLoad, upstream: FakeUpstream) -> None:
    async def refuse(texts: list[str]) -> web.Response | None:
        return tei_error(503, "no", "Unhealthy") if texts[0].endswith("3") else None

    upstream.behave = refuse
    outcome = await outcome_of(load, upstream)
    refused = sum(call[0].endswith("3") for call in upstream.calls)
    assert outcome.failed == {503: refused}
    assert outcome.right == len(upstream.calls) - refused


async def test_a_connection_that_is_cut_is_no_answer(load: RunLoad, upstream: FakeUpstream) -> None:
    async def hang_up(texts: list[str]) -> None:
        if texts[0].endswith("3"):
            raise asyncio.CancelledError

    upstream.behave = hang_up
    outcome = await outcome_of(load, upstream)
    assert outcome.failed == {NO_ANSWER: sum(call[0].endswith("3") for call in upstream.calls)}
    assert outcome.wrong == 0


async def test_an_answer_in_many_pieces_is_put_together(upstream: FakeUpstream) -> None:
    upstream.info = None  # no limit on a list
    lists = several_short(500)
    outcome = await outcome_of(LOADS["burst"], upstream, lists)
    assert (outcome.right, outcome.wrong) == (20, 0)


async def test_an_open_loop_makes_a_stall_seen_by_those_who_came_during_it(upstream: FakeUpstream) -> None:
    """Two connections; the first two requests stall. All others wait for them, which their latency shows."""
    stall_s = 0.5
    stalled = itertools.count()

    async def stall(_texts: list[str]) -> None:
        if next(stalled) < 2:
            await asyncio.sleep(stall_s)

    upstream.behave = stall
    outcome = await outcome_of(
        lambda target, traffic: open_loop.run(target, traffic, per_second=400, seconds=0.2, connections_max=2),
        upstream,
    )
    assert outcome.right == len(upstream.calls) > 40
    # The last of them was meant to start 0.2 s after the first: all waited for at least the rest of the stall.
    assert min(outcome.latencies_s) > (stall_s - 0.2) / 2


async def test_a_connection_knows_that_it_was_closed_while_idle() -> None:
    """Servers close idle connections; the open loop then opens another one."""

    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        connection = await connect("127.0.0.1", server.sockets[0].getsockname()[1], lambda *_: None)
        await wait_until(lambda: not connection.is_open)


async def test_nobody_listening_is_no_answer(unused_port: int) -> None:
    traffic = Traffic(SHORT, itertools.count(), OracleCheck(SHORT))
    outcome = await open_loop.run(Endpoint("127.0.0.1", unused_port), traffic, per_second=200, seconds=0.1)
    assert outcome.right == 0
    assert outcome.failed[NO_ANSWER] > 0


@asynccontextmanager
async def speaking(reply: bytes) -> AsyncIterator[Endpoint]:
    """A server that answers every request with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not (await reader.read(65536)).endswith(b"}"):
            pass
        writer.write(reply)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


@pytest.mark.parametrize(
    "name", [b"Content-Length", b"content-length", b"Inference-Header-Content-Length: 3\r\nContent-Length"]
)
async def test_a_length_is_read_in_any_case_and_not_of_another_name(name: bytes) -> None:
    body = answer(SHORT.texts(0))
    async with speaking(b"HTTP/1.1 200 OK\r\n%b: %d\r\n\r\n%b" % (name, len(body), body)) as target:
        outcome = await burst.run(target, Traffic(SHORT, itertools.count(), OracleCheck(SHORT)), requests=1)
    assert (outcome.right, outcome.wrong, outcome.failed) == (1, 0, {})


async def test_an_answer_without_a_length_is_wrong() -> None:
    async with speaking(b"HTTP/1.1 200 OK\r\n\r\n" + answer(SHORT.texts(0))) as target:
        outcome = await burst.run(target, Traffic(SHORT, itertools.count(), OracleCheck(SHORT)), requests=1)
    assert (outcome.right, outcome.wrong) == (0, 1)
