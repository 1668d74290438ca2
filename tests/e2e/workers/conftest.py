"""What the tests of workers alone share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.processes import Process


@pytest.fixture
def folder() -> Iterator[Path]:
    """One with a short name, for sockets."""
    with TemporaryDirectory(prefix="ab-") as name:
        yield Path(name)


@pytest.fixture
def path(folder: Path) -> Path:
    """The socket that the workers serve at."""
    return folder / "proxy.sock"


@pytest.fixture
def start(folder: Path, path: Path) -> Iterator[Callable[[int], Process]]:
    """Start a master of so many workers, without a Redis; it ends with the test."""
    with ExitStack() as stack:

        def start_one(workers: int) -> Process:
            proxy = Process(
                folder, "proxy", uds_path=path, web_concurrency=workers, redis_url=f"unix://{folder}/no-redis"
            )
            stack.callback(proxy.close)
            return proxy

        yield start_one
