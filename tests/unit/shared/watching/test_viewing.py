"""The view of a fleet, made of what its processes say."""

from typing import Any

import msgspec
import pytest

from autobatch_shared.contract.cards import Card
from autobatch_shared.contract.models import model_of
from autobatch_shared.contract.status import BatcherStatus, FailedCalls, LearntCalls, UpstreamStatus
from autobatch_shared.watching.activity import (
    CHART_S,
    KEPT_S,
    BatcherActivity,
    SeenBatch,
    TuningNow,
    UpstreamActivity,
    WorkerActivity,
    decoded_activities,
)
from autobatch_shared.watching.lines import StateAge
from autobatch_shared.watching.seen import SeenFleet, SeenModel
from autobatch_shared.watching.upstream_words import tuner_words
from autobatch_shared.watching.view import FleetView, Percentiles
from autobatch_shared.watching.viewing import view_of

NOW_S = 1_800_000_000
NOW_MS = NOW_S * 1000 + 400
URL = "http://up:80"
TOOK = [(10.0, 98), (20.0, 2)]


def seconds(*last: int) -> list[int]:
    return [0] * (KEPT_S - len(last)) + list(last)


def worker(name: str = "w1", **changed: Any) -> WorkerActivity:
    usual: dict[str, Any] = {
        "at": NOW_MS,
        "id": name,
        "alive_ms": 90_000,
        "cpu_share": 0.1,
        "redis_ms": 0.5,
        "until_s": NOW_S,
        "answered": seconds(4, 4, 4, 4, 4),
        "refused": seconds(),
        "failed": seconds(),
        "cached": seconds(1),
        "waiting": seconds(3, 2),
        "took": TOOK,
        "unchanged_ms": 30_000,
    }
    return WorkerActivity(**usual | changed)


def batcher(name: str = "b1", **changed: Any) -> BatcherActivity:
    usual: dict[str, Any] = {
        "at": NOW_MS,
        "id": name,
        "model": "",
        "until_s": NOW_S,
        "answered": seconds(10, 20),
        "waited": TOOK,
        "upstreams": [UpstreamActivity(URL, 20, 300, 0, TOOK, unchanged_ms=60_000)],
        "batches": [SeenBatch(NOW_MS, URL, "full", 8, 32, 6, 0.25, 12, 9.5, 0)],
    }
    return BatcherActivity(**usual | changed)


def report(name: str = "b1", **upstream: Any) -> BatcherStatus:
    usual: dict[str, Any] = {
        "url": URL,
        "is_healthy": True,
        "may_be_called": True,
        "card": Card(name="minilm"),
        "unchanged_ms": 60_000,
    }
    changed = {"batch_inputs_max": 32, "in_flight": 8} | usual | upstream
    return BatcherStatus(NOW_MS, 5, [UpstreamStatus(**changed)], 50.0, id=name, alive_ms=60_000, cpu_share=0.2)


def model(*reports: BatcherStatus, **changed: Any) -> SeenModel:
    record = msgspec.structs.replace(model_of(Card(name="minilm"), 384), since=NOW_MS - 5_000)
    return SeenModel("", record, list(reports), **changed)


def view(*activities: WorkerActivity | BatcherActivity, models: list[SeenModel] | None = None) -> FleetView:
    return view_of(SeenFleet(NOW_MS, [model(report())] if models is None else models, list(activities)))


def texts(found: FleetView) -> list[str]:
    return [each.text for each in found.troubles]


def test_a_fleet_that_is_well_has_no_troubles() -> None:
    assert [] == view(worker(), batcher()).troubles


def test_the_chart_adds_up_all_processes_second_by_second() -> None:
    found = view(worker(), worker("w2"), batcher(), batcher("b2"))
    assert (NOW_S - CHART_S, NOW_S - 1) == (found.chart[0].at_s, found.chart[-1].at_s)
    assert [20, 42] == [each.answered for each in found.chart[-2:]], "two batchers, and what two caches had"
    assert [6, 4] == [each.waiting for each in found.chart[-2:]]


def test_the_chart_ends_where_the_slowest_process_has_spoken() -> None:
    """Else its end would always sag by what one process has not said yet."""
    late = worker("w2", until_s=NOW_S - 1, at=NOW_MS - 1000, waiting=seconds(7))
    found = view(worker(), late)
    assert (NOW_S - 2, 3 + 7) == (found.chart[-1].at_s, found.chart[-1].waiting)


def test_the_oldest_second_of_the_chart_is_whole() -> None:
    """Else each look would overwrite a second that was seen before with less."""
    late = worker("w2", until_s=NOW_S - 2, at=NOW_MS - 2000, waiting=[1] * KEPT_S)
    chart = view(worker(waiting=[1] * KEPT_S), late).chart
    assert {2} == {each.waiting for each in chart}


def test_a_process_that_stalls_does_not_hold_up_the_chart() -> None:
    found = view(worker(), worker("w2", until_s=NOW_S - 9, at=NOW_MS - 9000))
    assert NOW_S - 1 == found.chart[-1].at_s


def test_rates_are_means_of_the_last_seconds() -> None:
    found = view(worker(), worker("w2"), batcher())
    assert (8.0, 2) == (found.requests_per_s, len(found.workers))
    assert 6.4 == found.texts_per_s, "30 by the batcher and 2 by caches, in 5 s"
    assert 4 == found.waiting


def test_latencies_of_all_processes_are_put_together() -> None:
    found = view(worker(took=[(10.0, 99)]), worker("w2", took=[(1000.0, 99)]), batcher(waited=[]))
    assert 8.0 <= (found.took.p50_ms or 0.0) <= 10.0
    assert 800.0 <= (found.took.p99_ms or 0.0) <= 1000.0
    assert Percentiles(None, None) == found.queue


def test_a_silent_worker_is_shown_with_the_time_it_was_heard_last_and_counts_no_more() -> None:
    found = view(worker(), worker("w2", at=NOW_MS - 12_000), batcher())
    assert [("w1", "working", NOW_MS - 30_000), ("w2", "silent", NOW_MS - 12_000)] == [
        (each.id, each.state, each.since_ms) for each in found.workers
    ]
    assert ["worker w2 is silent"] == texts(found)
    assert 4.0 == found.requests_per_s


def test_a_batcher_whose_jobs_another_one_took_over_is_shown_as_silent() -> None:
    """Its report is gone then, and a fleet of two that lost one is not well."""
    lost = batcher("b2", at=NOW_MS - 20_000)
    found = view(worker(), batcher(), lost)
    assert [("b1", "working"), ("b2", "silent")] == [(each.id, each.state) for each in found.batchers]
    assert NOW_MS - 20_000 == found.batchers[1].since_ms
    assert ["batcher b2 is silent"] == texts(found)
    assert ["b1"] == [each.id for each in view(batcher(), batcher("b2", at=NOW_MS - 60_000)).batchers], "no more"
    assert ["b1"] == [each.id for each in view(batcher(), batcher("b2")).batchers], "it has not reported yet"


def test_several_that_are_silent_are_one_trouble() -> None:
    found = view(worker(), *(worker(name, at=NOW_MS - 12_000) for name in ("w2", "w3")), batcher())
    assert ["2 workers are silent: w2, w3"] == texts(found)


def test_a_process_that_was_silent_for_long_is_shown_no_more() -> None:
    assert ["w1"] == [each.id for each in view(worker(), worker("w2", at=NOW_MS - 61_000)).workers]


@pytest.mark.parametrize(
    ("upstream", "state", "reason"),
    [
        ({}, "up", ""),
        ({"is_healthy": False, "fault": "ConnectionRefused"}, "down", "ConnectionRefused"),
        ({"is_healthy": False, "fault": "no answer in time"}, "silent", "no answer in time"),
        ({"is_healthy": False, "reason": "it serves another model"}, "excluded", "it serves another model"),
        (
            {
                "is_healthy": False,
                "fault": "no answer in time",
                "failed": FailedCalls(4, {"no answer in time": 4}, "no answer in time", 300, 29.96),
            },
            "silent",
            "no answer within 30 s in all 4 calls of the last 10 s",
        ),
        ({"is_healthy": False, "fault": "ECONNREFUSED"}, "down", "connection refused"),
        ({"may_be_called": False}, "failing", "calls take far longer than others like them"),
        (
            {"may_be_called": False, "failed": FailedCalls(5, {"HTTP 500": 5}, "HTTP 500", 300)},
            "failing",
            "HTTP 500 in all 5 calls of the last 10 s",
        ),
        (
            {"may_be_called": False, "failed": FailedCalls(1, {"HTTP 500": 1}, "HTTP 500", 300)},
            "failing",
            "HTTP 500 in the only call of the last 10 s",
        ),
        (
            {"may_be_called": False, "failed": FailedCalls(0, {}, "HTTP 500", 14_300)},
            "failing",
            "HTTP 500 in the last call, 14 s ago",
        ),
        (
            {"failed": FailedCalls(50, {"connection reset": 2, "HTTP 500": 7, "HTTP 502": 1}, "HTTP 502", 300)},
            "failing",
            "HTTP 500 (7) and connection reset (2) in 10 of 50 calls of the last 10 s",
        ),
    ],
)
def test_an_upstream_says_how_it_is_and_why(upstream: dict[str, Any], state: str, reason: str) -> None:
    found = view(worker(), batcher(), models=[model(report(**upstream))])
    (line,) = found.upstreams
    assert (state, reason, NOW_MS - 60_000) == (line.state, line.reason, line.since_ms)
    assert (state != "up") == any("upstream http://up:80 is" in each for each in texts(found))


def test_failures_of_all_batchers_are_told_and_few_of_them_are_no_state() -> None:
    reports = [report(name, failed=FailedCalls(20, {"HTTP 500": 1}, "HTTP 500", 300)) for name in ("b1", "b2")]
    (line,) = view(models=[model(*reports)]).upstreams
    assert ("up", "", "HTTP 500 in 2 of 40 calls of the last 10 s") == (line.state, line.reason, line.failed)


def test_an_upstream_that_refuses_nearly_all_is_not_well() -> None:
    (line,) = view(models=[model(report(failed=FailedCalls(20, {"HTTP 429": 20}, "HTTP 429", 300)))]).upstreams
    assert ("refusing", "warn", "HTTP 429 in all 20 calls of the last 10 s") == (line.state, line.level, line.reason)


def test_an_upstream_that_refuses_what_is_too_much_for_it_is_not_failing() -> None:
    (line,) = view(models=[model(report(failed=FailedCalls(20, {"HTTP 429": 9}, "HTTP 429", 300)))]).upstreams
    assert ("up", "HTTP 429 in 9 of 20 calls of the last 10 s") == (line.state, line.failed)


def test_the_age_of_a_state_is_not_that_of_its_process() -> None:
    found = view(
        worker(cpu_share=0.95, unchanged_ms=7_000),
        batcher(unchanged_ms=8_000, upstreams=[UpstreamActivity(URL, 20, 300, 0, TOOK, unchanged_ms=9_000)]),
        models=[model(report(may_be_called=False, is_on_duty=False))],
    )
    assert [("strained", NOW_MS - 7_000)] == [(each.state, each.since_ms) for each in found.workers]
    assert [("stands by", NOW_MS - 8_000)] == [(each.state, each.since_ms) for each in found.batchers]
    assert [("failing", NOW_MS - 9_000)] == [(each.state, each.since_ms) for each in found.upstreams]


def test_of_a_state_whose_age_no_process_says_none_is_shown() -> None:
    """That of the process, or of another state, would be wrong."""
    found = view(worker(unchanged_ms=0), models=[model(report())])
    assert ([0], [0]) == ([each.since_ms for each in found.workers], [each.since_ms for each in found.batchers])


def test_a_model_without_an_upstream_is_so_since_its_last_one_was_lost() -> None:
    first, last = (report(name, is_healthy=False, unchanged_ms=ms) for name, ms in (("b1", 9_000), ("b2", 4_000)))
    assert [NOW_MS - 4_000] == [each.since_ms for each in view(models=[model(first, last)]).models]
    stalled = msgspec.structs.replace(report(), upstreams=[])
    assert [0] == [each.since_ms for each in view(models=[model(stalled)]).models]


def test_the_age_of_a_state_begins_anew_with_another_one() -> None:
    age = StateAge()
    assert [1, 500, 1] == [age.ms("up", 1000), age.ms("up", 1500), age.ms("slow", 2000)]


def test_an_upstream_is_judged_by_the_batcher_on_duty() -> None:
    found = view(batcher(), models=[model(report("b2", is_on_duty=False, is_healthy=False), report("b1"))])
    assert ["up"] == [each.state for each in found.upstreams]


def test_without_a_batcher_nothing_can_be_answered() -> None:
    assert texts(view(models=[])) == ["no batcher has reported: nothing can be answered"]
    assert texts(view(models=[model()])) == ["no batcher: nothing can be answered"]
    left = "no batcher: nothing can be answered; 138 texts stay in the queue, {} of them past their deadline"
    for expired, words in ((0, "none"), (60, "about 60"), (138, "all")):
        assert texts(view(models=[model(queued=130, queued_bulk=8, expired=expired)])) == [left.format(words)]
    gone = view(models=[model(msgspec.structs.replace(report(), at=NOW_MS - 20_000))])
    assert [("no batcher", NOW_MS - 20_000)] == [(each.state, each.since_ms) for each in gone.models]


def test_requests_wait_for_an_upstream_that_only_does_not_answer() -> None:
    hangs, away = [report(is_healthy=False, fault=fault) for fault in ("no answer in time", "ECONNREFUSED")]
    assert "no answer: requests wait until their deadlines" in texts(view(models=[model(hangs)]))
    assert "no upstream: nothing can be answered" in texts(view(models=[model(away)]))


def test_what_waits_is_told_in_seconds() -> None:
    found = view(models=[model(report(), queued=900, queued_bulk=100)])
    assert [20.0] == [each.drain_s for each in found.models]
    assert ["backlog: what waits takes 20 s"] == texts(found)


def test_refusals_and_failures_are_troubles_and_the_worse_come_first() -> None:
    found = view(worker(refused=seconds(3), failed=seconds(1)), batcher())
    assert ["1 of 24 requests failed in the last 10 s", "3 of 24 requests were refused in the last 10 s"] == texts(
        found
    )


def test_requests_that_are_too_long_are_a_trouble_where_they_are_more_than_a_few() -> None:
    assert [] == texts(view(worker(answered=seconds(99), too_long=seconds(2)), batcher()))
    assert ["3 of 100 requests in the last 10 s were too long (413)"] == texts(
        view(worker(answered=seconds(60)), worker("w2", answered=seconds(37), too_long=seconds(3)), batcher())
    )


def test_a_key_that_sends_nearly_all_is_named_while_requests_are_refused() -> None:
    flood = worker(by_key={1: 10, 2: 90})
    assert [] == texts(view(flood, batcher()))
    assert [
        "5 of 25 requests were refused in the last 10 s",
        "90% of all requests are of API key 2, while others are refused",
    ] == (texts(view(msgspec.structs.replace(flood, refused=seconds(5)), batcher())))
    assert 1 == len(texts(view(worker(by_key={2: 90}, refused=seconds(5)), batcher()))), "there is no other key"


def test_an_upstream_whose_calls_take_long_is_slow() -> None:
    slow = UpstreamActivity(URL, 20, 300, 0, [(1540.0, 20)])
    found = view(worker(), batcher(upstreams=[slow]))
    assert [("slow", "warn")] == [(each.state, each.level) for each in found.upstreams]
    assert ["upstream http://up:80 is slow: half of its calls take 1.4 s or more"] == texts(found)


@pytest.mark.parametrize(
    ("cpu_share", "cpu_wait", "words"),
    [
        (0.95, 0.05, "worker w1 uses 95% of a core: start more workers"),
        (0.75, 0.25, "worker w1 wants 100% of a core and gets 75%: start more workers"),
        (0.4, 0.55, "worker w1 wants 95% of a core and gets 40%: its machine is full"),
    ],
)
def test_a_worker_that_has_too_little_of_a_core_says_what_it_lacks(
    cpu_share: float, cpu_wait: float, words: str
) -> None:
    assert [words] == texts(view(worker(cpu_share=cpu_share, cpu_wait=cpu_wait), batcher()))


def test_redis_is_slow_if_every_worker_says_so_that_has_time_to_look() -> None:
    slow, fast = worker(redis_ms=70.0), worker("w2", redis_ms=2.0)
    assert [] == texts(view(slow, fast, batcher()))
    assert ["Redis takes 60 ms to answer"] == texts(view(slow, worker("w2", redis_ms=60.0), batcher()))
    busy = worker(redis_ms=70.0, cpu_share=1.0)
    assert ["worker w1 uses 100% of a core: start more workers"] == texts(view(busy, batcher()))


@pytest.mark.parametrize(("ahead_ms", "words"), [(3_600_000, "3,600 s behind"), (-6_000, "6 s ahead of")])
def test_a_clock_that_is_off_is_a_trouble(ahead_ms: int, words: str) -> None:
    found = view(worker(clock_ahead_ms=ahead_ms), worker("w2", clock_ahead_ms=900), batcher(clock_ahead_ms=ahead_ms))
    assert [f"clock of batcher b1 is {words} Redis's", f"clock of worker w1 is {words} Redis's"] == texts(found)


@pytest.mark.parametrize(("ahead_ms", "order"), [(3_600_000, "ahead of"), (-3_600_000, "behind")])
def test_where_all_clocks_differ_alike_it_is_that_of_redis(ahead_ms: int, order: str) -> None:
    found = view(worker(clock_ahead_ms=ahead_ms), batcher(clock_ahead_ms=ahead_ms + 40))
    assert [f"Redis's clock is 3,600 s {order} those of all 2 processes"] == texts(found)


def test_the_clock_that_differs_most_is_a_figure_of_its_own() -> None:
    assert 900 == view(worker(clock_ahead_ms=20), worker("w2", clock_ahead_ms=-900), batcher()).clock_off_ms
    assert 0 == view(models=[model()]).clock_off_ms
    silent = worker("w2", clock_ahead_ms=9_000, at=NOW_MS - 20_000)
    assert -5 == view(worker(clock_ahead_ms=5), silent, batcher()).clock_off_ms


def test_mostly_padding_is_a_trouble() -> None:
    padded = SeenBatch(NOW_MS, URL, "due", 8, 32, 8, 0.8, 12, 9.5, 0)
    assert ["80% of what upstreams compute is padding"] == texts(view(worker(), batcher(batches=[padded])))


def test_padding_counts_by_what_was_computed_and_not_by_texts() -> None:
    """A long text among short ones costs as much as hundreds of those that were called alone."""
    padded = SeenBatch(NOW_MS, URL, "due", 10, 32, 10, 0.9, 12, 9.5, 0, units=10_000)
    alone = SeenBatch(NOW_MS, URL, "idle", 1, 32, 1, 0.0, 0, 1.0, 0, units=10)
    assert 0.874 == view(worker(), batcher(batches=[padded, *[alone] * 30])).padding
    unpadded = padded.without_padding()
    assert (0.0, 1_000) == (unpadded.padding, unpadded.units)
    assert 0.818 == view(worker(), batcher(batches=[padded, unpadded])).padding


def test_the_last_batches_of_all_batchers_are_in_order() -> None:
    early, late = (SeenBatch(NOW_MS - ago_ms, URL, "idle", 1, 32, 1, 0.0, 0, 1.0, 0) for ago_ms in (50, 10))
    found = view(batcher(batches=[late]), batcher("b2", batches=[early]))
    assert [("b2", NOW_MS - 50), ("b1", NOW_MS - 10)] == [(each.batcher, each.ended_ms) for each in found.batches]


def test_an_activity_that_cannot_be_read_is_left_out() -> None:
    encoded = msgspec.json.encode(worker())
    assert [worker()] == decoded_activities([b"{", encoded, b'{"type":"of another version"}', b"\xff"])


LEARNT = LearntCalls(100, "padded", 0.004, 5e-6, 0.0, 0.9, 0.1, 2, 8192)


@pytest.mark.parametrize(
    ("tuning", "learnt", "words"),
    [
        (None, None, "as configured, up to 32 texts"),
        (TuningNow(1, 8192), None, "1 call at a time, up to 32 texts"),
        (TuningNow(2, 8192, 4, 8192), None, "2 calls at once, up to 32 texts; tries 4"),
        (TuningNow(2, 8192, 2, 4096), None, "2 calls at once, up to 32 texts; tries smaller calls"),
        (TuningNow(2, 8192, 2, None), None, "2 calls at once, up to 32 texts; tries larger calls"),
        (TuningNow(2, None), LEARNT, "2 calls at once, up to 32 texts; pads: 4 ms + 5 us/unit"),
    ],
)
def test_the_tuner_is_told_in_words(tuning: TuningNow | None, learnt: LearntCalls | None, words: str) -> None:
    assert words == tuner_words(learnt, tuning, 32)
