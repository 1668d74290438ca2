"""A server of a known law, measured in virtual time: exact, and without waiting."""

import asyncio
from random import Random

import orjson

from autobatch_batcher.advising.measuring.measured import Measured
from autobatch_batcher.advising.measuring.measurement import measure_with
from autobatch_batcher.advising.measuring.sample_texts import SampleTexts, built_in_texts
from autobatch_batcher.advising.measuring.upstream_timer import UpstreamTimer
from autobatch_batcher.dialects.base import JSON, Answer, Post, Question
from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.simulating.clients import RunHistory
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.simulating.simulated_upstream import SimulatedUpstream
from autobatch_batcher.simulating.virtual_time import VirtualTimeLoop
from autobatch_batcher.simulating.workers import CALL_S
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.clients.upstream_client import CallConnection
from autobatch_batcher.upstreams.limits import configured
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.bell import pause
from autobatch_shared.contract.errors import UpstreamUnavailable


class KnownServerClient:
    """Calls a simulated upstream; an input is as long as its text has characters, and four of them are a token."""

    connected_s = float("-inf")

    def __init__(self, law: str) -> None:
        loop = asyncio.get_running_loop()
        self._upstream = SimulatedUpstream(law_of(law), Random(1), loop.call_at, loop.time, RunHistory())
        self.card = self._upstream.card

    async def send(self, post: Post, timeout_s: float) -> Answer:  # noqa: ARG002 - nothing hangs here
        texts = orjson.loads(post.body)["inputs"]
        if post.path == "/tokenize":
            rows = ["[" + ",".join(['{"id":1}'] * (len(text) // 4)) + "]" for text in texts]
            return Answer(200, JSON, f"[{','.join(rows)}]".encode(), None)
        await pause(CALL_S)
        answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._upstream.call([len(text) for text in texts], answered.set_result)
        if await answered:
            return Answer(200, JSON, b"[%b]" % b",".join([b"[0.5]"] * len(texts)), None)
        return Answer(429, JSON, b'{"error":"Model is overloaded","error_type":"Overloaded"}', None)

    async def fetch(self, question: Question, connection: CallConnection | None = None) -> tuple[int, bytes]:  # noqa: ARG002 - of a protocol
        raise UpstreamUnavailable

    async def listens(self, question: Question) -> bool:  # noqa: ARG002 - of a protocol
        return True


def measured_of(law: str, seconds: float, texts: SampleTexts | None = None) -> Measured:
    """Return what is measured of a server of this law in so many virtual seconds."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(_measure(law, seconds, texts or built_in_texts()))
    finally:
        loop.close()


async def _measure(law: str, seconds: float, texts: SampleTexts) -> Measured:
    client = KnownServerClient(law)
    replica = Replica("http://known:80", client, [Tei()], configured(32, 2_000_000), Tuner(None))
    replica.take_card(client.card, 0.0)
    timer = UpstreamTimer(replica, texts, 60.0, asyncio.get_running_loop().time, lambda: 0.0)
    return await measure_with(timer, replica, texts, seconds, lambda _: None)
