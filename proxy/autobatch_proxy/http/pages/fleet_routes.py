"""The pages that report health, the model and metrics. They ask nothing of Redis: the watcher knows."""

import time
from collections.abc import Callable, Collection

import msgspec
from aiohttp import web

from autobatch_proxy.dialects.error_shapes import OPENAI_ERRORS
from autobatch_proxy.dialects.model_check import is_name_of
from autobatch_proxy.dialects.tei_info import info_of
from autobatch_proxy.http.answers import JSON, error_response
from autobatch_proxy.http.worker_readiness import Readiness
from autobatch_proxy.metrics import CONTENT_TYPE, WorkerMetrics
from autobatch_proxy.queue.client import QueueClient
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_shared.contract.errors import AutobatchError, UpstreamUnavailable

UNHEALTHY = {"error": "unhealthy", "error_type": "Unhealthy"}  # TEI's words
_encode = msgspec.json.Encoder().encode


class FleetRoutes:
    """The handlers of these pages in one worker.

    Args:
        readiness: Knows whether requests should be sent to this worker.
        take: Brings this worker's numbers into the metrics.
        request_inputs_max: The most inputs that one request may have.
        aliases: The served model's names besides its own.
    """

    def __init__(
        self,
        client: QueueClient,
        watcher: FleetWatcher,
        metrics: WorkerMetrics,
        readiness: Readiness,
        take: Callable[[], None],
        request_inputs_max: int,
        aliases: Collection[str],
    ) -> None:
        self._client = client
        self._watcher = watcher
        self._metrics = metrics
        self._readiness = readiness
        self._take = take
        self._request_inputs_max = request_inputs_max
        self._aliases = aliases
        self._started_s = int(time.time())

    async def health(self, _request: web.Request) -> web.Response:
        """200 when this worker reaches Redis, and a batcher has a healthy upstream.

        It needs no key, so it says no more, as the upstream's own: reasons have URLs and models in them, and are in `/status`.
        """
        return web.Response() if self._is_healthy else web.Response(status=503, body=_encode(UNHEALTHY), headers=JSON)

    async def ready(self, _request: web.Request) -> web.Response:
        """200 when requests should be sent to this worker; the upstreams' health is `/health`."""
        obstacle = self._readiness.obstacle
        if not obstacle:
            return web.Response()
        body = _encode({"error": obstacle, "error_type": "Unhealthy"})
        return web.Response(status=503, body=body, headers=JSON)

    async def live(self, _request: web.Request) -> web.Response:
        """200: this worker's event loop runs."""
        return web.Response()

    async def weaviate_ready(self, _request: web.Request) -> web.Response:
        """Health, as Weaviate asks for it."""
        return web.Response(status=204 if self._is_healthy else 503)

    async def weaviate_live(self, _request: web.Request) -> web.Response:
        """204: this worker answers."""
        return web.Response(status=204)

    async def info(self, _request: web.Request) -> web.Response:
        """The upstream's own, with the longest list that is taken here."""
        about = self._watcher.fleet.card.about
        if about is None:
            return error_response(_no_card())
        return web.Response(body=info_of(about, self._request_inputs_max), headers=JSON)

    async def models(self, _request: web.Request) -> web.Response:
        """What OpenAI's clients list: the one model."""
        served = self._watcher.allowed.served_model
        if not served:
            return error_response(_no_card(), OPENAI_ERRORS)
        return web.Response(body=_encode({"object": "list", "data": [self._model(served)]}), headers=JSON)

    async def model(self, request: web.Request) -> web.Response:
        """The one model, by any of its names."""
        served = self._watcher.allowed.served_model
        if not served:
            return error_response(_no_card(), OPENAI_ERRORS)
        if not is_name_of(served, request.match_info["model"], self._aliases):
            return web.Response(status=404, body=OPENAI_ERRORS.write(404, b""), headers=JSON)
        return web.Response(body=_encode(self._model(served)), headers=JSON)

    async def metrics(self, _request: web.Request) -> web.Response:
        """The metrics of all workers of this gunicorn."""
        self._take()
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    @property
    def _is_healthy(self) -> bool:
        return self._client.is_connected and self._watcher.fleet.is_healthy

    def _model(self, name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": self._started_s, "owned_by": "autobatch"}


def _no_card() -> AutobatchError:
    return UpstreamUnavailable("no upstream has told its /info yet")
