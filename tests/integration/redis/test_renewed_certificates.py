"""A Redis with TLS whose certificates, or ours, are renewed in the files that are there: no process needs a restart."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from autobatch_console.up.programs import find_redis, search_path
from autobatch_shared.contract.keys import Keys
from autobatch_shared.redis.link import RedisLink
from autobatch_shared.redis.masters.master import Master
from tests.support.fake_upstream import FakeUpstream
from tests.support.house import House, ready_house
from tests.support.ports import free_port
from tests.support.servers.locked_redis import answers, speaks_tls, tls_options, words
from tests.support.waiting import wait_until

KEYS = Keys("test")


class TlsRedis:
    """One server that asks for client certificates, and the files by which clients reach it.

    Attributes:
        url: With the files `ca.pem`, `client.pem` and `client.key` of its folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._program = find_redis(search_path()).argv[0]
        self._process: subprocess.Popen[bytes] | None = None
        self.authority = trustme.CA()
        files = f"ssl_ca_certs={folder}/ca.pem&ssl_certfile={folder}/client.pem&ssl_keyfile={folder}/client.key"
        self.url = f"rediss://127.0.0.1:{self._port}/0?{files}"

    def start(self) -> None:
        """Start with a certificate of its authority, once nothing else runs there."""
        self.stop()
        folder = self._folder / "server"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        options = tls_options(folder, self._port, self.authority)
        if not speaks_tls(self._program, options, folder):
            pytest.skip("this Redis was built without TLS")
        whole = options | {"tls-auth-clients": "optional", "dir": folder, "save": ""}
        self._process = subprocess.Popen([self._program, *words(whole)], stdout=subprocess.DEVNULL)
        assert answers(self._process, f"rediss://127.0.0.1:{self._port}/0?ssl_ca_certs={folder}/ca.crt")

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def trust(self) -> None:
        """Write its authority into the clients' file."""
        self.authority.cert_pem.write_to_path(self._folder / "ca.pem")

    def issue(self, *, is_expired: bool = False) -> trustme.LeafCert:
        """Return a client certificate."""
        now = datetime.now(UTC)
        before, after = (timedelta(days=-2), timedelta(days=-1)) if is_expired else (timedelta(), timedelta(days=1))
        return self.authority.issue_cert("client.invalid", not_before=now + before, not_after=now + after)

    def give(self, certificate: trustme.LeafCert, *, key: trustme.LeafCert | None = None) -> None:
        """Write a client certificate and its key into the clients' files; or the key of another one."""
        certificate.cert_chain_pems[0].write_to_path(self._folder / "client.pem")
        (key or certificate).private_key_pem.write_to_path(self._folder / "client.key")


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[TlsRedis]:
    made = TlsRedis(tmp_path)
    made.trust()
    made.give(made.issue())
    try:
        made.start()
        yield made
    finally:
        made.stop()


async def test_a_client_certificate_that_is_renewed_in_place_is_the_next_connections(
    redis: TlsRedis, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And each reason of the outage before is in the log, once: the alert of the server, and the key that is not there yet."""
    redis.give(redis.issue(is_expired=True))
    link = RedisLink(Master.from_url(redis.url, KEYS), "test")
    link.start()
    try:
        await wait_until(lambda: "certificate expired" in link.fault)
        renewed = redis.issue()
        redis.give(renewed, key=redis.issue())
        await wait_until(lambda: "REDIS_URL: a certificate or key of its cannot be used" in link.fault)
        (tmp_path / "client.pem").write_text("-----BEGIN CERTIFICATE-----")
        await wait_until(lambda: link.fault.endswith("it is not whole PEM"))
        redis.give(renewed)
        assert await link.wait_connected(60)
        assert (await link.execute("PING"), link.fault) == (b"PONG", "")
    finally:
        await link.close()
    reasons = [str(vars(line)["error"]) for line in caplog.records if line.message == "redis_unreachable"]
    assert len([reason for reason in reasons if "ALERT_CERTIFICATE_EXPIRED" in reason]) == 1
    assert len([reason for reason in reasons if "KEY_VALUES_MISMATCH" in reason]) == 1


async def test_connections_that_exist_go_on_while_the_files_are_not_whole(redis: TlsRedis, tmp_path: Path) -> None:
    link = RedisLink(Master.from_url(redis.url, KEYS), "test")
    link.start()
    try:
        assert await link.wait_connected(60)
        (tmp_path / "ca.pem").unlink()
        (tmp_path / "client.pem").write_text("-----BEGIN")
        assert await link.execute("PING") == b"PONG"
        redis.start()
        await wait_until(lambda: "REDIS_URL: " in link.fault)
        redis.trust()
        redis.give(redis.issue())
        assert await link.wait_connected(60)
        assert link.connections == 2
    finally:
        await link.close()


async def test_a_rotated_authority_is_trusted_by_worker_and_batcher_once_it_is_in_the_file(
    redis: TlsRedis, upstream: FakeUpstream
) -> None:
    async with ready_house(redis.url, upstream.url) as house:
        redis.authority = trustme.CA()
        redis.start()
        await wait_until(lambda: says(house, "tls: "))
        assert (await house.embed("during"))[0] == 503
        redis.trust()
        redis.give(redis.issue())
        await wait_until(house.is_healthy)
        assert (await house.embed("after"))[0] == 200
        assert (await house.get("/status")).json["redis"]["reason"] is None


async def says(house: House, words: str) -> bool:
    return words in ((await house.get("/status")).json["redis"]["reason"] or "")
