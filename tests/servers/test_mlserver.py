"""A real MLServer behind the proxy: the same protocol, without Triton's extension."""

import pytest

from tests.servers.checks import (
    check_crash,
    check_departures,
    check_identity,
    check_late_call,
    check_names_missing_model,
)
from tests.servers.model_server import InferenceServer

pytestmark = pytest.mark.parametrize("server_name", ["mlserver"], indirect=True)


async def test_each_client_gets_its_own_vector(server: InferenceServer, redis_url: str) -> None:
    await check_identity(server, redis_url)


async def test_a_call_that_takes_too_long_is_given_up_and_later_ones_are_answered(
    server: InferenceServer, redis_url: str
) -> None:
    await check_late_call(server, redis_url)


async def test_clients_that_leave_take_nothing_from_those_that_stay(server: InferenceServer, redis_url: str) -> None:
    await check_departures(server, redis_url)


async def test_a_server_that_is_killed_and_comes_back(server: InferenceServer, redis_url: str) -> None:
    await check_crash(server, redis_url)


async def test_a_model_that_the_server_has_not_is_named(server: InferenceServer, redis_url: str) -> None:
    await check_names_missing_model(server, redis_url, "nope")
