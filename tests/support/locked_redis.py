"""A real Redis as we deploy it: `deploy/redis/start.sh` with its users, behind TLS, with certificates of the tests' own."""

import contextlib
import os
import shutil
import ssl
import subprocess
import time
from pathlib import Path

import trustme
from redis import Redis
from redis.exceptions import RedisError

from console.programs import find_redis, search_path
from tests.support.processes import free_port

DEPLOYED = Path(__file__).parents[2] / "deploy" / "redis"
PASSWORD = "p455word-0f-7h3-queue"
ADMIN = "user admin reset on >admin ~* &* +@all\n"  # for the tests to look with; nobody else has such a one


class LockedRedis:
    """One server process.

    Attributes:
        url: As the workers and batchers have it.
        admin_url: Of a user who may do everything.
        output: What it has written goes there.
        pid: Of the server.
    """

    def __init__(self, folder: Path, namespace: str) -> None:
        self.output = folder / "redis.log"
        self.pid = 0
        self._folder = folder
        self._namespace = namespace
        self._port = free_port()
        self._authority = trustme.CA()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = self.url_of("autobatch", PASSWORD)
        self.admin_url = self.url_of("admin", "admin")

    def url_of(self, user: str, password: str) -> str:
        """Return the address for somebody else."""
        return f"rediss://{user}:{password}@127.0.0.1:{self._port}/0?ssl_ca_certs={self._folder}/ca.crt"

    def start(self) -> None:
        """Start, and return when it answers."""
        folder = self._folder
        self._authority.cert_pem.write_to_path(folder / "ca.crt")
        certificate = self._authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_pem.write_to_path(folder / "tls.key")
        certificate.cert_chain_pems[0].write_to_path(folder / "tls.crt")
        shutil.copytree(DEPLOYED, folder / "deployed")
        with (folder / "deployed" / "users.acl").open("a") as users:
            users.write(ADMIN)
        programs = folder / "bin"
        programs.mkdir()
        (programs / "redis-server").symlink_to(find_redis(search_path()).argv[0])
        options = {"port": 0, "tls-port": self._port, "tls-auth-clients": "no", "bind": "127.0.0.1"}
        files = {"tls-cert-file": "tls.crt", "tls-key-file": "tls.key", "tls-ca-cert-file": "ca.crt"}
        given = options | {name: folder / file for name, file in files.items()}
        with self.output.open("wb") as output:
            self._process = subprocess.Popen(
                [
                    folder / "deployed" / "start.sh",
                    *(str(word) for pair in given.items() for word in (f"--{pair[0]}", pair[1])),
                ],
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
        deadline = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, f"redis did not start: {self.output.read_text()}"
            assert time.monotonic() < deadline, "redis does not answer"
            time.sleep(0.005)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def refused(self) -> list[str]:
        """Return what users asked for and were not allowed to do: `user command-or-key`."""
        with Redis.from_url(self.admin_url) as redis:
            log = redis.acl_log()
        return [f"{entry['username']} {entry['object']}" for entry in log]

    def forget(self) -> None:
        """Empty it, and what it remembers of refusals."""
        with Redis.from_url(self.admin_url) as redis:
            redis.flushall()
            redis.acl_log_reset()

    def _answers(self) -> bool:
        with contextlib.suppress(RedisError, OSError, ssl.SSLError), Redis.from_url(self.admin_url) as redis:
            return bool(redis.ping())
        return False


def knows_tls(folder: Path) -> bool:
    """Whether this machine's Redis was built with TLS."""
    done = subprocess.run(
        [find_redis(search_path()).argv[0], "--port", "0", "--tls-port", "1", "--unixsocket", folder / "none/x"],
        capture_output=True,
        check=False,
    )
    return b"Bad directive" not in done.stdout + done.stderr
