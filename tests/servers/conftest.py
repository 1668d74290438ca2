"""A server starts once for all tests that are about it, which may be of several files: it takes seconds to start."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.servers import model_server
from tests.servers.model_server import START_S, InferenceServer

FOLDER = Path(__file__).parent


@pytest.fixture(scope="session")
def server_name(request: pytest.FixtureRequest) -> str:
    """One of `model_server.SERVERS`, which the test names: `@pytest.mark.parametrize("server_name", ..., indirect=True)`."""
    return str(request.param)


@pytest.fixture(scope="session")
def server(server_name: str) -> Iterator[InferenceServer]:
    """It works, or is starting."""
    with TemporaryDirectory(prefix="ab-") as folder:
        server = model_server.SERVERS[server_name](Path(folder))
        server.start()
        yield server
        server.kill()


@pytest.hookimpl(trylast=True)  # after the plugin that shuffles tests
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of a server side by side, and let each of them wait for two starts of it and compute, too."""
    items.sort(key=_server_of)
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.timeout(3 * START_S))


def _server_of(item: pytest.Item) -> str:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("server_name", "") if callspec and item.path.is_relative_to(FOLDER) else ""
