"""The processes: an upstream for each model, five batchers, one gunicorn with two workers, Redis."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from tests.faults.programs import ForeignProgram
from tests.support.ports import free_port
from tests.support.processes import Process
from tests.support.servers.redis_server import RedisServer
from tests.support.waiting import wait_until

MODELS = ("org/first", "second", "third")
ALIASES = {"org/first": "one", "second": "two", "third": "three:latest"}
BATCHERS = ("org/first", "org/first", "second", "second", "third")
DEADLINE_MS = 10_000
START_S = 100.0


@dataclass
class ThreeModels:
    """What runs.

    Attributes:
        url: Of the workers.
        batchers: In the order of the models that they were started for.
        upstream_ports: Of each model's upstream.
        http: A client without limits.
    """

    url: str
    batchers: Sequence[Process]
    upstream_ports: dict[str, int]
    http: aiohttp.ClientSession

    async def serves(self, *models: str) -> bool:
        """Whether each of these models is healthy at every worker that was asked."""
        try:
            for model in models * 8:  # the kernel picks the worker
                async with self.http.get(f"{self.url}/{model}/health", headers={"Connection": "close"}) as answer:
                    if answer.status != 200:
                        return False
        except aiohttp.ClientError:
            return False
        return True

    async def behave(self, model: str, behaviour: str) -> None:
        """Set the behaviour of a model's upstream."""
        async with self.http.post(f"http://127.0.0.1:{self.upstream_ports[model]}/behave", data=behaviour) as answer:
            assert answer.status == 200


@asynccontextmanager
async def open_fleet(
    models: Sequence[str] = BATCHERS, *, share_batcher: bool = False, **batchers: object
) -> AsyncIterator[ThreeModels]:
    """Start a batcher of each of these models, or one of all, and the rest; `batchers` are settings of all of them."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="ab-")))
        redis = RedisServer(folder)
        redis.start()
        stack.callback(redis.kill)
        ports = {model: free_port() for model in dict.fromkeys(models)}
        for model, port in ports.items():
            upstream = ForeignProgram((sys.executable, "-m", "tests.faults.upstream", str(port), model), folder)
            upstream.start()
            stack.callback(upstream.kill)
        common = {"redis_url": redis.url, "log_format": "text"}
        named: list[dict[str, object]] = [
            {
                "served_model_name": model,
                "model_aliases": ALIASES[model],
                "inference_url": f"http://127.0.0.1:{ports[model]}",
            }
            for model in models
        ]
        if share_batcher:
            lines = ["[[models]]\n" + "".join(f'{key} = "{value}"\n' for key, value in each.items()) for each in named]
            (folder / "config.toml").write_text("\n".join(lines))
            named = [{}]
        address: dict[str, object] = {"batcher_host": "127.0.0.1", "batcher_port": 0}
        started = [Process(folder, "batcher", **common, **batchers, **address, **each) for each in named]
        port = free_port()
        worker_address = {"host": "127.0.0.1", "port": port, "web_concurrency": 2, "request_timeout_ms": DEADLINE_MS}
        for process in (*started, worker := Process(folder, "proxy", **common, **worker_address)):
            stack.callback(process.close)
        connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=2 * DEADLINE_MS / 1000)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        fleet = ThreeModels(f"http://127.0.0.1:{port}", started, ports, http)
        try:
            await wait_until(lambda: fleet.serves(*ports), START_S)
        except AssertionError:
            raise AssertionError(worker.output + "".join(each.output for each in started)) from None
        yield fleet
