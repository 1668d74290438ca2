"""A list that an upstream refuses for a limit that no card names is answered in smaller calls, and the limit is learnt."""

import asyncio
import json

import msgspec
import pytest

from autobatch_batcher.calling.caller import Caller
from autobatch_batcher.dialects.base import JSON, Answer, Post
from autobatch_batcher.dialects.openai import OpenAI
from autobatch_batcher.forming.shaping import pick
from autobatch_batcher.jobs import Job
from autobatch_batcher.metrics import Metrics
from autobatch_batcher.tuning.shape import BatchShape
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.slots import Pool, Slot
from autobatch_shared.contract.cards import NO_CARD, UNKNOWN_MAX
from autobatch_shared.contract.frames import ReplyHeader, decode_reply
from autobatch_shared.redis.clock import RedisClock
from tests.unit.builders import make_job
from tests.unit.upstreams import NO_CLIENT, LoneTrials, SaysLimits

BY_ARRIVAL = BatchShape(None, None)


class Unnamed(Replica):
    """Refuses more than so many inputs, in words with or without the number, and any call with a guilty text."""

    def __init__(self, inputs_max: int, words: str = "'$.input' is invalid", guilty: str = "") -> None:
        super().__init__("http://a", NO_CLIENT, [OpenAI()], configured(32, 10**6), Tuner(1))
        self.prober = SaysLimits(self, self.limits)
        self.sizes: list[int] = []
        self._inputs_max = inputs_max
        self._words = words
        self._guilty = guilty

    async def ask(self, post: Post, timeout_s: float) -> Answer:
        assert timeout_s > 0
        texts = json.loads(post.body)["input"]
        self.sizes.append(len(texts))
        if (words := self._refusal(texts)) is not None:
            said = {"error": {"message": words}}
            return self.dialect.understood(Answer(400, JSON, json.dumps(said).encode(), None))
        data = [{"index": place, "embedding": [float(text)]} for place, text in enumerate(texts)]
        usage = {"prompt_tokens": len(texts)}
        return Answer(200, JSON, json.dumps({"data": data, "usage": usage}).encode(), None)

    def _refusal(self, texts: list[str]) -> str | None:
        return self._words if len(texts) > self._inputs_max or self._guilty in texts else None

    async def replies(self, *jobs: Job) -> list[tuple[ReplyHeader, bytes]]:
        clock = RedisClock()
        clock.sync(0)
        pool, metrics = Pool([self]), Metrics()
        caller = Caller(pool, LoneTrials(), clock, metrics, timeout_max_s=1, attempts_max=1)
        outcomes = await caller.answer(jobs, Slot(self, 1, 1, was_busy=True))
        return [decode_reply(outcome.frame) for outcome in outcomes]


class Totals(Unnamed):
    """Counts a token for each two characters, and refuses more than so many together."""

    def __init__(self, tokens_max: int, words: str) -> None:
        super().__init__(32, words)
        self._tokens_max = tokens_max

    def _refusal(self, texts: list[str]) -> str | None:
        tokens = sum(map(len, texts)) // 2
        return self._words.format(had=tokens, limit=self._tokens_max) if tokens > self._tokens_max else None


def digits(start: int, stop: int, length: int) -> Job:
    body = json.dumps([f"{number:0{length}}" for number in range(start, stop)]).encode()
    return make_job(f"{start}", n=stop - start, body=body, longest=length)


def numbers(start: int, stop: int, *, is_counted: bool = False) -> Job:
    body = json.dumps([str(number) for number in range(start, stop)]).encode()
    job = make_job(f"{start}", n=stop - start, body=body)
    return msgspec.structs.replace(job, header=msgspec.structs.replace(job.header, is_counted=is_counted))


def rows(start: int, stop: int) -> list[list[float]]:
    return [[float(number)] for number in range(start, stop)]


async def test_a_limit_that_a_refusal_names_is_kept_to_at_once() -> None:
    upstream = Unnamed(10, "batch size is invalid, it should not be larger than 10")

    ((header, body),) = await upstream.replies(numbers(0, 25, is_counted=True))

    assert (header.status, json.loads(body)) == (200, rows(0, 25))
    assert [25, 10, 10, 5] == upstream.sizes
    assert 25 == sum(header.tokens)
    assert 10 == upstream.limits.inputs_max


async def test_a_limit_that_no_refusal_names_is_found_by_halves() -> None:
    upstream = Unnamed(10)

    ((header, body),) = await upstream.replies(numbers(0, 25))

    assert (header.status, json.loads(body)) == (200, rows(0, 25))
    assert [25, 13, 7, 7, 7, 4] == upstream.sizes
    assert 7 == upstream.limits.inputs_max


async def test_a_batch_that_is_refused_only_as_a_whole_teaches_the_limit() -> None:
    upstream = Unnamed(10)

    replies = await upstream.replies(numbers(0, 8), numbers(8, 16))

    assert [rows(0, 8), rows(8, 16)] == [json.loads(body) for _, body in replies]
    assert ([16, 8, 8], 8) == (upstream.sizes, upstream.limits.inputs_max)


@pytest.mark.parametrize("guilty", ["0", "7", "24"])
async def test_a_guilty_input_teaches_nothing(guilty: str) -> None:
    upstream = Unnamed(100, guilty=guilty)

    ((header, _),) = await upstream.replies(numbers(0, 25))

    assert (400, 32) == (header.status, upstream.limits.inputs_max)


async def test_a_limit_that_was_learnt_is_tried_again_after_a_while() -> None:
    """It may have been one of tokens, for long texts."""
    upstream = Unnamed(10)
    upstream.learn_from_parts(Answer(400, JSON, b"{}", None), 10, 0, 0.0)

    upstream.take_card(NO_CARD, 599.0)
    assert upstream.limits.inputs_max == 10
    upstream.take_card(NO_CARD, 601.0)
    assert upstream.limits.inputs_max == 32


@pytest.mark.parametrize(
    "words",
    [
        "Requested {had} tokens, max {limit} tokens per request",
        (
            "Request to model 'voyage-3-large' failed. The max allowed tokens per submitted batch is {limit}. "
            "Your batch has {had} tokens after truncation. Please lower the number of tokens in the batch."
        ),
        "Too many tokens in batch. Max is {limit} got {had}",
    ],
)
async def test_a_total_of_tokens_that_a_refusal_names_bounds_calls_as_long_as_texts_are_like_those(words: str) -> None:
    upstream = Totals(2_000, words)

    replies = await upstream.replies(*(digits(place, place + 1, 400) for place in range(16)))

    assert [[[float(place)]] for place in range(16)] == [json.loads(body) for _, body in replies]
    assert [16, 8, 8] == upstream.sizes
    # By our count, a token for each four characters, the 3,200 tokens are 1,600, and 2,000 of them are 1,000.
    assert (32, 950) == (upstream.limits.inputs_max, upstream.limits.total_tokens_max)
    assert 9 == len(pick([digits(place, place + 1, 400) for place in range(16)], upstream.limits, BY_ARRIVAL, 0))
    assert 16 == len(pick([digits(place, place + 1, 40) for place in range(16)], upstream.limits, BY_ARRIVAL, 0))


async def test_a_total_of_tokens_that_no_refusal_names_is_found_by_halves() -> None:
    upstream = Totals(2_000, "Too many tokens overall, split into more batches.")

    ((_, body),) = await upstream.replies(digits(0, 16, 400))

    assert rows(0, 16) == json.loads(body)
    assert [16, 8, 8] == upstream.sizes
    assert (32, 800) == (upstream.limits.inputs_max, upstream.limits.total_tokens_max)


async def test_workers_cut_requests_by_the_total_that_was_learnt_until_it_is_forgotten() -> None:
    upstream = Totals(2_000, "Requested {had} tokens, max {limit} tokens per request")
    await upstream.replies(digits(0, 16, 400))
    now_s = asyncio.get_running_loop().time()

    assert upstream.status(32, now_s).batch_tokens_max == 950
    upstream.take_card(NO_CARD, now_s + 601)
    assert upstream.status(32, now_s).batch_tokens_max == UNKNOWN_MAX
