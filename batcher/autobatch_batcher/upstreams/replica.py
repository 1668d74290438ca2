"""One upstream over HTTP: calls and probes. aiohttp's exceptions end here."""

import asyncio
import logging
import re
from collections import deque
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import aiohttp

from autobatch_batcher.upstreams import limits
from autobatch_batcher.upstreams.breaker import Breaker
from autobatch_batcher.upstreams.limits import Limits
from autobatch_batcher.upstreams.tuning import Tuner
from autobatch_shared.contract.call_headers import MEASURES
from autobatch_shared.contract.errors import UpstreamBroken, UpstreamTimeout, UpstreamUnavailable
from autobatch_shared.contract.status import UpstreamStatus, raw_json
from autobatch_shared.settings.definitions import without_credentials

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 3.0
RECENT_CALLS = 16
TIMEOUT_OF_ITS_OWN_S = 1.0  # below it a client was impatient

# What TEI says, with status 424, of a route or an option that is another model's: to everybody, and whenever it is asked.
_is_of_another_model = re.compile(
    rb'\s*\{"error":"Backend error: (?:[Mm]odel is not an? [\w -]+|`\w+` is not available for SPLADE models)",'
    rb'"error_type":"Backend"\}\s*'
).fullmatch


@dataclass(frozen=True, slots=True)
class Answer:
    """What the upstream said.

    Attributes:
        measures: Its headers of MEASURES.
    """

    status: int
    content_type: str
    body: bytes
    retry_after: str | None
    measures: dict[str, str] = field(default_factory=dict)

    @property
    def is_of_another_model(self) -> bool:
        """Whether it says that only another model has this route: no failure, and nothing that a retry could change."""
        return self.status == 424 and _is_of_another_model(self.body) is not None


class Upstream:
    """One replica, what it allows, and what it is doing for this batcher.

    Args:
        session: Shared by all upstreams of this process.
        url: Without trailing slash.
        configured: Limits that `/info` may only lower.
        api_key: Sent as a bearer token.
        tuner: Learns from its calls.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, configured: Limits, api_key: str | None, tuner: Tuner
    ) -> None:
        self.name = without_credentials(url)
        self.limits = configured
        self.is_healthy = False
        self.tuner = tuner
        self.breaker = Breaker()
        self.calls_in_flight = 0
        self.inputs_in_flight = 0
        self.work_in_flight = 0
        self._url = url
        self._session = session
        self._configured = configured
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._info = b"null"
        self._answered_mono_s = float("-inf")
        self._recent_calls_s: deque[float] = deque(maxlen=RECENT_CALLS)

    @property
    def fastest_call_s(self) -> float:
        """The least that one of the last calls took; 0 before there was any."""
        return min(self._recent_calls_s, default=0.0)

    def status(self) -> UpstreamStatus:
        """What to publish of it."""
        return UpstreamStatus(
            self.name, self.is_healthy, self.limits.inputs_max, self.inputs_in_flight, raw_json(self._info)
        )

    async def post(self, route: str, body: bytes, content_type: str | None, timeout_s: float) -> Answer:
        """Make one call, and learn from it how the upstream is.

        Raises:
            UpstreamUnavailable, UpstreamTimeout: As `ask` does.
        """
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        self.breaker.called()
        try:
            answer = await self.ask(route, body, content_type, timeout_s)
        except UpstreamTimeout:
            if timeout_s >= TIMEOUT_OF_ITS_OWN_S:
                self.breaker.failed(loop.time())
            else:
                self.breaker.learnt_nothing()
            raise
        except UpstreamUnavailable as exc:
            self.breaker.failed(loop.time())
            self._set_health(healthy=False, why=type(exc.__cause__).__name__)
            raise
        except BaseException:
            self.breaker.learnt_nothing()
            raise
        if answer.is_of_another_model:
            self.breaker.learnt_nothing()
        elif answer.status == 424 or answer.status >= 500:
            self.breaker.failed(loop.time())
        else:
            self.breaker.succeeded()
        if answer.status == 200:
            self._answered_mono_s = loop.time()
            self._recent_calls_s.append(self._answered_mono_s - started_s)
            self._set_health(healthy=True, why="answered")
        return answer

    async def ask(self, route: str, body: bytes, content_type: str | None, timeout_s: float) -> Answer:
        """Make one call that tells nothing of the upstream: one that cannot compute any more may count tokens for long.

        Raises:
            UpstreamUnavailable: It could not be reached, within the session's time for that.
            UpstreamBroken: It hung up on the call.
            UpstreamTimeout: No whole answer within `timeout_s` seconds.
        """
        headers = self._headers | {"Content-Type": content_type} if content_type is not None else self._headers
        try:
            async with asyncio.timeout(timeout_s):
                request = self._session.post(
                    self._url + route,
                    data=body,
                    headers=headers,
                    allow_redirects=False,  # bodies go where we were told to send them, and nowhere else
                    skip_auto_headers=("Accept-Encoding",)
                    if content_type is not None
                    else ("Accept-Encoding", "Content-Type"),
                )
                async with request as response:
                    said = response.headers
                    return Answer(
                        response.status,
                        said.get("Content-Type", ""),
                        await response.read(),
                        said.get("Retry-After"),
                        {name: value for name in MEASURES if (value := said.get(name)) and value.isascii()},
                    )
        except aiohttp.ConnectionTimeoutError as exc:
            raise UpstreamUnavailable from exc
        except TimeoutError as exc:
            raise UpstreamTimeout from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise (UpstreamUnavailable if isinstance(exc, aiohttp.ClientConnectorError) else UpstreamBroken) from exc

    async def probe(self) -> None:
        """Ask for its health and what it is: it may be started anew with other limits, or another model, between two."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                async with self._get("/health") as response:
                    healthy = response.status == 200
                if healthy:
                    await self._learn()
        except Exception as exc:  # noqa: BLE001  # whatever keeps us from asking: it is not well
            if asyncio.get_running_loop().time() - self._answered_mono_s > PROBE_TIMEOUT_S:
                self._set_health(healthy=False, why=type(exc).__name__)
            # else it is busy: its health waits behind the calls that it answers
        else:
            self._set_health(healthy=healthy, why="probed")

    def _get(self, path: str) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        # No redirects: an upstream must not choose what else we ask inside our network, and publish as its `/info`.
        return self._session.get(self._url + path, headers=self._headers, allow_redirects=False)

    async def listens(self) -> bool:
        """Whether somebody answers there now, in whatever way; one that is only slow does."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                async with self._get("/health") as response:
                    return response.status < 500
        except aiohttp.ConnectionTimeoutError:
            return False
        except TimeoutError:
            return True
        except (aiohttp.ClientError, OSError):
            return False

    async def _learn(self) -> None:
        """Read `/info`; an upstream without one keeps the configured limits, and one that fails those that it told."""
        async with self._get("/info") as response:
            if response.status not in (200, 404):
                return
            info = await response.read() if response.status == 200 else b""
        learnt = limits.lowered(self._configured, info)
        self._info = info or b"null"
        if learnt != self.limits:
            log.info("upstream_limits", extra={"upstream": self.name, "inputs_max": learnt.inputs_max})
        self.limits = learnt

    def _set_health(self, *, healthy: bool, why: str) -> None:
        if healthy != self.is_healthy:
            log.log(
                logging.INFO if healthy else logging.WARNING,
                "upstream_health_changed",
                extra={"upstream": self.name, "is_healthy": healthy, "why": why},
            )
        self.is_healthy = healthy
