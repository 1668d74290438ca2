"""`GET /status`: the state of each part as this worker knows it, and since when, for people and their scripts.

It asks nothing of Redis: the watcher knows. Times are UTC, to the second; those of batchers and upstreams are of Redis's clock.
"""

import time
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from autobatch_proxy.http.answers import JSON
from autobatch_proxy.http.named_models import MODEL
from autobatch_proxy.models.model_end import ModelEnd
from autobatch_proxy.models.served_models import Models
from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.contract.status import BatcherStatus, UpstreamStatus
from autobatch_shared.watching.upstream_words import failure_words, obstacle_words, words_of

_encode = msgspec.json.Encoder().encode


class StatusPage:
    """The page of one worker.

    Args:
        models: The models that this worker can ask.
        worker: This worker's id.
        request_inputs_max: The most inputs that one request may have.
    """

    def __init__(self, models: Models, worker: str, request_inputs_max: int) -> None:
        self._models = models
        self._queue = models.unnamed.queue
        self._worker = worker
        self._request_inputs_max = request_inputs_max
        self._started_ms = self._redis_since_ms = _now_ms()
        self._is_connected = False

    def look(self) -> None:
        """Note whether the connection to Redis came or went; to be called about once a second."""
        if self._queue.is_connected != self._is_connected:
            self._is_connected = not self._is_connected
            self._redis_since_ms = _now_ms()

    async def page(self, request: web.Request) -> web.Response:
        """200 whatever the state is: `is_healthy` says what `/health` would.

        The model and its batchers are those of the request's path, or of the unnamed model; then each other one is listed below
        `models`, and below `clashes` what two of them claim.
        """
        self.look()
        models = self._models
        ends = models.ends if MODEL not in request else [models.of([request[MODEL]])]
        said = {
            "is_healthy": self._is_connected and any(end.is_healthy for end in ends),
            "worker": {
                "id": self._worker,
                "since": _utc(self._started_ms),
                "inputs_in_flight": models.inputs_in_flight,
                "request_inputs_max": self._request_inputs_max,
            },
            "redis": {
                "is_connected": self._is_connected,
                "since": _utc(self._redis_since_ms),
                "reason": words_of(self._queue.fault) or None,
                "refusal": self._queue.refusal or None,
            },
            **_served(models.unnamed if MODEL not in request else ends[0]),
        }
        if MODEL not in request and (named := [end for end in ends if end.name]):
            said["clashes"] = models.directory.clashes
            said["models"] = {
                end.name: {
                    "is_healthy": end.is_healthy,
                    "inputs_in_flight": end.queue.inputs_in_flight,
                    **_served(end),
                }
                for end in named
            }
        return web.Response(body=_encode(said), headers=JSON)


def _served(end: ModelEnd) -> dict[str, object]:
    fleet = end.watcher.fleet
    model = fleet.model
    return {
        "model": None
        if model is None
        else {"name": model.name, "fingerprint": model.fingerprint, "since": _utc(model.since)},
        "batchers": [_batcher(batcher) for batcher in fleet.batchers],
    }


def _batcher(status: BatcherStatus) -> dict[str, object]:
    return {
        "id": status.id,
        "since": _utc(status.at - status.alive_ms),
        "reported": _utc(status.at),
        "inputs_held": status.held,
        "upstreams": [_upstream(upstream, status.at) for upstream in status.upstreams],
    }


def _upstream(status: UpstreamStatus, at_ms: int) -> dict[str, object]:
    card = status.card
    return {
        "url": status.url,
        "is_healthy": status.is_healthy,
        "since": _utc(at_ms - status.unchanged_ms),
        "reason": obstacle_words(status) or None,
        "failed_calls": failure_words([status.failed]) if status.failed is not None else None,
        "model": card.name or None,
        "fingerprint": status.counts_for or None,
        "kind": card.kind,
        "dialect": status.dialect or None,
        "inputs_in_flight": status.in_flight,
        "call_inputs_max": status.batch_inputs_max,
        "input_tokens_max": card.input_tokens_max if card.input_tokens_max < UNKNOWN_MAX else None,
    }


def _utc(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _now_ms() -> int:
    return int(time.time() * 1000)
