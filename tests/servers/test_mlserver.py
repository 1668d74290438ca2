"""A real MLServer behind the proxy: the same protocol, without Triton's extension."""

import pytest

from tests.servers.checks import check_names_missing_model
from tests.servers.contract import PausedServerContract, ServerContract
from tests.servers.model_server import InferenceServer

pytestmark = pytest.mark.parametrize("server_name", ["mlserver"], indirect=True)


class TestMLServer(ServerContract, PausedServerContract):
    """What every server must do."""


async def test_a_model_that_the_server_has_not_is_named(server: InferenceServer, redis_url: str) -> None:
    await check_names_missing_model(server, redis_url, "nope")
