"""Fixtures for the embedder: the real model, once, and its server. And a Redis as it is deployed."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from autobatch_batcher import reporter
from autobatch_embedder.app import serving
from autobatch_embedder.model import loaded_model
from autobatch_embedder.model.loaded_model import Model
from autobatch_proxy.queue import fleet_watcher, inbox_reader
from tests.support.servers.embedder_server import Send, sender, settings
from tests.support.servers.locked_redis import LockedRedis


@pytest.fixture(scope="session")
def model() -> Iterator[Model]:
    """The packaged model, its graph newly built: a graph cached by older code must not be used."""
    with tempfile.TemporaryDirectory() as cache:
        yield loaded_model.load(settings(embedder_cache_dir=cache), None)


@pytest.fixture(scope="session", autouse=True)
def _first_looks() -> Iterator[None]:
    """A worker sees its first batcher at once: hundreds of these tests begin by waiting for that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fleet_watcher, "FIRST_LOOKS_S", 0.01)
        yield


@pytest.fixture
def _quick_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batcher that looks at a healthy upstream all the time, and not every five seconds."""
    monkeypatch.setattr(reporter, "PROBE_HEALTHY_EVERY_S", 0.05)
    monkeypatch.setattr(reporter, "REPORT_EVERY_S", 0.2)


@pytest.fixture
def _patient_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that wait for Redis as long as a busy machine needs to start it again, and not only two seconds."""
    monkeypatch.setattr(inbox_reader, "OUTAGE_PATIENCE_S", 25.0)


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def send(model: Model, client: aiohttp.ClientSession) -> AsyncIterator[Send]:
    """Send requests to a server with the default settings."""
    async with serving(settings(), model) as port:
        yield sender(client, port)


@pytest.fixture(scope="session")
def locked_server() -> Iterator[LockedRedis]:
    """A Redis with the users that we deploy, and with TLS if it can, for the namespace `test`."""
    with tempfile.TemporaryDirectory(prefix="ab-") as folder:
        server = LockedRedis(Path(folder), "test")
        server.start()
        yield server
        server.stop()


@pytest.fixture
def locked_redis(locked_server: LockedRedis) -> LockedRedis:
    """The same, empty, and without a refusal."""
    locked_server.forget()
    return locked_server
