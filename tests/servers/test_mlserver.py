"""A real MLServer behind the proxy: the same protocol, without Triton's extension."""

import pytest

from tests.servers.checks import check_crash, check_identity
from tests.servers.model_server import InferenceServer

pytestmark = pytest.mark.timeout(180)


async def test_each_client_gets_its_own_vector(mlserver: InferenceServer, redis_url: str) -> None:
    await check_identity(mlserver, redis_url)


async def test_a_server_that_is_killed_and_comes_back(mlserver: InferenceServer, redis_url: str) -> None:
    await check_crash(mlserver, redis_url)
