"""A real Prometheus over a running world, with the rules that we publish."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import yaml

from tests.faults.programs import ForeignProgram
from tests.faults.world import START_S, World
from tests.monitoring.document import RULES
from tests.support.ports import free_port
from tests.support.servers.relay import Relay
from tests.support.waiting import wait_until

BOARD = RULES.with_name("board.json")
PROGRAM, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
RATE_OVER = "20s"  # as Grafana has it for a scrape of 5 s: four of them
EVERY = "2s"  # as often as a test wants to know; the rules ask for 15 s at most


class Prometheus:
    """Asks a running one.

    Args:
        http: What it is asked with.
        port: Its port.
    """

    def __init__(self, http: aiohttp.ClientSession, port: int) -> None:
        self._http = http
        self._url = f"http://127.0.0.1:{port}"

    async def query(self, expression: str) -> list[Any]:
        """Return the series that an expression gives now."""
        async with self._http.get(f"{self._url}/api/v1/query", params={"query": expression}) as answer:
            said = await answer.json()
            assert said["status"] == "success", said
            return list(said["data"]["result"])

    async def over_time(
        self, expression: str, start_s: float, end_s: float, step_s: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return the series of an expression: their labels, and (unix seconds, value) of each point."""
        params = {"query": expression, "start": str(start_s), "end": str(end_s), "step": str(step_s)}
        async with self._http.get(f"{self._url}/api/v1/query_range", params=params) as answer:
            said = await answer.json()
        assert said["status"] == "success", said
        return [
            (series["metric"], [(float(at), float(value)) for at, value in series["values"]])
            for series in said["data"]["result"]
        ]

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {series["metric"]["alertname"] for series in await self.query('ALERTS{alertstate="firing"}')}

    async def is_scraping(self, targets: int) -> bool:
        """Whether so many targets are up."""
        try:
            return len(await self.query("up == 1")) >= targets
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def watching(world: World) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes the world's workers and batchers and applies our rules."""
    folder = world.folder / "prometheus"
    folder.mkdir()
    relays, ports = [], []
    for place in range(len(world.workers)):  # Prometheus cannot scrape a unix socket
        ports.append(free_port())
        relays.append(Relay(("127.0.0.1", ports[-1]), world.folder / f"proxy-{place}.sock"))
    for relay in relays:
        await relay.start()
    batchers = [_side_port(batcher.output) for batcher in world.batchers]
    (folder / "alerts.yml").write_text(RULES.read_text(encoding="utf-8").replace("interval: 5s", f"interval: {EVERY}"))
    jobs = {"autobatch-workers": ports, "autobatch-batchers": batchers}
    (folder / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": EVERY, "evaluation_interval": EVERY},
                "rule_files": ["alerts.yml"],
                "scrape_configs": [
                    {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in targets]}]}
                    for job, targets in jobs.items()
                ],
            }
        )
    )
    port = free_port()
    options = (
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    program = ForeignProgram((str(PROGRAM), *options), folder)
    program.start()
    prometheus = Prometheus(world.http, port)
    try:
        await wait_until(lambda: prometheus.is_scraping(len(ports) + len(batchers)), START_S)
        yield prometheus
    finally:
        program.kill()
        for relay in relays:
            await relay.stop()


def _side_port(log: str) -> int:
    started = next(line for line in log.splitlines() if '"started"' in line)
    return int(yaml.safe_load(started)["side_port"])


def panels() -> list[dict[str, Any]]:
    """Return the panels of our board, but for its headings."""
    return [each for each in yaml.safe_load(BOARD.read_text(encoding="utf-8"))["panels"] if each["type"] != "row"]


def as_asked(expression: str) -> str:
    """Return a query of the board with its variables as Grafana fills them in."""
    return expression.replace("$__rate_interval", RATE_OVER).replace("$model", ".*")
