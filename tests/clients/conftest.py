"""One system for all tests; every other host is out of reach."""

import os
from collections.abc import Iterator

import pytest

from tests.clients.harness.cl100k import RANKS, ranks_folder
from tests.clients.harness.offline import Offline
from tests.clients.harness.recorder import Recorder, recording
from tests.clients.harness.served import Served, served
from tests.clients.harness.truth import Truth

KEYS = ("first-key", "second-key")
OFFLINE = pytest.StashKey[Offline]()


def pytest_configure(config: pytest.Config) -> None:
    """Go offline before any test file imports its SDK."""
    config.stash[OFFLINE] = Offline()
    config.stash[OFFLINE].start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the process as it was."""
    config.stash[OFFLINE].stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test waits for the start of the system. A file that allows more keeps its own limit."""
    for item in items:
        if item.path.is_relative_to(__file__.rpartition("/")[0]) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(180))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where dspy caches answers: its default folder would have those of an earlier run."""
    os.environ["DSPY_CACHEDIR"] = str(tmp_path_factory.mktemp("dspy"))


@pytest.fixture(scope="session")
def offline(pytestconfig: pytest.Config) -> Iterator[Offline]:
    """The guard, which must have refused no host at the end of all tests."""
    yield pytestconfig.stash[OFFLINE]
    assert pytestconfig.stash[OFFLINE].refused == []


@pytest.fixture(scope="session")
def system(offline: Offline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:  # noqa: ARG001  # its end
    """The whole system, started once."""
    with served(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="session")
def keyed_system(system: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Another system on the same Redis and upstream, with keys; it takes the model's token ids."""
    shared = ("--redis-url", f"unix://{system.redis}", "--inference-url", system.embedder, "--namespace", "keyed")
    options = ("--api-keys", ",".join(KEYS), "--openai-token-ids", "model")
    with served(tmp_path_factory.mktemp("keyed"), *shared, *options) as running:
        yield running


@pytest.fixture(scope="session")
def cl100k_system(system: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Another system on the same Redis and upstream, which reads ids of OpenAI's vocabulary."""
    shared = ("--redis-url", f"unix://{system.redis}", "--inference-url", system.embedder, "--namespace", "cl100k")
    options = ("--openai-token-ids", "cl100k", "--cl100k-file", str(ranks_folder() / RANKS))
    with served(tmp_path_factory.mktemp("cl100k"), *shared, *options) as running:
        yield running


@pytest.fixture(scope="session")
def recorder(system: Served) -> Iterator[Recorder]:
    """A relay in front of the system, which keeps the clients' requests."""
    with recording(system.url) as running:
        yield running


@pytest.fixture(scope="session")
def cl100k_recorder(cl100k_system: Served) -> Iterator[Recorder]:
    """A relay in front of the system that reads OpenAI's ids."""
    with recording(cl100k_system.url) as running:
        yield running


@pytest.fixture(scope="session")
def url(system: Served) -> str:
    """The base URL for a client of text-embeddings-inference."""
    return system.url


@pytest.fixture(scope="session")
def openai_url(system: Served) -> str:
    """The base URL for a client of OpenAI."""
    return f"{system.url}/v1"


@pytest.fixture(scope="session")
def truth(system: Served) -> Truth:
    """The upstream's own answers."""
    return Truth(system.embedder)
