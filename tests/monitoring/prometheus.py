"""A real Prometheus over a running world, with the rules that we publish."""

import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.faults.programs import ForeignProgram
from tests.faults.world import START_S, World
from tests.monitoring.document import RULES
from tests.support.ports import free_port
from tests.support.servers.relay import Relay
from tests.support.waiting import wait_until

BOARD, CONFIGURATION = RULES.with_name("board.json"), RULES.with_name("prometheus.yml")
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
        self.url = f"http://127.0.0.1:{port}"

    async def query(self, expression: str) -> list[Any]:
        """Return the series that an expression gives now."""
        async with self._http.get(f"{self.url}/api/v1/query", params={"query": expression}) as answer:
            said = await answer.json()
            assert said["status"] == "success", said
            return list(said["data"]["result"])

    async def over_time(
        self, expression: str, start_s: float, end_s: float, step_s: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Return the series of an expression: their labels, and (unix seconds, value) of each point."""
        params = {"query": expression, "start": str(start_s), "end": str(end_s), "step": str(step_s)}
        async with self._http.get(f"{self.url}/api/v1/query_range", params=params) as answer:
            said = await answer.json()
        assert said["status"] == "success", said
        return [
            (series["metric"], [(float(at), float(value)) for at, value in series["values"]])
            for series in said["data"]["result"]
        ]

    async def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {series["metric"]["alertname"] for series in await self.query('ALERTS{alertstate="firing"}')}

    async def alerts(self) -> dict[str, str]:
        """Return the alerts that are pending or firing, each as its name and labels, with which of the two and the rule's value."""
        async with self._http.get(f"{self.url}/api/v1/alerts") as answer:
            said = (await answer.json())["data"]["alerts"]
        return {_named(each["labels"]): f"{each['state']} at {float(each['value']):.3g}" for each in said}

    async def is_scraping(self, targets: int) -> bool:
        """Whether so many targets are up."""
        try:
            return len(await self.query("up == 1")) >= targets
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def watching(world: World) -> AsyncIterator[Prometheus]:
    """A Prometheus that scrapes the world's workers and batchers, more often than ours, and applies our rules."""
    relays, ports = [], []
    for place in range(len(world.workers)):  # Prometheus cannot scrape a unix socket
        ports.append(free_port())
        relays.append(Relay(("127.0.0.1", ports[-1]), world.folder / f"proxy-{place}.sock"))
    for relay in relays:
        await relay.start()
    batchers = [_side_port(batcher.output) for batcher in world.batchers]
    jobs = {"autobatch-workers": ports, "autobatch-batchers": batchers}
    try:
        async with scraping(jobs, world.http, world.folder / "prometheus", EVERY) as prometheus:
            yield prometheus
    finally:
        for relay in relays:
            await relay.stop()


@asynccontextmanager
async def scraping(
    jobs: Mapping[str, Sequence[int]], http: aiohttp.ClientSession, folder: Path, every: str = ""
) -> AsyncIterator[Prometheus]:
    """A Prometheus with the configuration and the rules that we deploy.

    Args:
        jobs: Of the configuration's jobs those to keep, with the ports of their targets.
        http: What it is asked with.
        folder: Where it keeps what it sees; it is made.
        every: How often it scrapes and applies the rules; empty: as deployed.
    """
    _configure(jobs, folder, every)
    port = free_port()
    options = (
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    program = ForeignProgram((str(PROGRAM), *options), folder)
    program.start()
    prometheus = Prometheus(http, port)
    try:
        await wait_until(lambda: prometheus.is_scraping(sum(map(len, jobs.values()))), START_S)
        yield prometheus
    finally:
        program.kill()


def _configure(jobs: Mapping[str, Sequence[int]], folder: Path, every: str) -> None:
    folder.mkdir()
    rules, configuration = RULES.read_text(encoding="utf-8"), yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    if every:
        rules = rules.replace("interval: 5s", f"interval: {every}")
        configuration["global"] = {"scrape_interval": every, "evaluation_interval": every}
    kept = [job for job in configuration["scrape_configs"] if job["job_name"] in jobs]
    for job in kept:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in jobs[job["job_name"]]]}]
    (folder / "alerts.yml").write_text(rules)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration | {"scrape_configs": kept}))


def _named(labels: Mapping[str, str]) -> str:
    others = (
        f"{name}={value}" for name, value in sorted(labels.items()) if name not in ("alertname", "severity", "job")
    )
    return " ".join((labels["alertname"], *others))


def _side_port(log: str) -> int:
    started = next(line for line in log.splitlines() if '"started"' in line)
    return int(yaml.safe_load(started)["side_port"])


def board() -> list[dict[str, Any]]:
    """Return the panels and headings of our board."""
    return list(yaml.safe_load(BOARD.read_text(encoding="utf-8"))["panels"])


def panels() -> list[dict[str, Any]]:
    """Return the panels, without the headings."""
    return [each for each in board() if each["type"] != "row"]


def as_asked(expression: str) -> str:
    """Return a query of the board with its variables as Grafana fills them in."""
    return expression.replace("$__rate_interval", RATE_OVER).replace("$model", ".*")
