"""Upstreams that are never called."""

from typing import Any

from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.breaker import FAILURES_MAX
from autobatch_batcher.upstreams.clients.http_client import HttpClient
from autobatch_batcher.upstreams.limits import Limits
from autobatch_batcher.upstreams.prober import Prober
from autobatch_batcher.upstreams.replica import Replica
from autobatch_batcher.upstreams.replica_state import ReplicaState

NO_SESSION: Any = None
NO_CLIENT = HttpClient(NO_SESSION, "http://nowhere", None)


class SaysLimits(Prober):
    """Hears these limits when it asks for them."""

    def __init__(self, state: ReplicaState, limits: Limits) -> None:
        super().__init__(state, NO_CLIENT)
        self._limits = limits

    async def ask_limits(self) -> None:
        self._state.limits = self._limits


class LoneTrials:
    """The trials of a single batcher."""

    def __init__(self) -> None:
        self.buried: list[bytes] = []
        self.lingered_ms: list[int] = []
        self.tokens: list[str] = []
        self.has_begun = False
        self.others_try = False

    async def begin_trial(self, token: str, _ttl_ms: int) -> bool:
        assert not self.has_begun
        self.has_begun = True
        self.tokens.append(token)
        return True

    async def end_trial(self, _token: str, linger_ms: int) -> None:
        self.lingered_ms.append(linger_ms)
        self.has_begun = False

    async def is_trying(self) -> bool:
        return self.others_try

    async def bury(self, frame: bytes) -> None:
        self.buried.append(frame)


def make_upstream(
    name: str,
    *,
    calls_max: int = 2,
    is_healthy: bool = True,
    in_flight_inputs_max: int = 10**6,
) -> Replica:
    """Return a replica `http://<name>` without a session."""
    limits = Limits(32, 10**6, in_flight_inputs_max)
    upstream = Replica(f"http://{name}", NO_CLIENT, [Tei()], limits, Tuner(calls_max))
    upstream.is_healthy = is_healthy
    return upstream


def open_breaker(upstream: Replica, now_s: float) -> None:
    """Let enough calls fail to open it."""
    for _ in range(FAILURES_MAX):
        upstream.breaker.called()
        upstream.breaker.failed(now_s)
