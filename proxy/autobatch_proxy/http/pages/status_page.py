"""`GET /status`: the state of each part as this worker knows it, and since when, for people and their scripts.

It asks nothing of Redis: the watcher knows. Times are UTC, to the second; those of batchers and upstreams are of Redis's clock.
"""

import time
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from autobatch_proxy.http.answers import JSON
from autobatch_proxy.queue.client import QueueClient
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.contract.status import BatcherStatus, UpstreamStatus

_encode = msgspec.json.Encoder().encode


class StatusPage:
    """The page of one worker.

    Args:
        worker: This worker's id.
        request_inputs_max: The most inputs that one request may have.
    """

    def __init__(self, client: QueueClient, watcher: FleetWatcher, worker: str, request_inputs_max: int) -> None:
        self._client = client
        self._watcher = watcher
        self._worker = worker
        self._request_inputs_max = request_inputs_max
        self._started_ms = self._redis_since_ms = _now_ms()
        self._is_connected = False

    def look(self) -> None:
        """Note whether the connection to Redis came or went; to be called about once a second."""
        if self._client.is_connected != self._is_connected:
            self._is_connected = not self._is_connected
            self._redis_since_ms = _now_ms()

    async def page(self, _request: web.Request) -> web.Response:
        """200 whatever the state is: `is_healthy` says what `/health` would."""
        self.look()
        fleet = self._watcher.fleet
        model = fleet.model
        said = {
            "is_healthy": self._is_connected and fleet.is_healthy,
            "worker": {
                "id": self._worker,
                "since": _utc(self._started_ms),
                "inputs_in_flight": self._client.inputs_in_flight,
                "request_inputs_max": self._request_inputs_max,
            },
            "redis": {
                "is_connected": self._is_connected,
                "since": _utc(self._redis_since_ms),
                "refusal": self._client.refusal or None,
            },
            "model": None
            if model is None
            else {"name": model.name, "fingerprint": model.fingerprint, "since": _utc(model.since)},
            "batchers": [_batcher(batcher) for batcher in fleet.batchers],
        }
        return web.Response(body=_encode(said), headers=JSON)


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
        "reason": status.reason or status.fault or None,
        "model": card.name or None,
        "fingerprint": status.counts_for or None,
        "kind": card.kind,
        "inputs_in_flight": status.in_flight,
        "call_inputs_max": status.batch_inputs_max,
        "input_tokens_max": card.input_tokens_max if card.input_tokens_max < UNKNOWN_MAX else None,
    }


def _utc(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _now_ms() -> int:
    return int(time.time() * 1000)
