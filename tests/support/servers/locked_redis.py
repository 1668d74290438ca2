"""A real Redis as we deploy it: `deploy/redis/start.sh` with its users, with TLS and test certificates.

A server that was built without TLS has the same users, and is used in plain text.
"""

import contextlib
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import trustme
from redis import Redis
from redis.exceptions import RedisError

from autobatch_console.up.programs import find_redis, search_path
from tests.support.paths import ROOT
from tests.support.ports import free_port

DEPLOYED = ROOT / "deploy" / "redis"
PASSWORD = "p455word-0f-7h3-queue"
ADMIN = "user admin reset on >admin ~* &* +@all\n"  # for the tests' own checks only


class LockedRedis:
    """One server process.

    Attributes:
        output: The file for its output.
        pid: Of the server.
        has_tls: Whether it can speak TLS; it then accepts nothing else. Known after the start.
    """

    def __init__(self, folder: Path, namespace: str, program: str = "") -> None:
        self.output = folder / "redis.log"
        self.pid = 0
        self.has_tls = False
        self._folder = folder
        self._namespace = namespace
        self._program = program or find_redis(search_path()).argv[0]
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for workers and batchers."""
        return self.url_of("autobatch", PASSWORD)

    @property
    def admin_url(self) -> str:
        """The URL of a user with all permissions."""
        return self.url_of("admin", "admin")

    def url_of(self, user: str, password: str) -> str:
        """Return the URL for another user."""
        plain = f"redis://{user}:{password}@127.0.0.1:{self._port}/0"
        return f"{plain.replace('redis', 'rediss', 1)}?ssl_ca_certs={self._folder}/ca.crt" if self.has_tls else plain

    def start(self) -> None:
        """Start, and return once it answers."""
        folder = self._folder
        tls = tls_options(folder, self._port)
        self.has_tls = speaks_tls(self._program, tls, folder)
        shutil.copytree(DEPLOYED, folder / "deployed")
        with (folder / "deployed" / "users.acl").open("a") as users:
            users.write(ADMIN)
        programs = folder / "bin"
        programs.mkdir()
        (programs / "redis-server").symlink_to(self._program)
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [folder / "deployed" / "start.sh", *words(tls if self.has_tls else plain_options(self._port))],
                env={
                    "PATH": f"{programs}:{os.environ['PATH']}",
                    "TMPDIR": str(folder),
                    "REDIS_PASSWORD": PASSWORD,
                    "NAMESPACE": self._namespace,
                },
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.pid = self._process.pid
        assert answers(self._process, self.admin_url), f"redis did not start: {self.output.read_text()}"

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def refused(self) -> list[str]:
        """Return the commands and keys that users were denied: `user command-or-key`."""
        with Redis.from_url(self.admin_url) as redis:
            log = redis.acl_log()
        return [f"{entry['username']} {entry['object']}" for entry in log]

    def forget(self) -> None:
        """Delete its keys and its log of refusals."""
        with Redis.from_url(self.admin_url) as redis:
            redis.flushall()
            redis.acl_log_reset()


def plain_options(port: int) -> dict[str, object]:
    """Return the options to listen on loopback."""
    return {"port": port, "bind": "127.0.0.1"}


def tls_options(folder: Path, port: int, authority: trustme.CA | None = None) -> dict[str, object]:
    """Return the options to listen on loopback with TLS only; writes the certificates, of this or a new authority, to the folder."""
    authority = authority or trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(folder / "ca.crt")
    certificate.private_key_pem.write_to_path(folder / "tls.key")
    certificate.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    files = {"tls-cert-file": "tls.crt", "tls-key-file": "tls.key", "tls-ca-cert-file": "ca.crt"}
    options = plain_options(port) | {"port": 0, "tls-port": port, "tls-auth-clients": "no"}
    return options | {name: folder / file for name, file in files.items()}


def words(options: Mapping[str, object]) -> list[str]:
    """Return the options as a command line."""
    return [str(word) for name, value in options.items() for word in (f"--{name}", value)]


def speaks_tls(program: str, tls: Mapping[str, object], folder: Path) -> bool:
    """Whether a server starts with these options and answers. One that was built without TLS ends at once.

    There is no other way to know: Valkey accepts the options even without TLS, and its messages differ from Redis's.
    """
    url = f"rediss://127.0.0.1:{tls['tls-port']}/0?ssl_ca_certs={tls['tls-ca-cert-file']}"
    with subprocess.Popen(
        [program, *words(tls), "--dir", str(folder), "--save", ""], stdout=subprocess.DEVNULL
    ) as asked:
        try:
            return answers(asked, url)
        finally:
            asked.kill()


def answers(server: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until it answers. Return False if it ended instead."""
    deadline = time.monotonic() + 60
    while server.poll() is None:
        with contextlib.suppress(RedisError, OSError, ssl.SSLError), Redis.from_url(url) as redis:
            return bool(redis.ping())
        assert time.monotonic() < deadline, "redis does not answer"
        time.sleep(0.005)
    return False
