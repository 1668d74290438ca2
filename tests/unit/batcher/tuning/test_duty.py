"""One batcher calls an upstream, and the others follow: each finds out by the same reports."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from autobatch_batcher.tuning.duty import CPU_MAX, LATE_MS, ON_DUTY, Duty, calls_another, duty_of, lost_ms, take_duties
from autobatch_shared.contract.status import BatcherStatus, FailedCalls, LearntCalls, RememberedCalls, UpstreamStatus
from tests.unit.upstreams import make_upstream

NOW_MS = 1_790_000_000_000
URL = "http://a"
MISSED_MS = 1000 + LATE_MS  # of one that reports once a second
LEARNT = LearntCalls(100, "summed", 0.02, 1e-6, 0.0, 0.9, 0.1, 1, 4096)
KNOWS_LESS, KNOWS_MORE = (replace(LEARNT, calls_seen=calls_seen) for calls_seen in (50, 200))


def seen(
    url: str = URL, *, may_be_called: bool = True, learnt: LearntCalls | None = None, model: str = ""
) -> UpstreamStatus:
    return UpstreamStatus(url, True, 32, 0, counts_for=model, may_be_called=may_be_called, learnt=learnt)


def report(
    name: str, *upstreams: UpstreamStatus, at: int = NOW_MS, cpu_share: float = 0.0, is_stopping: bool = False
) -> BatcherStatus:
    return BatcherStatus(at, 0, list(upstreams or [seen()]), id=name, cpu_share=cpu_share, is_stopping=is_stopping)


def on_duty(*reports: BatcherStatus, url: str = URL) -> list[str]:
    return [each.id for each in reports if duty_of(each.id, url, reports, NOW_MS).is_on]


def test_one_of_several_calls_with_all_permits() -> None:
    reports = [report("c"), report("a"), report("b")]

    assert ["a"] == on_duty(*reports)
    assert {1} == {duty_of(each.id, URL, reports, NOW_MS).sharers for each in reports}


@pytest.mark.parametrize(
    "first",
    [
        report("a", is_stopping=True),
        report("a", seen(may_be_called=False)),
        report("a", at=NOW_MS - MISSED_MS),
        report("a", seen("http://other")),
    ],
    ids=["it stops", "it finds the upstream unwell", "it is silent", "it has another upstream"],
)
def test_the_next_takes_over(first: BatcherStatus) -> None:
    assert "b" in on_duty(first, report("b"), report("c"))
    assert "c" not in on_duty(first, report("b"), report("c"))


def test_where_no_batcher_finds_it_well_all_may_try() -> None:
    assert ON_DUTY == duty_of(
        "a", URL, [report("a", seen(may_be_called=False)), report("b", seen(may_be_called=False))], NOW_MS
    )
    assert ON_DUTY == duty_of("a", URL, [], NOW_MS)


def lost(last_ms: int) -> UpstreamStatus:
    return replace(seen(may_be_called=False), failed=FailedCalls(5, {"HTTP 500": 5}, "HTTP 500", last_ms))


def test_an_upstream_is_lost_since_the_last_call_failed_of_another_batcher_that_calls_it_no_more() -> None:
    reports = [report("a"), report("b", lost(700)), report("c", lost(400), at=NOW_MS - 200)]

    assert 600 == lost_ms("a", URL, reports, NOW_MS)
    assert 700 == lost_ms("c", URL, reports, NOW_MS)


@pytest.mark.parametrize(
    "other",
    [
        report("b", replace(lost(700), may_be_called=True)),
        report("b", seen(may_be_called=False)),
        report("b", lost(700), at=NOW_MS - MISSED_MS),
        report("b", replace(lost(700), url="http://other")),
        report("a", lost(700)),
    ],
    ids=["it goes on", "it has called nothing", "it is silent", "another upstream", "it is its own"],
)
def test_it_is_not_where_no_other_batcher_knows_that(other: BatcherStatus) -> None:
    assert inf == lost_ms("a", URL, [other], NOW_MS)


def test_one_calls_all_upstreams_and_so_knows_which_of_them_answers_first() -> None:
    both = seen("http://a"), seen("http://b")
    reports = [report("1", *both, cpu_share=CPU_MAX), report("2", *both)]

    assert ["1"] == on_duty(*reports, url="http://a") == on_duty(*reports, url="http://b")


@pytest.mark.parametrize(
    ("callers", "batchers", "of_a", "of_b"),
    [(2, 2, "1", "2"), (2, 4, "1", "2"), (3, 4, "12", "31"), (4, 4, "12", "34")],
)
def test_where_one_is_not_enough_the_upstreams_are_divided(callers: int, batchers: int, of_a: str, of_b: str) -> None:
    both = seen("http://a"), seen("http://b")
    cpu_share = (callers - 0.5) * CPU_MAX / batchers
    reports = [report(f"{number}", *both, cpu_share=cpu_share) for number in range(1, batchers + 1)]

    assert sorted(of_a) == on_duty(*reports, url="http://a")
    assert sorted(of_b) == on_duty(*reports, url="http://b")


@pytest.mark.parametrize(("cpu_share", "needed"), [(CPU_MAX, 1), (CPU_MAX + 0.01, 2), (1.9 * CPU_MAX, 2), (9.0, 3)])
def test_as_many_call_as_their_processors_need(cpu_share: float, needed: int) -> None:
    reports = [report("a", cpu_share=cpu_share), report("b"), report("c")]

    assert ["a", "b", "c"][:needed] == on_duty(*reports)
    assert needed == duty_of("a", URL, reports, NOW_MS).sharers


def test_the_others_follow_the_first_which_learns_itself() -> None:
    reports = [report("a", seen(learnt=KNOWS_LESS)), report("b", seen(learnt=KNOWS_MORE)), report("c")]

    assert [None, KNOWS_LESS, KNOWS_LESS] == [duty_of(name, URL, reports, NOW_MS).learnt for name in "abc"]


def test_one_that_has_just_come_begins_with_what_the_others_know() -> None:
    """Also one whose batcher has died: its last report is still there."""
    dead = report("b", seen(learnt=KNOWS_MORE), at=NOW_MS - 10_000)

    assert KNOWS_MORE == duty_of("a", URL, [report("a"), dead, report("c", seen(learnt=KNOWS_LESS))], NOW_MS).learnt


def test_what_was_learnt_of_another_model_counts_for_nothing() -> None:
    reports = [report("a", seen(model="new")), report("b", seen(model="old", learnt=LEARNT))]

    assert duty_of("a", URL, reports, NOW_MS).learnt is None


REMEMBERED = RememberedCalls(NOW_MS, "model", KNOWS_MORE)


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        (seen(model="model"), [], Duty(sharers=1, learnt=KNOWS_MORE, is_remembered=True)),
        (seen(model="another"), [], Duty(sharers=1)),
        (seen(model="model", learnt=KNOWS_LESS), [], Duty(sharers=1)),
        (
            seen(model="model"),
            [report("b", seen(model="model", learnt=KNOWS_LESS))],
            Duty(sharers=1, learnt=KNOWS_LESS),
        ),
        (seen(model="model", may_be_called=False), [], ON_DUTY),
    ],
    ids=[
        "nothing is known",
        "another model",
        "it has learnt itself",
        "another batcher knows it",
        "it may not be called",
    ],
)
def test_what_redis_has_kept_is_used_where_no_batcher_knows_anything(
    own: UpstreamStatus, others: list[BatcherStatus], expected: Duty
) -> None:
    assert expected == duty_of("a", URL, [report("a", own), *others], NOW_MS, REMEMBERED)


def test_one_that_stands_by_begins_with_nothing_that_redis_has_kept() -> None:
    reports = [report("a", seen(model="model")), report("b", seen(model="model"))]

    assert Duty(is_on=False, sharers=1) == duty_of("b", URL, reports, NOW_MS, REMEMBERED)


@given(
    st.lists(
        st.tuples(st.booleans(), st.booleans(), st.integers(0, 2 * MISSED_MS), st.floats(0, 4)), min_size=1, max_size=6
    )
)
def test_what_some_batcher_finds_well_is_called_by_one_of_those(drawn: list[tuple[bool, bool, int, float]]) -> None:
    reports = [
        report(
            str(number), seen(may_be_called=is_well), at=NOW_MS - age_ms, cpu_share=cpu_share, is_stopping=is_stopping
        )
        for number, (is_well, is_stopping, age_ms, cpu_share) in enumerate(drawn)
    ]
    ready = {
        each.id
        for each in reports
        if each.upstreams[0].may_be_called and not each.is_stopping and NOW_MS - each.at < MISSED_MS
    }

    assert not ready or ready & set(on_duty(*reports))


def test_an_upstream_takes_its_duty_and_what_was_learnt() -> None:
    upstream = make_upstream("a")
    reports = [report("1", seen(learnt=LEARNT)), report("2")]

    assert take_duties([upstream], "2", reports, NOW_MS)
    assert not take_duties([upstream], "2", reports, NOW_MS)
    assert Duty(is_on=False, sharers=1, learnt=LEARNT) == upstream.duty
    assert LEARNT == upstream.tuner.learnt


def test_who_takes_over_leaves_the_permits_that_the_others_have_still() -> None:
    first = report("a", replace(seen(), permits=12), is_stopping=True)

    assert Duty(is_on=True, sharers=1, taken=12) == duty_of(
        "b", URL, [first, report("b", replace(seen(), permits=500))], NOW_MS
    )


def test_of_one_that_was_missed_only_what_it_had_in_flight_is_taken() -> None:
    dead = report("a", replace(seen(), permits=500, in_flight=12), at=NOW_MS - MISSED_MS)

    assert Duty(is_on=True, sharers=1, taken=12) == duty_of("b", URL, [dead, report("b")], NOW_MS)


def test_one_that_reports_more_often_is_missed_sooner() -> None:
    first = replace(report("a", at=NOW_MS - MISSED_MS + 100), next_ms=250)

    assert ["b"] == [each for each in ("a", "b") if duty_of(each, URL, [first, report("b")], NOW_MS).is_on]


def test_one_that_does_not_reach_the_upstream_takes_no_permits_where_others_do() -> None:
    reports = [report("a", seen(may_be_called=False)), report("b")]

    assert not duty_of("a", URL, reports, NOW_MS).is_on


@pytest.mark.parametrize(
    ("other", "may_answer"),
    [
        (report("b", seen("http://other")), True),
        (report("b", seen("http://other", may_be_called=False)), False),
        (report("b", seen("http://other"), is_stopping=True), False),
        (report("b", seen("http://other"), at=NOW_MS - MISSED_MS), False),
        (report("b"), False),
    ],
    ids=["it is well", "it is not well", "its batcher stops", "its batcher is silent", "it is ours"],
)
def test_another_batcher_may_answer_if_it_has_another_upstream(other: BatcherStatus, *, may_answer: bool) -> None:
    own = report("a", seen(may_be_called=False))

    assert calls_another("a", {URL}, [own, other], NOW_MS) is may_answer
    assert not calls_another("b", {"http://other"}, [other], NOW_MS)
