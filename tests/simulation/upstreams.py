"""The upstream as arithmetic: a vector names its text, and it fails on demand."""

import asyncio
from collections import Counter

import orjson

from autobatch_batcher.dialects.base import SAMPLE_TEXT, Answer, Post, Question
from autobatch_batcher.upstreams.http_client import CallConnection, HttpClient
from autobatch_shared.contract.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnavailable
from tests.simulation.timeline import ProcessLoop, Timeline

CALL_S, INPUT_S = 0.04, 0.002
BATCH_INPUTS_MAX = 8
KILLING = "kill"  # texts that begin so end the upstream
RESTART_S = 0.4
INFO = orjson.dumps({"model_id": "simulated", "max_client_batch_size": BATCH_INPUTS_MAX, "max_concurrent_requests": 64})
HANG_S = 3600.0
DIMENSION_TEXT = orjson.loads(SAMPLE_TEXT)


def vector(text: str) -> list[float]:
    """Return the vector that names this text; its last word is its number."""
    return [float(text.rpartition(" ")[2]), 0.5]


class ModelUpstream:
    """One embedding server.

    Attributes:
        mode: What it does with a call: `well`, `hang`, `slow`, `close`, or the status of an error.
        computed: How often each text was computed or would have been.
        calls: Number of calls that reached it.

    Args:
        timeline: The time that passes.
        name: Its name in the trace.
    """

    def __init__(self, timeline: Timeline, name: str) -> None:
        self._timeline = timeline
        self.name = name
        self.mode = "well"
        self.computed: Counter[str] = Counter()
        self.calls = 0
        self._is_up = True
        self._in_flight: dict[asyncio.Future[Answer], None] = {}  # a set would have another order in each process

    @property
    def is_up(self) -> bool:
        """Whether it listens."""
        return self._is_up

    def stop(self) -> None:
        """Die: every call is hung up on."""
        self._is_up = False
        self._timeline.note(f"{self.name} dies")
        for future in self._in_flight:
            if not future.done():
                future.set_exception(ConnectionResetError("reset"))
        self._in_flight.clear()

    def start(self) -> None:
        """Be back."""
        self._is_up = True
        self._timeline.note(f"{self.name} is back")

    def call(self, loop: ProcessLoop, post: Post) -> "asyncio.Future[Answer]":
        """Take a call."""
        future: asyncio.Future[Answer] = loop.create_future()
        if not self._is_up:
            future.set_exception(ConnectionRefusedError("refused"))
            return future
        texts: list[str] = orjson.loads(post.body)["inputs"]
        if texts == [DIMENSION_TEXT]:  # what a batcher asks of its own
            self._timeline.after(CALL_S, self._end, future, Answer(200, "application/json", b"[[0.0,0.5]]", None))
            return future
        self.calls += 1
        self.computed.update(texts)
        self._timeline.note(f"{self.name} {self.mode}: call of {loop.name} with {texts}")
        self._in_flight[future] = None
        takes_s = (CALL_S + INPUT_S * len(texts)) * self._timeline.chance.uniform(0.7, 1.5)
        if any(text.startswith(KILLING) for text in texts):
            self._timeline.after(takes_s / 2, self._die_of_it, future)
        elif self.mode == "close":
            self._timeline.after(takes_s / 2, self._end, future, None)
        elif self.mode.isdigit():
            self._timeline.after(takes_s / 4, self._end, future, self._error(int(self.mode)))
        else:
            takes_s = {"hang": HANG_S, "slow": takes_s + 1.2}.get(self.mode, takes_s)
            body = orjson.dumps([vector(text) for text in texts])
            self._timeline.after(takes_s, self._end, future, Answer(200, "application/json", body, None))
        return future

    def _error(self, status: int) -> Answer:
        body = orjson.dumps({"error": "simulated", "error_type": "Backend"})
        return Answer(status, "application/json", body, None)

    def _die_of_it(self, future: "asyncio.Future[Answer]") -> None:
        if not future.done() and self._is_up:
            self.stop()
            self._timeline.after(RESTART_S, self.start)

    def _end(self, future: "asyncio.Future[Answer]", answer: Answer | None) -> None:
        self._in_flight.pop(future, None)
        if future.done():
            return
        if answer is None:
            future.set_exception(ConnectionResetError("closed"))
        else:
            future.set_result(answer)


class ModelHttpClient(HttpClient):
    """What a batcher has in place of HTTP: the same errors for what happens to a call."""

    def __init__(self, upstream: ModelUpstream, loop: ProcessLoop) -> None:
        self._upstream = upstream
        self._loop = loop

    async def send(self, post: Post, timeout_s: float) -> Answer:
        """Make one call."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._upstream.call(self._loop, post)
        except TimeoutError as exc:
            raise UpstreamTimeout from exc
        except ConnectionRefusedError as exc:
            raise UpstreamUnavailable from exc
        except OSError as exc:
            raise UpstreamBroken from exc

    async def fetch(self, question: Question, _connection: CallConnection | None = None) -> tuple[int, bytes]:
        """Return the status and the body of its answer to a question."""
        if not self._upstream.is_up:
            raise ConnectionRefusedError("refused")
        if self._upstream.mode == "hang":
            await self._loop.create_future()
        return 503 if self._upstream.mode in ("503", "500") else 200, INFO if question.path == "/info" else b""

    async def listens(self, _question: Question) -> bool:
        """Whether it answers now, in whatever way."""
        return self._upstream.is_up
