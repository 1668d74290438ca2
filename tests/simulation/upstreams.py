"""The upstream as arithmetic: a vector names its text, and it fails on demand."""

import asyncio
from collections import Counter

import orjson

from autobatch_batcher.dialects.base import SAMPLE_TEXT, Answer, Post, Question
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.clients.upstream_client import CallConnection
from autobatch_shared.contract.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnavailable
from tests.simulation.timeline import ProcessLoop, Timeline

CALL_S, INPUT_S = 0.04, 0.002
BATCH_INPUTS_MAX = 8
KILLING = "kill"  # texts that begin so end the upstream
RESTART_S = 0.4
SLOWED_TIMES = 10
HANG_S = 3600.0
DIMENSION_TEXT = orjson.loads(SAMPLE_TEXT)


def vector(text: str, model: int = 0) -> list[float]:
    """Return the vector that names this text, by its last word, which is its number, and the model that computed it."""
    return [float(text.rpartition(" ")[2]), model + 0.5]


def info(model: int) -> bytes:
    """Return what an upstream says of itself that serves this model."""
    limits = {"max_client_batch_size": BATCH_INPUTS_MAX, "max_concurrent_requests": 64}
    return orjson.dumps({"model_id": f"simulated-{model}", **limits})


class ModelUpstream:
    """One embedding server.

    Attributes:
        mode: What it does with a call: `well`, `hang`, `slow`, `slowed`, `close`, or the status of an error.
        model: The number of the model that it serves; another one of the same dimension has another.
        starts: How often it was started: a connection from before is gone.
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
        self.model = 0
        self.starts = 1
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
        self.starts += 1
        self._timeline.note(f"{self.name} is back with model {self.model}")

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
            modes = {"hang": HANG_S, "slow": takes_s + 1.2, "slowed": takes_s * SLOWED_TIMES}
            takes_s = modes.get(self.mode, takes_s)
            body = orjson.dumps([vector(text, self.model) for text in texts])
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
        self._connected_to = 0  # its start

    async def send(self, post: Post, timeout_s: float) -> Answer:
        """Make one call."""
        is_new = self._connect(CallConnection(self))
        try:
            async with asyncio.timeout(timeout_s):
                answer = await self._upstream.call(self._loop, post)
                if is_new:
                    self.connected_s = self._loop.time()
                return answer
        except TimeoutError as exc:
            raise UpstreamTimeout from exc
        except ConnectionRefusedError as exc:
            raise UpstreamUnavailable from exc
        except OSError as exc:
            raise UpstreamBroken from exc

    def _connect(self, connection: CallConnection) -> bool:
        """Whether a new connection was made, as after each start of the upstream; filled in as `HttpClient` does."""
        if not self._upstream.is_up or self._connected_to == self._upstream.starts:
            return False
        self._connected_to = self._upstream.starts
        self.connected_s = connection.made_s = self._loop.time()
        return True

    async def fetch(self, question: Question, connection: CallConnection | None = None) -> tuple[int, bytes]:
        """Return the status and the body of its answer to a question."""
        upstream = self._upstream
        if not upstream.is_up:
            raise ConnectionRefusedError("refused")
        self._connect(connection or CallConnection(self))
        if upstream.mode == "hang":
            await self._loop.create_future()
        return 503 if upstream.mode in ("503", "500") else 200, info(
            upstream.model
        ) if question.path == "/info" else b""

    async def listens(self, _question: Question) -> bool:
        """Whether it answers now, in whatever way."""
        return self._upstream.is_up
