"""Processes with secrets everywhere, debug logging and many errors: no secret is in their output or their pages."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import pytest

from tests.support.fake_upstream import FakeUpstream
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

START_S = 60.0
REDIS_PASSWORD, KEY, WRONG_KEY = "passw0rd-0f-redis", "k3y-0f-a-client", "k3y-0f-a-str4nger"
UPSTREAM_PASSWORD, UPSTREAM_KEY, TEXT = "passw0rd-0f-tei", "k3y-0f-tei", "a-t3xt-that-nobody-may-read"
SECRETS = (REDIS_PASSWORD, KEY, WRONG_KEY, UPSTREAM_PASSWORD, UPSTREAM_KEY, TEXT)
USERS = ("--user", "default", "off", "--user", "worker", "on", f">{REDIS_PASSWORD}", "~*", "&*", "+@all")


@dataclass
class WatchedSystem:
    """One process of each kind."""

    folder: Path
    redis: RedisServer
    proxy_port: int = field(default_factory=free_port)
    batcher_port: int = field(default_factory=free_port)
    embedder_port: int = field(default_factory=free_port)
    processes: dict[str, Process] = field(default_factory=dict)

    def start(self, stack: ExitStack, log_format: str, **batcher: object) -> None:
        redis_url = self.redis.url.replace("unix://", f"unix://worker:{REDIS_PASSWORD}@")
        local: dict[str, dict[str, object]] = {
            "proxy": {"host": "127.0.0.1", "port": self.proxy_port, "web_concurrency": 1, "api_keys": f"other,{KEY}"},
            "batcher": {"batcher_host": "127.0.0.1", "batcher_port": self.batcher_port, "upstream_attempts": 1}
            | {"upstream_patience_ms": 500}
            | batcher,
            "embedder": {
                "embedder_port": self.embedder_port,
                "embedder_api_key": KEY,
                "embedder_cache_dir": self.folder,
                "embedder_threads": 1,
            },
        }
        for module, settings in local.items():
            common = {"log_level": "debug", "log_format": log_format, "redis_url": redis_url, "pythonasynciodebug": 1}
            self.processes[module] = Process(self.folder, module, **common, **settings)
            stack.callback(self.processes[module].close)

    async def ask(self, port: int, path: str, body: bytes | None = None, key: str = KEY) -> tuple[int, bytes]:
        """Return status and body, 0 while there is no listener."""
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        method = "GET" if body is None else "POST"
        try:
            async with aiohttp.request(method, f"http://127.0.0.1:{port}{path}", data=body, headers=headers) as answer:
                return answer.status, await answer.read()
        except aiohttp.ClientError:
            return 0, b""

    async def embeds(self, body: bytes, key: str = KEY) -> int:
        return (await self.ask(self.proxy_port, "/embed", body, key))[0]

    async def answers(self, status: int) -> bool:
        return (await self.ask(self.proxy_port, "/health"))[0] == status

    async def has_model(self) -> bool:
        return (await self.ask(self.embedder_port, "/health"))[0] == 200


@pytest.fixture(params=["json", "text"])
def system(request: pytest.FixtureRequest, upstream: FakeUpstream) -> Iterator[WatchedSystem]:
    with TemporaryDirectory(prefix="ab-") as name, ExitStack() as stack:
        folder = Path(name)
        redis = RedisServer(folder)
        stack.callback(redis.kill)
        redis.start(*USERS)
        started = WatchedSystem(folder, redis)
        behind: dict[str, object] = {"inference_url": upstream.url, "inference_api_key": UPSTREAM_KEY}
        if request.param == "text":
            behind = {"inference_url": upstream.url.replace("http://", f"http://user:{UPSTREAM_PASSWORD}@")}
        started.start(stack, request.param, **behind)
        yield started


async def test_no_secret_is_in_what_they_write_or_show(system: WatchedSystem, upstream: FakeUpstream) -> None:
    await wait_until(lambda: system.answers(200), START_S)
    await wait_until(system.has_model, START_S)
    body, port = b'{"inputs":"%b"}' % TEXT.encode(), system.proxy_port
    assert await system.embeds(body) == 200
    assert await system.embeds(body, WRONG_KEY) == 401
    assert await system.embeds(body.replace(b":", b":poison")) == 400
    assert await system.embeds(body.replace(b'"a', b'"poison a')) == 422
    assert (await system.ask(port, f"/nowhere/{TEXT}?{TEXT}"))[0] == 404
    assert (await system.ask(system.embedder_port, "/embed", body))[0] == 200
    assert (await system.ask(system.embedder_port, "/embed", body, WRONG_KEY))[0] == 401
    await spoil_http(port)
    await spoil_http(system.embedder_port)

    for at in (port, system.batcher_port, system.embedder_port):
        for path in ("/info", "/metrics", "/health", "/docs"):
            _, shown = await system.ask(at, path)
            assert [secret for secret in SECRETS if secret.encode() in shown] == [], path

    await upstream.stop()
    assert await system.embeds(body) == 503
    await upstream.start()
    system.redis.kill()
    await wait_until(lambda: system.answers(503), START_S)
    assert await system.embeds(body) == 503
    system.redis.start("--user", "default", "off", "--user", "worker", "on", ">another", "~*", "&*", "+@all")
    await wait_until(lambda: "WRONGPASS" in system.processes["batcher"].output, START_S)
    system.redis.kill()
    system.redis.start(*USERS)
    await wait_until(lambda: system.answers(200), START_S)

    for process in system.processes.values():
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait)
    for module, process in system.processes.items():
        assert process.output, module
        assert [secret for secret in SECRETS if secret in process.output] == [], module


async def spoil_http(port: int) -> None:
    """Send bytes that are not HTTP, with a key in them."""
    for said in (f"GET / HTTP/1.1\r\nAuthorization Bearer {KEY}\r\n\r\n", f"{TEXT}\r\n\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said.encode())
        await reader.read()
        writer.close()


@pytest.mark.parametrize("module", ["proxy", "batcher"])
@pytest.mark.parametrize(
    "url", ["redis://user:{}/x@h", "rediss://user:{}@h?ssl_ca_certs=/no/{}", "rediss://:{}@h?{}=1"]
)
async def test_a_wrong_address_ends_the_start_and_is_not_told(tmp_path: Path, module: str, url: str) -> None:
    process = Process(tmp_path, module, redis_url=url.format(REDIS_PASSWORD, "x"), log_level="debug")
    try:
        assert await asyncio.to_thread(process.wait) == 2
        assert process.output.startswith("autobatch: REDIS_URL: ")
        assert REDIS_PASSWORD not in process.output
    finally:
        process.close()
