"""One system for all tests, and nobody else to talk to."""

from collections.abc import Iterator

import pytest

from tests.clients.offline import Offline
from tests.clients.served import Served, served
from tests.clients.truth import Truth

OFFLINE = pytest.StashKey[Offline]()


def pytest_configure(config: pytest.Config) -> None:
    """Go offline before any test file imports its SDK."""
    config.stash[OFFLINE] = Offline()
    config.stash[OFFLINE].start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the process as it was."""
    config.stash[OFFLINE].stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the start of the system."""
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]):
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session")
def system(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The whole system, started once."""
    with served(tmp_path_factory.mktemp("served")) as running:
        yield running
    assert pytestconfig.stash[OFFLINE].refused == []


@pytest.fixture(scope="session")
def url(system: Served) -> str:
    """What a client of text-embeddings-inference is given."""
    return system.url


@pytest.fixture(scope="session")
def openai_url(system: Served) -> str:
    """What a client of OpenAI is given."""
    return f"{system.url}/v1"


@pytest.fixture(scope="session")
def truth(system: Served) -> Truth:
    """The upstream's own answers."""
    return Truth(system.embedder)
