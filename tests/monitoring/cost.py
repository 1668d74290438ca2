"""`python -m tests.monitoring.cost [BLOCKS [SIDE...]]`: CPU microseconds a request with all that watches, and without.

Two equal processes differ by some per cent for as long as they live, so it is one system that is watched and not watched by turns of half a
second, in the order off, on, on, off and the next time on, off, off, on: a signal takes what counts, keeps and publishes out of its processes and puts it back
(`unwatched/`). Instant upstream, Redis, one batcher, one worker, 64 requests in flight. Each block has processes of its own, and a dozen such
fours. The ratio is the geometric mean over all fours, and the 95 % interval that of their mean.

Where other programs use the machine, the work of a batch is spread over more or fewer requests from one moment to the next, which is several times what is
looked for here: then only `python -m tests.monitoring.cost parts` tells, the CPU time of each part by itself: the steps of a request, the
least of many rounds; what is published and looked at, of processes without load, a second.

The sides: `nothing`, where nothing is switched, which shows what the method can tell; `watched`: metrics counted and scraped every 5 s, activity
published, the dashboard open, slow requests looked for; `traced`: the same, and each request has its spans.
"""

import asyncio
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import exp, log, sqrt
from pathlib import Path
from statistics import mean, median, stdev

from autobatch_bench.checking.checks import OracleCheck
from autobatch_bench.load import closed_loop
from autobatch_bench.load.plain_http import read
from autobatch_bench.load.traffic import Endpoint, Traffic
from autobatch_bench.load.workloads import WorkloadKind, make, serials
from autobatch_bench.systems.system import Loop, ProxyPlan, Side, UpstreamKind, started
from tests.monitoring.unwatched import steps

UNWATCHED = Path(__file__).parent / "unwatched"
OFF, ON = signal.SIGRTMIN + 5, signal.SIGRTMIN + 6  # as there
FOURS, TURN_S, WARM_UP_S, IN_FLIGHT = 12, 0.5, 2.0, 64
DASHBOARD_EVERY_S, SCRAPE_EVERY_S = 1.0, 5.0
NORMAL_95 = 1.96
PART_S = 4.0
#: By turns, so that neither is always in the middle of a four.
ORDERS = (("off", "on", "on", "off"), ("on", "off", "off", "on"))
OURS = ("worker", "batcher", "redis")
SIDES = ("nothing", "watched")
Four = Mapping[str, Mapping[str, float]]  # `off` and `on` -> role -> microseconds a request
KEPT = Path(os.environ.get("KEPT", "run/cost.jsonl"))


class _Collector(BaseHTTPRequestHandler):
    """Takes spans, and keeps none."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the base
        """Print nothing."""


@contextmanager
def collector() -> Iterator[str]:
    """Run a collector of traces; yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def cpu_us(side: Side) -> dict[str, float]:
    """Return the CPU time that each role has used, microseconds."""
    return {role: sum(map(_run_us, side.pids[role])) for role in OURS}


def _run_us(pid: int) -> float:
    """Source: Linux's `Documentation/scheduler/sched-stats.rst`: the first field of `schedstat` is nanoseconds on a CPU."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1000


class SwitchedSystem:
    """A system, and the pages that are looked at while it is watched.

    Args:
        side: The system.
        is_switched: Whether turns differ.
    """

    def __init__(self, side: Side, *, is_switched: bool) -> None:
        self._side = side
        self._is_switched = is_switched
        self._numbers = serials(itertools.count(), 0.0)
        self._watched_s = 0.0

    def turn(self, seconds: float, *, is_watched: bool) -> dict[str, float]:
        """Put load on it; return the microseconds a request of each role.

        Raises:
            SystemExit: An answer was wrong, or failed.
        """
        if self._is_switched:
            for pid in (*self._side.pids["worker"], *self._side.pids["batcher"]):
                os.kill(pid, ON if is_watched else OFF)
        workload, before = make(WorkloadKind.SHORT), cpu_us(self._side)
        check = OracleCheck(workload)
        looking = threading.Thread(target=self._look, args=(seconds if is_watched and self._is_switched else 0.0,))
        looking.start()
        load = closed_loop.run(
            self._side.target, Traffic(workload, self._numbers, check), concurrency=IN_FLIGHT, seconds=seconds
        )
        outcome = asyncio.run(load)
        looking.join()
        if outcome.wrong or outcome.failed or check.wrong_after_all():
            sys.exit(f"{outcome.wrong} answers were wrong, failed: {dict(outcome.failed)}")
        return {role: (us - before[role]) / len(outcome.latencies_s) for role, us in cpu_us(self._side).items()}

    def _look(self, seconds: float) -> None:
        """Ask for the pages that fall due in so many seconds more."""
        before_s, self._watched_s = self._watched_s, self._watched_s + seconds
        if _falls_due(DASHBOARD_EVERY_S, before_s, self._watched_s):
            time.sleep(seconds / 4)
            read(self._side.target, "/dashboard.json")
        if _falls_due(SCRAPE_EVERY_S, before_s, self._watched_s) and self._side.metrics is not None:
            read(self._side.target, "/metrics")
            read(self._side.metrics, "/metrics")


def _falls_due(every_s: float, since_s: float, until_s: float) -> bool:
    return int(until_s / every_s) > int(since_s / every_s)


def block(side: str, spans_url: str) -> list[Four]:
    """Return the microseconds a request of each role in each four."""
    settings = {"PYTHONPATH": os.pathsep.join([str(UNWATCHED), *filter(None, sys.path)]), "SLOW_MS": "1000"}
    if side == "traced":
        settings["OTEL_EXPORTER_OTLP_ENDPOINT"] = spans_url
    fours: list[Four] = []
    with started(UpstreamKind.INSTANT, Loop.UVLOOP, (ProxyPlan(settings=settings, workers=1),)) as sides:
        system = SwitchedSystem(sides["proxy"], is_switched=side != "nothing")
        system.turn(WARM_UP_S, is_watched=True)
        for number in range(FOURS):
            turns = [(each, system.turn(TURN_S, is_watched=each == "on")) for each in ORDERS[number % 2]]
            fours.append(
                {
                    each: {role: mean(us[role] for name, us in turns if name == each) for role in OURS}
                    for each in ("off", "on")
                }
            )
    return fours


def row(side: str, fours: Sequence[Four]) -> str:
    """Return a row: microseconds of each role without and with, of all of them, and the ratio."""
    cells = [side, str(len(fours))]
    for roles in (*((role,) for role in OURS), OURS):
        off, on = (median(sum(each[name][role] for role in roles) for each in fours) for name in ("off", "on"))
        cells.append(f"{off:.1f}, {on:.1f}")
    logs = [log(sum(each["on"].values()) / sum(each["off"].values())) for each in fours]
    middle, half = mean(logs), NORMAL_95 * stdev(logs) / sqrt(len(logs))
    cells += [f"{exp(middle):.3f}", f"{exp(middle - half):.3f} to {exp(middle + half):.3f}"]
    return f"| {' | '.join(cells)} |"


def parts() -> None:
    """Print what each part costs by itself."""
    for name, us in steps.all_us().items():
        print(f"{name}: {us:.2f} us", flush=True)
    settings = {"PYTHONPATH": os.pathsep.join([str(UNWATCHED), *filter(None, sys.path)])}
    with started(UpstreamKind.INSTANT, Loop.UVLOOP, (ProxyPlan(settings=settings, workers=1),)) as sides:
        side = sides["proxy"]
        system = SwitchedSystem(side, is_switched=True)
        system.turn(WARM_UP_S, is_watched=True)
        pids = (*side.pids["worker"], *side.pids["batcher"])
        pages: dict[str, list[tuple[Endpoint, str]]] = {
            "nothing published": [],
            "published": [],
            "and the dashboard": [(side.target, "/dashboard.json")],
            "and a scrape of each process": [(each, "/metrics") for each in (side.target, side.metrics) if each],
        }
        for name in list(pages) * 2:
            for pid in pids:
                os.kill(pid, OFF if name == "nothing published" else ON)
            before, began_s = cpu_us(side), time.monotonic()
            while time.monotonic() - began_s < PART_S:
                for target, page in pages[name]:
                    read(target, page)
                time.sleep(1.0)
            seconds, after = time.monotonic() - began_s, cpu_us(side)
            print(
                f"{name}: { ({role: round((after[role] - before[role]) / seconds) for role in OURS}) } us a second",
                flush=True,
            )


def main(words: list[str]) -> None:
    """Measure and print; each four is a line of JSON in KEPT, and those that are there count, too."""
    if words == ["parts"]:
        parts()
        return
    sides = words[1:] or list(SIDES)
    kept = [json.loads(line) for line in KEPT.read_text().splitlines()] if KEPT.exists() else []
    with collector() as spans_url, KEPT.open("a") as file:
        for side in sides * (int(words[0]) if words else 4):
            found = [(side, four) for four in block(side, spans_url)]
            file.writelines(json.dumps(each) + "\n" for each in found)
            file.flush()
            kept += found
    print(
        "| | fours | worker, us | batcher | Redis | together | with / without | 95 % |", "|---|" + "--:|" * 7, sep="\n"
    )
    for side in dict.fromkeys(each for each, _ in kept):
        print(row(side, [four for each, four in kept if each == side]))


if __name__ == "__main__":
    main(sys.argv[1:])
