"""The two servers, started once for all cases."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.parity.answers.asking import open_client
from tests.parity.rig import ParityRig, running


@pytest.fixture(scope="session")
def rig() -> Iterator[ParityRig]:
    """The packaged embedder, and a proxy in front of it."""
    with running() as started:
        yield started


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that adds nothing."""
    async with open_client() as client:
        yield client
