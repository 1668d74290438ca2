"""The fakes as processes: how far they imitate TEI, and the gate."""

import asyncio
import itertools
from collections.abc import Iterator

import orjson
import pytest

from autobatch_bench.checking.checks import OracleCheck, oracle_vectors, vectors_in
from autobatch_bench.checking.oracle import answer
from autobatch_bench.load import burst
from autobatch_bench.load.plain_http import AnswerError, post, read
from autobatch_bench.load.traffic import Endpoint, Traffic
from autobatch_bench.load.workloads import WorkloadKind, make, several_short
from autobatch_bench.systems.rig import Rig
from autobatch_bench.systems.system import UpstreamKind, started

OUTGOING_FIRST = 32_768  # the first port of an outgoing connection on Linux


def rig_on(upstream: UpstreamKind) -> Iterator[Rig]:
    """An upstream alone."""
    with started(upstream, proxies=()) as sides:
        yield Rig(sides, is_fake=True, told=lambda _round: None)


@pytest.fixture(scope="module")
def instant() -> Iterator[Rig]:
    yield from rig_on(UpstreamKind.INSTANT)


@pytest.fixture(scope="module")
def tei_queue() -> Iterator[Rig]:
    yield from rig_on(UpstreamKind.TEI_QUEUE)


def target_of(rig: Rig) -> Endpoint:
    return rig.sides["direct"].target


def test_no_outgoing_connection_can_have_taken_their_ports(instant: Rig, tei_queue: Rig) -> None:
    """Nor the next ones, which some servers take without asking: a connection that has ended keeps its own for a minute."""
    assert all(target_of(rig).port + 1 < OUTGOING_FIRST for rig in (instant, tei_queue))


def test_both_answer_with_the_oracles_vectors(instant: Rig, tei_queue: Rig) -> None:
    for rig in (instant, tei_queue):
        assert post(target_of(rig), "/embed", {"inputs": ["a", "b"]}) == answer(["a", "b"])
        assert orjson.loads(read(target_of(rig), "/info"))["max_client_batch_size"] == 32


def test_a_list_too_long_is_refused_as_by_tei(tei_queue: Rig) -> None:
    with pytest.raises(AnswerError, match=r"422.*batch size 33 > maximum allowed batch size 32"):
        post(target_of(tei_queue), "/embed", {"inputs": ["x"] * 33})


def test_inputs_beyond_the_permits_are_refused_and_the_others_answered(tei_queue: Rig) -> None:
    done = tei_queue.burst("direct", several_short(32), 40)
    assert done.refused > 0
    assert (done.right + done.refused, done.bad) == (40, 0)


def test_a_queue_that_refused_somebody_is_there_for_the_next(tei_queue: Rig) -> None:
    assert tei_queue.burst("direct", make(WorkloadKind.SEVERAL), 10).right == 10


def test_the_instant_one_speaks_openais_form(instant: Rig) -> None:
    body = post(target_of(instant), "/v1/embeddings", {"input": "a", "model": "m", "encoding_format": "float"})
    assert vectors_in(body) == oracle_vectors(["a"])
    openai = instant.closed("direct", make(WorkloadKind.OPENAI), 2, 0.1)
    assert openai.right > 0
    assert openai.bad == 0


async def test_a_shut_gate_keeps_answers_back_until_it_is_opened(instant: Rig) -> None:
    target, short = target_of(instant), make(WorkloadKind.SHORT)
    traffic = Traffic(short, itertools.count(), OracleCheck(short))
    seen = []

    async def look_and_open() -> None:
        await asyncio.to_thread(read, target, "/health")  # which is answered: the gate holds only vectors
        seen.append(len(traffic.outcome.latencies_s))
        await asyncio.to_thread(post, target, "/gate/open")

    await asyncio.to_thread(post, target, "/gate/close")
    done = await burst.run(target, traffic, requests=20, meanwhile=look_and_open)
    assert seen == [0]
    assert (done.right, done.failed) == (20, {})
