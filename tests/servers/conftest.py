"""Servers that all tests of a file share: they take seconds to start."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.servers import model_server
from tests.servers.model_server import InferenceServer


@pytest.fixture(scope="module")
def triton() -> Iterator[InferenceServer]:
    """A Triton that is starting."""
    yield from _started("triton")


@pytest.fixture(scope="module")
def mlserver() -> Iterator[InferenceServer]:
    """An MLServer that is starting."""
    yield from _started("mlserver")


@pytest.fixture(scope="module", params=["infinity", "llama", "ollama"])
def openai_server(request: pytest.FixtureRequest) -> Iterator[InferenceServer]:
    """A server with OpenAI's API that is starting."""
    yield from _started(request.param)


def _started(name: str) -> Iterator[InferenceServer]:
    with TemporaryDirectory(prefix="ab-") as folder:
        server = model_server.SERVERS[name](Path(folder))
        server.start()
        yield server
        server.kill()
