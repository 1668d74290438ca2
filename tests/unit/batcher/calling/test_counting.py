"""Whose tokens are counted, by whom, and what happens when that fails."""

import asyncio
import json
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.calling.calls import merge
from autobatch_batcher.calling.counting import Counting, count_tokens, parts_of
from autobatch_batcher.dialects.base import Answer, Post
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.jobs import Job
from autobatch_shared.contract.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from tests.support.waiting import wait_until
from tests.unit.builders import make_job

JSON = "application/json"
Step = Answer | Exception


def tokens(*lengths: int) -> bytes:
    return json.dumps([[{"id": 1, "text": "x"}] * length for length in lengths]).encode()


class Upstream:
    """Answers `/tokenize` in the given order, and at last a token a character."""

    def __init__(self, *steps: Step) -> None:
        self.asked: list[list[str]] = []
        self._steps = list(steps)

    async def send(self, post: Post) -> Answer:
        assert post.path == "/tokenize"
        self.asked.append(json.loads(post.body)["inputs"])
        step = self._steps.pop(0) if self._steps else Answer(200, JSON, tokens(*map(len, self.asked[-1])), None)
        if isinstance(step, Exception):
            raise step
        return step

    async def count(self, texts: Sequence[bytes], *, tokens_max: int = 512, attempts_max: int = 3) -> list[int]:
        return await count_tokens(self.send, Tei(), texts, tokens_max, attempts_max)


def status(number: int) -> Answer:
    return Answer(number, JSON, b'{"error":"x"}', None)


async def test_each_text_has_its_own_number_and_no_more_than_are_computed() -> None:
    upstream = Upstream()

    assert await upstream.count([b'"a"', b'"bcd"', b'"long one"'], tokens_max=5) == [1, 3, 5]
    assert upstream.asked == [["a", "bcd", "long one"]]


@pytest.mark.parametrize("number", [404, 405, 501])
async def test_an_upstream_without_the_route_cannot_tell(number: int) -> None:
    upstream = Upstream(status(number))

    assert await upstream.count([b'"a"']) == []
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("step", [status(429), status(424), status(500), status(503), UpstreamUnavailable()])
async def test_a_failure_is_asked_again(step: Step) -> None:
    upstream = Upstream(step)

    assert await upstream.count([b'"ab"']) == [2]
    assert len(upstream.asked) == 2


@pytest.mark.parametrize(("step", "error"), [(status(503), UpstreamProtocolError), (UpstreamUnavailable(),) * 2])
async def test_not_for_ever(step: Step, error: object) -> None:
    upstream = Upstream(step, step, step)

    with pytest.raises(error if isinstance(error, type) else type(error)):
        await upstream.count([b'"a"'], attempts_max=2)
    assert len(upstream.asked) == 2


@pytest.mark.parametrize("step", [status(422), status(400), status(413), status(401), UpstreamTimeout()])
async def test_what_no_second_try_changes_is_asked_once(step: Step) -> None:
    upstream = Upstream(step)

    with pytest.raises((UpstreamProtocolError, UpstreamTimeout)):
        await upstream.count([b'"a"'])
    assert len(upstream.asked) == 1


def job(name: str, *inputs: object, is_counted: bool = True, wants_each: bool = False) -> Job:
    made = make_job(name, n=len(inputs), body=json.dumps(inputs).encode())
    header = msgspec.structs.replace(made.header, is_counted=is_counted, wants_each=wants_each)
    return msgspec.structs.replace(made, header=header)


def unknown(_inputs: Sequence[bytes]) -> None:
    """Of a dialect that counts nothing by itself."""


def counting(upstream: Upstream, *jobs: Job) -> Counting:
    return Counting(jobs, merge(jobs), upstream.count, unknown)


async def test_a_call_of_one_job_is_counted_by_its_header() -> None:
    upstream = Upstream()

    assert await counting(upstream, job("1", "a", "bc")).tokens(9) == [[9]]
    assert upstream.asked == []


async def test_so_is_a_call_of_several_that_ask_for_the_same() -> None:
    upstream = Upstream()
    jobs = job("1", "ab"), job("2", "ab", is_counted=False), job("3", "ab")

    assert await counting(upstream, *jobs).tokens(4) == [[4], [], [4]]
    assert upstream.asked == []


async def test_whoever_wants_each_gets_each_where_it_can_be_had() -> None:
    """For the cache, which keeps texts one by one; else the sum, which is enough for the client."""
    upstream = Upstream()

    assert await counting(upstream, job("1", "a", "bc", wants_each=True)).tokens(9) == [[1, 2]]
    assert await counting(upstream, job("1", "a", wants_each=True)).tokens(9) == [[9]]
    assert upstream.asked == [["a", "bc"]]
    for number in (404, 422):
        of_two = job("1", "a", "bc", wants_each=True)
        assert await counting(Upstream(status(number)), of_two).tokens(9) == [[9]]


async def test_started_again_a_call_that_tells_is_not_asked_for() -> None:
    upstream = Upstream()
    count = counting(upstream, job("1", "a", "bc"))

    count.start()

    assert await count.tokens(9) == [[9]]
    assert upstream.asked == []


async def test_without_a_header_the_texts_are_counted() -> None:
    assert await counting(Upstream(), job("1", "a", "bc")).tokens(None) == [[1, 2]]


async def test_a_text_that_a_job_has_twice_is_counted_twice() -> None:
    """It is computed once, so the header of its call tells half."""
    upstream = Upstream()

    assert await counting(upstream, job("1", "abc", "d", "abc")).tokens(4) == [[3, 1, 3]]
    assert upstream.asked == [["abc", "d"]]


async def test_of_a_shared_call_only_the_texts_of_those_who_asked_are_counted() -> None:
    upstream = Upstream()
    jobs = job("1", "a", "shared"), job("2", "other", "shared", is_counted=False), job("3", "bcd")

    assert await counting(upstream, *jobs).tokens(99) == [[1, 6], [], [3]]
    assert upstream.asked == [["a", "shared", "bcd"]]


async def test_where_nobody_asks_nobody_is_asked() -> None:
    upstream = Upstream()
    jobs = job("1", "a", is_counted=False), job("2", "b", is_counted=False)

    assert await counting(upstream, *jobs).tokens(2) == [[], []]
    assert upstream.asked == []


async def test_an_upstream_that_cannot_count_leaves_it_open() -> None:
    assert await counting(Upstream(status(404)), job("1", "a"), job("2", "b")).tokens(None) == [[], []]


async def test_ids_are_only_counted_by_the_header() -> None:
    upstream = Upstream()

    assert await counting(upstream, job("1", [5, 6])).tokens(2) == [[2]]
    assert await counting(upstream, job("1", "text", [5, 6])).tokens(None) == [[]]
    assert upstream.asked == []


async def test_a_failure_is_told_to_who_waits_for_the_count() -> None:
    with pytest.raises(UpstreamProtocolError):
        await counting(Upstream(status(422)), job("1", "a"), job("2", "b")).tokens(None)


def has_ended() -> bool:
    return not any(task.get_name() == "counting" for task in asyncio.all_tasks())


async def test_started_again_it_asks_again() -> None:
    """Of the upstream to which the call has moved."""
    upstream = Upstream(status(422))
    count = counting(upstream, job("1", "a"), job("2", "b"))
    await wait_until(has_ended)

    count.start()

    assert await count.tokens(None) == [[1], [1]]
    assert len(upstream.asked) == 2


@pytest.mark.parametrize("waits", [False, True])
async def test_cancelled_at_any_time_nothing_is_left(*, waits: bool) -> None:
    """Nor a warning of the event loop about an exception that was never retrieved: the tests turn it into a failure."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
    count = counting(Upstream(status(422)), job("1", "a"), job("2", "b"))
    if waits:
        await wait_until(has_ended)

    count.cancel()
    del count
    await wait_until(has_ended)

    assert complaints == []


# Shared out, where an API counts whole calls only.


@given(st.lists(st.text(max_size=20).map(json.dumps).map(str.encode), min_size=1, max_size=9), st.integers(1, 10**6))
def test_the_parts_of_a_count_add_up_to_it(items: list[bytes], tokens: int) -> None:
    parts = parts_of(tokens, items)

    assert sum(parts) == tokens
    assert len(parts) == len(items)
    assert min(parts) >= 0


def test_a_text_of_twice_the_characters_has_twice_the_tokens() -> None:
    assert parts_of(30, [b'"aaaa"', b'"\\u00e4aaaaaaaa"', b"[1,2,3,4]"]) == [7, 15, 8]


async def test_of_a_call_that_is_counted_whole_each_client_gets_its_part() -> None:
    made = [
        make_job(str(place), body=json.dumps([text]).encode()) for place, text in enumerate(("a" * 4, "b" * 9, "c"))
    ]
    jobs = [
        msgspec.structs.replace(job, header=msgspec.structs.replace(job.header, is_counted=place < 2))
        for place, job in enumerate(made)
    ]
    counting = Counting(jobs, merge(jobs), None, unknown)

    assert await counting.tokens(17) == [[5], [10], []]
    assert await counting.tokens(None) == [[], [], []]


async def test_what_the_dialect_counts_by_itself_is_each_clients_own() -> None:
    jobs = [job("1", "a", "bb"), job("2", "bb", is_counted=False), job("3", "a", "ccc")]
    counting = Counting(jobs, merge(jobs), None, lambda inputs: list(map(len, inputs)))

    assert await counting.tokens(None) == [[3, 4], [], [3, 5]]
