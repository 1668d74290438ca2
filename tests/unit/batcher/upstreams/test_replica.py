"""What is learnt of an upstream from which of its answers."""

import asyncio
from contextlib import suppress

import pytest

from autobatch_batcher.dialects.base import SAMPLE_TEXT, Answer, AskedRows, Post, Question
from autobatch_batcher.dialects.openai import OpenAI
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.tuning.duty import Duty
from autobatch_batcher.tuning.recent_calls import NO_CALL_SEEN
from autobatch_batcher.tuning.tuner import Sample, Tuner
from autobatch_batcher.upstreams.breaker import FAILURES_MAX, PAUSE_MAX_S, PAUSE_MIN_S
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.contract.cards import Card, ModelKind
from autobatch_shared.contract.errors import (
    InvalidAnswer,
    UpstreamBroken,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from tests.unit.upstreams import NO_SESSION, open_breaker


def tei(message: str) -> bytes:
    return b'{"error":"%b","error_type":"Backend"}' % message.encode()


OTHER_MODEL = "Backend error: Model is not an embedding model"


class ToldClient(HttpClient):
    """Gets the same answer to every call, or an error."""

    def __init__(self, status: int = 200, body: bytes = b"[[1]]") -> None:
        super().__init__(NO_SESSION, "http://a", None)
        self.status, self.body = status, body
        self.error: Exception | None = None
        self.sent: list[Post] = []

    async def send(self, post: Post, timeout_s: float) -> Answer:  # noqa: ARG002 - as the real one
        self.sent.append(post)
        if self.error is not None:
            raise self.error
        return Answer(self.status, "", self.body, None)

    async def listens(self, question: Question) -> bool:  # noqa: ARG002 - as the real one
        return self.error is None


class AnswersOurs(ToldClient):
    """Answers a text of ours, and fails at all others."""

    async def send(self, post: Post, timeout_s: float) -> Answer:  # noqa: ARG002 - as the real one
        self.sent.append(post)
        await asyncio.sleep(0)
        if SAMPLE_TEXT in post.body:
            return Answer(200, "", b"[[1]]", None)
        if self.error is not None:
            raise self.error
        return Answer(self.status, "", self.body, None)

    async def listens(self, question: Question) -> bool:  # noqa: ARG002 - as the real one
        return True


def upstream(client: ToldClient) -> Replica:
    made = Replica("http://a", client, [Tei()], configured(32, 10**6), Tuner(2))
    made.is_healthy = True
    return made


async def test_a_count_says_nothing_of_how_the_upstream_computes() -> None:
    """One whose passes fail still counts tokens: else its breaker would never open."""
    client = ToldClient(500)
    one = upstream(client)
    for _ in range(FAILURES_MAX):
        assert one.breaker.is_closed
        await one.call(Post("/embed", b""), 1)
        client.status = 200
        await one.ask(Post("/tokenize", b""), 1)
        client.status = 500

    assert not one.breaker.is_closed
    client.status = 200
    await one.ask(Post("/tokenize", b""), 1)
    assert not one.breaker.is_closed


@pytest.mark.parametrize("status", [501, 503, 424])
async def test_nor_does_a_count_that_fails(status: int) -> None:
    one = upstream(ToldClient(status, b""))
    for _ in range(2 * FAILURES_MAX):
        await one.ask(Post("/tokenize", b""), 1)
    assert one.breaker.is_closed


async def test_a_route_of_another_model_opens_no_breaker() -> None:
    """Or a client that sends `/rerank` would disable the upstream for all others."""
    one = upstream(ToldClient(424, tei(OTHER_MODEL)))
    for _ in range(2 * FAILURES_MAX):
        await one.call(Post("/rerank", b""), 1)
    assert one.breaker.is_closed

    failing = upstream(ToldClient(424, tei("Backend error: out of memory")))
    for _ in range(FAILURES_MAX):
        await failing.call(Post("/embed", b""), 1)
    assert not failing.breaker.is_closed


BAD = AskedRows("/embed", [b'"bad"'])


@pytest.mark.parametrize(("status", "body"), [(500, b""), (424, b""), (200, b"[[NaN]]")])
async def test_one_that_answers_a_text_of_ours_is_not_taken_out_for_inputs_that_it_fails_at(
    status: int, body: bytes
) -> None:
    client = AnswersOurs(status, body)
    one = upstream(client)
    for number in range(4 * FAILURES_MAX):
        with suppress(InvalidAnswer):
            await one.call(Post("/embed", b""), 1, AskedRows("/embed", [b'"bad %d"' % number]))
        assert one.breaker.is_closed
    ours = [post for post in client.sent if SAMPLE_TEXT in post.body]
    assert len(ours) == 4, "it is asked before it would be taken out, and not for each answer"


async def test_one_that_fails_at_what_another_one_answers_is_taken_out_though_it_answers_ours() -> None:
    one = upstream(AnswersOurs(500, b""))
    for _ in range(FAILURES_MAX):
        await one.call(Post("/embed", b""), 1, BAD)
        one.blame_no_input()
    assert not one.breaker.is_closed


async def test_one_that_fails_at_a_text_of_ours_too_is_taken_out() -> None:
    client = ToldClient(500, b"")
    one = upstream(client)
    for _ in range(FAILURES_MAX):
        await one.call(Post("/embed", b""), 1, BAD)
    assert not one.breaker.is_closed
    assert len(client.sent) == FAILURES_MAX + 1


async def test_a_trial_with_an_input_that_it_fails_at_brings_it_back_if_it_answers_ours() -> None:
    client = AnswersOurs(500, b"")
    one = upstream(client)
    open_breaker(one, asyncio.get_running_loop().time() - PAUSE_MAX_S)
    await one.call(Post("/embed", b""), 1, BAD)
    assert one.breaker.is_closed


async def test_all_who_ask_at_once_whether_it_is_well_share_one_call() -> None:
    client = AnswersOurs()
    one = upstream(client)
    assert [True] * 8 == await asyncio.gather(*[one.answers_ours() for _ in range(8)])
    assert len(client.sent) == 1


async def test_one_that_hangs_up_and_lives_on_is_not_away() -> None:
    client = AnswersOurs()
    client.error = UpstreamBroken()
    one = upstream(client)
    for _ in range(2 * FAILURES_MAX):
        with pytest.raises(UpstreamBroken) as raised:
            await one.call(Post("/embed", b""), 1, BAD)
        assert raised.value.lives
    assert one.is_healthy
    assert one.breaker.is_closed


async def test_an_upstream_that_hangs_up_is_away_unless_it_only_counted() -> None:
    client = ToldClient()
    client.error = UpstreamBroken()
    one = upstream(client)
    with pytest.raises(Exception, match="hung up"):
        await one.ask(Post("/tokenize", b""), 1)
    assert one.is_healthy
    with pytest.raises(Exception, match="hung up"):
        await one.call(Post("/embed", b""), 1)
    assert not one.is_healthy


def test_of_an_idle_upstream_it_is_unknown_what_a_call_takes() -> None:
    """Only a call can show it, so none is kept from being made by what calls took before."""
    one = upstream(ToldClient())
    one.tuner.note(Sample(one.tuner.setting, 100, 100, 0.0, 1.5, was_busy=True))
    idle = one.call_time(1.5, 32, is_scarce=False)
    one.load.calls = 1

    assert NO_CALL_SEEN == idle
    assert pytest.approx(1500.0) == one.call_time(1.5, 32, is_scarce=False).ms(100)


def test_where_another_job_takes_its_place_one_is_dropped_by_what_calls_took_at_most() -> None:
    """Also at an upstream that is idle for this moment: a call in vain would cost that other job its own."""
    one = upstream(ToldClient())
    for ended_s, takes_s in ((1.0, 1.0), (1.5, 0.5)):
        one.tuner.note(Sample(one.tuner.setting, 100, 100, ended_s - takes_s, ended_s, was_busy=True))

    assert pytest.approx(1000.0) == one.call_time(1.5, 1, is_scarce=True).ms(100)


class Draining(HttpClient):
    """Answers a call that it has, and refuses another one meanwhile."""

    def __init__(self) -> None:
        super().__init__(NO_SESSION, "http://a", None)
        self.answers = asyncio.Event()
        self.refuses = False

    async def send(self, _post: Post, _timeout_s: float) -> Answer:
        if self.refuses:
            raise UpstreamUnavailable
        await self.answers.wait()
        return Answer(200, "application/json", b"[[1]]", None)


async def test_the_late_answer_of_one_that_drains_does_not_say_that_it_is_back() -> None:
    """The connection that was refused is newer than the call."""
    client = Draining()
    one = Replica("http://a", client, [Tei()], configured(32, 10**6), Tuner(2))
    late = asyncio.create_task(one.call(Post("/embed", b""), 1))
    await asyncio.sleep(0)
    client.refuses = True
    with pytest.raises(UpstreamUnavailable):
        await one.call(Post("/embed", b""), 1)
    client.answers.set()

    assert 200 == (await late).status
    assert (False, True) == (one.is_healthy, one.down_since_s is not None)
    client.refuses = False
    await one.call(Post("/embed", b""), 1)
    assert (True, None) == (one.is_healthy, one.down_since_s)


async def test_what_a_client_wrote_that_fails_says_nothing_of_the_upstream() -> None:
    """llama-cpp-python answers 500 to a list without texts; a gateway's 502 is no answer to it."""
    client = ToldClient(500)
    one = upstream(client)
    body = OpenAI().pass_on("/v1/embeddings", b'{"input":[]}', "application/json")
    for _ in range(FAILURES_MAX):
        await one.call(body, 1)
    assert one.breaker.is_quiet

    client.status = 502
    for _ in range(FAILURES_MAX):
        await one.call(body, 1)
    assert not one.breaker.is_closed


def test_what_would_make_its_calls_cheaper_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Not of each API that it might have spoken: of the one that it speaks, when it has shown what it serves."""
    one = upstream(ToldClient())
    one.speak(OpenAI(hint="type this"), 0.0)
    assert "upstream_hint" not in caplog.messages

    one.learnt(1, 0.0)
    one.learnt(1, 1.0)

    assert [record.__dict__["hint"] for record in caplog.records if record.message == "upstream_hint"] == ["type this"]


@pytest.mark.parametrize(
    ("status", "causes"),
    [(200, []), (413, []), (422, []), (429, ["HTTP 429"]), (500, ["HTTP 500"]), (503, ["HTTP 503"])],
)
async def test_what_an_input_may_be_to_blame_for_is_no_failure(status: int, causes: list[str]) -> None:
    one = upstream(ToldClient(status, b"[[1]]"))
    await one.call(Post("/embed", b""), 1)
    assert (causes, 1) == (list(one.failures.causes), one.failures.calls)


@pytest.mark.parametrize(
    ("error", "timeout_s", "causes"),
    [
        (UpstreamTimeout(), 5.0, ["no answer in time"]),
        (UpstreamTimeout(), 0.5, []),
        (UpstreamUnavailable().because("ECONNREFUSED"), 5.0, ["connection refused"]),
        (UpstreamBroken().because("closed before an answer"), 5.0, ["closed before an answer"]),
        (UpstreamProtocolError().because("answer too large"), 5.0, ["answer too large"]),
    ],
)
async def test_a_call_without_an_answer_is_counted_by_its_cause_unless_its_client_was_impatient(
    error: UpstreamError, timeout_s: float, causes: list[str]
) -> None:
    client = ToldClient()
    client.error = error
    one = upstream(client)
    with pytest.raises(type(error)):
        await one.call(Post("/embed", b""), timeout_s)
    assert (causes, 1) == (list(one.failures.causes), one.failures.calls)
    assert (one.breaker.failing_since_s is None) == (not causes or causes == ["answer too large"])


async def test_nor_is_what_a_client_wrote_itself() -> None:
    one = upstream(ToldClient(404, b""))
    await one.call(Post("/nowhere", b"", may_be_faulty=True), 1)
    assert ({}, 1) == (one.failures.causes, one.failures.calls)


async def test_what_is_wrong_with_an_upstream_is_told_in_a_few_words() -> None:
    client = ToldClient(500, b"a user's text")
    one = upstream(client)
    assert one.trouble == ""
    for _ in range(FAILURES_MAX):
        await one.call(Post("/embed", b""), 1)
    assert one.trouble == "HTTP 500"
    client.error = UpstreamUnavailable().because("ECONNREFUSED")
    with pytest.raises(UpstreamUnavailable):
        await one.call(Post("/embed", b""), 1)
    assert one.trouble == "connection refused"
    failed = one.status(1, 1.0).failed
    assert failed is not None
    assert ("connection refused", "ECONNREFUSED") == (failed.last, one.status(1, 1.0).fault)
    one.standing.reason = "it serves another-model"
    assert one.trouble == "does not say what it serves", "it has not told us"


async def call_for(one: Replica, *texts: bytes) -> None:
    await one.call(Post("/embed", b""), 5.0, AskedRows("/embed", texts))


@pytest.mark.parametrize("status", [200, 204, 206, 302, 307])
async def test_answers_without_rows_take_it_out_and_say_why(status: int) -> None:
    one = upstream(ToldClient(status, b"<html>Sign in</html>"))
    for number in range(FAILURES_MAX):
        assert one.breaker.is_closed
        with pytest.raises(InvalidAnswer):
            await call_for(one, b'"%d"' % number)
    assert (one.breaker.is_closed, one.trouble, one.answered_s) == (False, "invalid answer", float("-inf"))


async def test_those_that_one_input_explains_do_not() -> None:
    """A client that sends it again and again takes no upstream away from the others."""
    one = upstream(ToldClient(200, b"[null]"))
    with pytest.raises(InvalidAnswer):
        await call_for(one, b'"a"', b'"odd"', b'"b"')
    for _ in range(2 * FAILURES_MAX):
        with pytest.raises(InvalidAnswer):
            await call_for(one, b'"odd"')
    assert one.breaker.is_closed
    assert one.failures.causes == {"invalid answer": 2 * FAILURES_MAX + 1}


async def test_those_that_another_upstream_had_rows_for_do() -> None:
    one = upstream(ToldClient(200, b"[null]"))
    for _ in range(FAILURES_MAX):
        with pytest.raises(InvalidAnswer):
            await call_for(one, b'"a"')
        one.blame_no_input()
    assert not one.breaker.is_closed


async def test_a_trial_that_has_no_rows_is_one_that_failed_whatever_it_was_asked() -> None:
    one = upstream(ToldClient(200, b""))
    open_breaker(one, asyncio.get_running_loop().time())
    before_s = one.breaker.trial_s()
    for _ in range(2):
        with pytest.raises(InvalidAnswer):
            await call_for(one, b'"a"')
    assert one.breaker.trial_s() >= before_s + 3 * PAUSE_MIN_S


async def test_an_upstream_that_was_taken_out_is_tried_where_no_job_is_called() -> None:
    """It would stay out until the next request, or be taken over with what was believed of it long ago."""
    client = ToldClient()
    one = upstream(client)
    open_breaker(one, asyncio.get_running_loop().time() - PAUSE_MIN_S)
    one.load.calls = 1
    await one.try_without_job()
    assert not one.breaker.is_closed

    one.load.calls = 0
    client.body = b"<html>"
    await one.try_without_job()
    assert not one.breaker.may_try(asyncio.get_running_loop().time()), "a trial that failed makes the pause longer"

    open_breaker(one, asyncio.get_running_loop().time() - PAUSE_MAX_S)
    client.body = b"[[1]]"
    await one.try_without_job()
    assert one.breaker.is_closed


async def test_one_that_other_batchers_have_lost_is_tried_until_it_has_answered_or_is_out_here_too() -> None:
    client = ToldClient(200, b"[[1]]")
    one, now_s = upstream(client), asyncio.get_running_loop().time()
    await one.try_without_job()
    assert client.sent == []

    one.lost_s = now_s
    assert one.is_in_doubt
    await one.try_without_job()
    await one.try_without_job()
    assert (1, False) == (len(client.sent), one.is_in_doubt)

    one.lost_s = one.answered_s + 1
    client.status = 500
    for _ in range(2 * FAILURES_MAX):
        await one.try_without_job()
    assert (1 + FAILURES_MAX, False) == (len(client.sent), one.breaker.is_closed)


@pytest.mark.parametrize(
    ("kind", "path", "inputs", "rows"),
    [
        ("sparse", "/embed_sparse", b'"What', b'[[{"index":1,"value":0.5}]]'),
        ("classifier", "/predict", b'["What', b'[[{"score":0.5,"label":"a"}]]'),
        ("reranker", "/predict", b'["What', b'[[{"score":0.5,"label":"a"}]]'),
    ],
)
async def test_such_a_trial_asks_for_what_the_model_computes(
    kind: ModelKind, path: str, inputs: bytes, rows: bytes
) -> None:
    client = ToldClient(200, rows)
    one = upstream(client)
    one.card, one.duty = Card(kind=kind), Duty(is_on=False)
    open_breaker(one, asyncio.get_running_loop().time() - PAUSE_MAX_S)

    await one.try_without_job()

    assert one.breaker.is_closed
    assert [path] == [each.path for each in client.sent]
    assert client.sent[0].body.startswith(b'{"inputs":[' + inputs)


@pytest.mark.parametrize(
    ("why", "trouble"),
    [
        ("it answers 401 to /info: INFERENCE_API_KEY", "HTTP 401"),
        ("it answers 403 to /embed: INFERENCE_API_KEY", "HTTP 403"),
        ("invalid answer: /info does not say what it serves, as it did", "invalid answer"),
        ("it has neither /info nor a vector", "does not say what it serves"),
    ],
)
async def test_the_status_of_its_refusal_is_what_is_wrong_with_it(why: str, trouble: str) -> None:
    one = upstream(ToldClient())
    one.exclude(why, 0.0)
    assert one.trouble == trouble
