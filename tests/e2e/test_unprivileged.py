"""As in the image: without capabilities, and with only one writable folder."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import pytest

from tests.support.fake_upstream import FakeUpstream, vector
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.servers.locked_redis import LockedRedis
from tests.support.waiting import wait_until

START_S = 60.0
# $1 becomes the only writable folder; the other words are the command to run.
JAIL = """
set -eu
scratch=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=1777 tmpfs "$scratch"
mount -o remount,bind,ro /
for point in /dev/shm /run /var /home /root /work /tmp; do
    mountpoint -q $point && mount -o remount,bind,ro $point || true
done
if touch "$0" /tmp/written-by-a-test 2>/dev/null; then echo "not read-only" >&2; exit 3; fi
cd "$scratch"
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""
UNSHARE = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--mount", "--user", "--map-root-user")


def jail(scratch: Path) -> tuple[str, ...]:
    """Return the command that runs another one unprivileged, `scratch` being its /tmp."""
    scratch.mkdir(exist_ok=True)
    return (
        "env",
        f"TMPDIR={scratch}",
        f"HOME={scratch}",
        *UNSHARE,
        "sh",
        "-c",
        JAIL,
        "sh",
        str(scratch),
    )


class Jailed(Process):
    """A process without capabilities and write access."""

    def command(self, folder: Path, module: str) -> list[str]:
        return [*jail(folder / f"tmp-{module}"), *super().command(folder, module)]

    def powers(self) -> list[str]:
        """What the kernel reports about it."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return [line for line in lines if line.startswith(("NoNewPrivs", "CapEff"))]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that others may read but not write."""
    with TemporaryDirectory(prefix="ab-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        try:
            done = subprocess.run([*jail(folder / "tried"), "true"], capture_output=True, check=False, timeout=60)
        except FileNotFoundError:
            pytest.skip("no unshare or setpriv here")
        if done.returncode:
            pytest.skip(f"no name space of our own here: {done.stderr.decode()}")
        yield folder


async def test_everything_works_without_a_privilege_and_a_disk(folder: Path, upstream: FakeUpstream) -> None:
    with ExitStack() as stack:
        redis = LockedRedis(folder, "autobatch")
        stack.callback(redis.stop)
        redis.start()
        port = free_port()
        settings: dict[str, dict[str, object]] = {
            "batcher": {"inference_url": upstream.url, "batcher_port": 0},
            "proxy": {"host": "127.0.0.1", "port": port, "web_concurrency": 2, "cache_ttl_s": 60},
            "embedder": {"embedder_port": 0, "embedder_threads": 1},
        }
        processes: dict[str, Jailed] = {}
        for module, own in settings.items():
            processes[module] = Jailed(folder, module, redis_url=redis.url, pythondontwritebytecode=1, **own)
            stack.callback(processes[module].close)
        async with aiohttp.ClientSession() as http:

            async def embeds() -> bool:
                try:
                    async with http.post(f"http://127.0.0.1:{port}/embed", json={"inputs": "text"}) as answer:
                        return bool(answer.status == 200 and await answer.json() == [vector("text")])
                except aiohttp.ClientError:
                    return False

            await wait_until(embeds, START_S)
            async with http.get(f"http://127.0.0.1:{port}/metrics") as answer:
                assert "autobatch_http_requests_total" in await answer.text()
        await wait_until(lambda: '"started"' in processes["embedder"].output, START_S)
        for module, process in processes.items():
            assert process.powers() == ["CapEff:\t0000000000000000", "NoNewPrivs:\t1"], module
            assert "Traceback" not in process.output, module
        assert redis.refused() == []
