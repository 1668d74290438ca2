"""What a worker knows of the fleet, and how often it looks."""

import asyncio
import itertools
from typing import Any

from autobatch_proxy.queue.fleet_watcher import ABSENT_AFTER_S, GONE_AFTER_S, LOOK_EVERY_S, NAMES_MAX, FleetWatcher
from autobatch_shared.contract.cards import Card
from autobatch_shared.contract.errors import QueueUnavailable
from autobatch_shared.contract.models import ServedModel
from autobatch_shared.contract.status import BatcherStatus, Fleet, UpstreamStatus, encode

OLD, NEW = (ServedModel(name * 8, name, "{}") for name in "ab")


class Reports:
    """Redis, as a worker reads it."""

    def __init__(self) -> None:
        self.model: ServedModel | None = None
        self.upstreams: list[UpstreamStatus] = []
        self.is_away = False

    async def fleet(self) -> Fleet:
        if self.is_away:
            raise QueueUnavailable
        return Fleet([encode(BatcherStatus(1, 0, self.upstreams))], 1, self.model)


def watching(reports: Any) -> FleetWatcher:
    return FleetWatcher(reports, inputs_max=32, per_token=4)


async def test_it_looks_often_after_a_start_and_never_again() -> None:
    """Hundreds of workers that read all reports ten times a second would make an outage longer."""
    reports = Reports()
    watcher = watching(reports)

    pauses_s = [await watcher._look() for _ in range(30)]

    assert pauses_s[0] < 0.2
    assert all(before <= after for before, after in itertools.pairwise(pauses_s))
    assert pauses_s[-1] == LOOK_EVERY_S
    reports.upstreams = [UpstreamStatus("u", True, 32, 0)]
    assert await watcher._look() == LOOK_EVERY_S
    reports.upstreams = []
    assert await watcher._look() == LOOK_EVERY_S


async def test_a_redis_that_is_away_or_lost_its_data_changes_no_model() -> None:
    reports = Reports()
    watcher = watching(reports)
    reports.model = OLD
    await watcher._look()

    for is_away in (True, False):
        reports.is_away, reports.model = is_away, None
        await watcher._look()
        assert watcher.model == OLD


async def test_the_names_of_the_last_models_are_known() -> None:
    """Their answers may be on their way, or come from an upstream that went ahead."""
    reports = Reports()
    watcher = watching(reports)
    reports.upstreams = [UpstreamStatus("u", False, 32, 0, card=Card("next"), counts_for="cccccccc", reason="another")]
    for reports.model in (OLD, NEW):
        await watcher._look()
    await watcher.learn("dddddddd")

    assert watcher.names == {OLD.fingerprint: "a", NEW.fingerprint: "b", "cccccccc": "next", "dddddddd": ""}
    for number in range(99):
        await watcher.learn(f"{number:08x}")
    assert len(watcher.names) == NAMES_MAX


class Counted(Reports):
    """Redis, with a number of batchers that report now."""

    batchers = 0

    async def fleet(self) -> Fleet:
        if self.is_away:
            raise QueueUnavailable
        return Fleet([encode(BatcherStatus(1, 0, []))] * self.batchers, 1)


async def test_where_no_batcher_was_ever_seen_the_first_look_says_so() -> None:
    reports = Counted()
    watcher = watching(reports)

    for reports.is_away in (True, False):
        assert watcher.has_batchers  # nothing is known yet
        await watcher._look()

    assert not watcher.has_batchers
    assert not watcher.may_come_back
    reports.batchers = 1
    await watcher._look()
    assert watcher.has_batchers
    assert watcher.may_come_back


async def left_alone() -> tuple[Counted, FleetWatcher]:
    """Return a watcher that has seen a batcher, which is gone when it looks again."""
    reports = Counted()
    watcher = watching(reports)
    reports.batchers = 1
    await watcher._look()
    reports.batchers = 0
    return reports, watcher


async def test_new_requests_are_refused_before_those_that_wait_are_given_up() -> None:
    """A batcher that is started anew takes longer than one that only lost its connection."""
    _, watcher = await left_alone()
    await watcher._look()
    reported_s, found = asyncio.get_running_loop().time(), []
    for silent_s in (3.9, ABSENT_AFTER_S, 9.9, GONE_AFTER_S):
        watcher._reported_mono_s = reported_s - silent_s
        watcher._note_reports(reported_s)
        found.append((watcher.has_batchers, watcher.may_come_back))

    assert [(True, True), (False, True), (False, True), (False, False)] == found


async def test_batchers_that_were_seen_are_waited_for_and_so_after_an_outage_of_redis() -> None:
    reports, watcher = await left_alone()

    for reports.is_away in (False, True, False):
        await watcher._look()
        assert watcher.has_batchers


async def test_a_dead_batchers_report_of_a_time_to_come_counts_once() -> None:
    """Redis's clock was set back by five seconds after it: five seconds later it is fresh once more."""
    report, watcher = [encode(BatcherStatus(10_000, 0, [], id="b"))], watching(Reports())
    found = []
    for second, now_ms in enumerate((10_100, 5_200, 6_200, 7_200, 8_200, 9_200)):
        watcher.fleet = Fleet(report, now_ms)
        watcher._note_reports(float(second))
        found.append(watcher.has_batchers)

    assert found == [True, True, True, True, False, False]
