"""A real Prometheus takes our rules, and every query of the board has an answer while a fleet works."""

import shutil
import subprocess
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

import pytest

from autobatch_batcher.metrics import Metrics, ProcessMetrics, render
from autobatch_proxy.metrics import WorkerMetrics
from tests.faults.world import open_world
from tests.monitoring.document import RULES
from tests.monitoring.incidents import OTHER_KEY, USUAL_KEY, usual_load
from tests.monitoring.prometheus import PROGRAM, PROMTOOL, as_asked, panels, watching
from tests.support.waiting import wait_until

RULE_TESTS = Path(__file__).with_name("alerts_test.yml")
#: Metrics whose first series comes with the first such event: of a calm fleet there is none.
EVENTS = (
    "ALERTS{",
    "autobatch_upstream_failures_total",
    "autobatch_upstream_hedges_total",
    "autobatch_upstream_trouble",
    "autobatch_jobs_dropped_total",
    "autobatch_http_refusals_total",
    "autobatch_unbatched_requests_total",
)
WHOLE_S = 40.0  # until rates have the two samples that they need

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="needs promtool, of Debian's package prometheus, on the PATH"
)
needs_prometheus = pytest.mark.skipif(PROGRAM is None, reason="needs Debian's package prometheus")


@needs_promtool
@pytest.mark.parametrize(
    "words", [("check", "rules", str(RULES)), ("test", "rules", str(RULE_TESTS))], ids=["check", "test"]
)
def test_promtool_takes_the_rules(words: tuple[str, ...]) -> None:
    done = subprocess.run([str(PROMTOOL), *words], check=False, capture_output=True, text=True, cwd=RULE_TESTS.parent)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_promtool_takes_the_configuration(tmp_path: Path) -> None:
    shutil.copytree(RULES.parent, tmp_path, dirs_exist_ok=True)
    done = subprocess.run(
        [str(PROMTOOL), "check", "config", str(tmp_path / "prometheus.yml")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
@pytest.mark.parametrize(
    "page", [WorkerMetrics().render({}), render([("", Metrics())], ProcessMetrics())], ids=["worker", "batcher"]
)
def test_promtool_takes_the_names_and_help_of_the_pages(page: bytes) -> None:
    done = subprocess.run([str(PROMTOOL), "check", "metrics"], input=page, check=False, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@needs_prometheus
@pytest.mark.timeout(120)
async def test_every_query_of_the_board_has_an_answer_and_no_alert_fires() -> None:
    settings = {"api_keys": f"{USUAL_KEY},{OTHER_KEY}", "cache_ttl_s": 60}
    async with open_world(2, worker_settings=settings) as world, watching(world) as prometheus, usual_load(world):
        unanswered = {
            (str(panel["title"]), as_asked(target["expr"])) for panel in panels() for target in panel["targets"]
        }

        async def left() -> list[tuple[str, str]]:
            unanswered.difference_update([each for each in unanswered if await prometheus.query(each[1])])
            return [each for each in unanswered if not _is_of_events(each[1])]

        with suppress(AssertionError):
            await wait_until(lambda: _is_empty(left()), WHOLE_S)
        assert await left() == []
        assert await prometheus.firing() == set()


async def _is_empty(left: Awaitable[list[tuple[str, str]]]) -> bool:
    return not await left


def _is_of_events(query: str) -> bool:
    return any(name in query for name in EVENTS)
