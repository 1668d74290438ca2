"""The pages that report health and the model. They ask nothing of Redis: the watcher knows."""

import time
from collections.abc import Container, Sequence

import msgspec
from aiohttp import web

from autobatch_proxy.dialects.error_shapes import OPENAI_ERRORS
from autobatch_proxy.dialects.model_check import is_name_of, unknown
from autobatch_proxy.dialects.tei_info import info_of
from autobatch_proxy.http.answers import JSON, error_response
from autobatch_proxy.http.named_models import MODEL, names_of
from autobatch_proxy.http.worker_readiness import Readiness
from autobatch_proxy.models.model_end import ModelEnd
from autobatch_proxy.models.served_models import Models
from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.contract.errors import AutobatchError, UpstreamUnavailable

UNHEALTHY = {"error": "unhealthy", "error_type": "Unhealthy"}  # TEI's words
_encode = msgspec.json.Encoder().encode


class FleetRoutes:
    """The handlers of these pages in one worker.

    Args:
        models: The models that this worker can ask.
        readiness: Knows whether requests should be sent to this worker.
        request_inputs_max: The most inputs that one request may have.
        aliases: The unnamed model's names besides its own.
    """

    def __init__(
        self,
        models: Models,
        readiness: Readiness,
        request_inputs_max: int,
        aliases: Container[str],
    ) -> None:
        self._models = models
        self._readiness = readiness
        self._request_inputs_max = request_inputs_max
        self._aliases = aliases
        self._started_s = int(time.time())

    async def health(self, request: web.Request) -> web.Response:
        """200 when this worker reaches Redis, and a batcher has a healthy upstream: of any model, or of that in the path.

        It needs no key, so it says no more, as the upstream's own: reasons have URLs and models in them, and are in `/status`.
        """
        if self._is_healthy(request):
            return web.Response()
        return web.Response(status=503, body=_encode(UNHEALTHY), headers=JSON)

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

    async def weaviate_ready(self, request: web.Request) -> web.Response:
        """Health, as Weaviate asks for it."""
        return web.Response(status=204 if self._is_healthy(request) else 503)

    async def weaviate_live(self, _request: web.Request) -> web.Response:
        """204: this worker answers."""
        return web.Response(status=204)

    async def info(self, request: web.Request) -> web.Response:
        """The upstream's own, with the longest list that is taken here."""
        try:
            about = self._models.of(names_of(request)).watcher.fleet.card.about
        except AutobatchError as error:
            return error_response(error)
        if about is None:
            return error_response(_no_card())
        return web.Response(body=info_of(about, self._request_inputs_max), headers=JSON)

    async def models(self, request: web.Request) -> web.Response:
        """What OpenAI's clients list: the models that a request may name."""
        listed = [self._model(end) for end in self._ends(request) if end.watcher.has_batchers and _name(end)]
        if not listed:
            return error_response(_no_card(), OPENAI_ERRORS)
        return web.Response(body=_encode({"object": "list", "data": listed}), headers=JSON)

    async def model(self, request: web.Request) -> web.Response:
        """One model, by any of its names."""
        named, ends = request.match_info["model"], [end for end in self._ends(request) if _name(end)]
        if not ends:
            return error_response(_no_card(), OPENAI_ERRORS)
        try:
            found = self._models.directory.named(named)
        except AutobatchError as error:
            return error_response(error, OPENAI_ERRORS)
        for end in ends:
            is_own = not end.name and is_name_of(_name(end), named, self._aliases)
            if is_own or (end.name and end.name == found):
                return web.Response(body=_encode(self._model(end)), headers=JSON)
        return error_response(unknown(named), OPENAI_ERRORS)

    def _is_healthy(self, request: web.Request) -> bool:
        return any(end.is_healthy for end in self._ends(request))

    def _ends(self, request: web.Request) -> Sequence[ModelEnd]:
        """The model in the request's path, or all."""
        return self._models.ends if MODEL not in request else [self._models.of([request[MODEL]])]

    def _model(self, end: ModelEnd) -> dict[str, object]:
        said = {"id": _name(end), "object": "model", "created": self._started_s, "owned_by": "autobatch"}
        return said | _limits(end)


def _name(end: ModelEnd) -> str:
    """The model's name; empty while an unnamed one's upstreams do not say."""
    return end.watcher.allowed.served_model


def _limits(end: ModelEnd) -> dict[str, int]:
    """What is known of a model's vectors and of what it takes."""
    fleet, model = end.watcher.fleet, end.watcher.model
    known = {
        "dimension": None if model is None else model.dimension,
        "input_tokens_max": fleet.input_tokens_max if fleet.input_tokens_max < UNKNOWN_MAX else None,
        "call_inputs_max": fleet.batch_inputs_max if fleet.batch_inputs_max < UNKNOWN_MAX else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _no_card() -> AutobatchError:
    return UpstreamUnavailable("no upstream has told its /info yet")
