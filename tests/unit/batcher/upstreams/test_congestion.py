"""What an upstream that says 429 may have in flight: less at once, more by and by."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.upstreams.congestion import ASKED_MAX_S, KNOWN_MAX_INPUTS, PAUSE_MAX_S, Congestion
from autobatch_batcher.upstreams.slots import Pool, Slot
from tests.unit.upstreams import make_upstream

NOW_S = 100.0


def refused(times: int, in_flight_inputs: int = 64) -> Congestion:
    congestion = Congestion()
    for number in range(times):
        congestion.refused(NOW_S + number, NOW_S + number + 0.5, in_flight_inputs, None)
    return congestion


def test_nothing_is_limited_before_something_was_refused() -> None:
    assert inf == Congestion().inputs_max


def test_a_refusal_halves_what_was_in_flight() -> None:
    assert [32.0, 16.0, 8.0] == [refused(times).inputs_max for times in (1, 2, 3)]


def test_calls_that_were_refused_together_are_one_refusal() -> None:
    """Or eight calls in flight would leave a two hundred and fiftieth of the window."""
    congestion = Congestion()
    for _ in range(8):
        congestion.refused(NOW_S, NOW_S + 0.1, 64, None)

    assert 32.0 == congestion.inputs_max


def test_one_input_may_always_be_sent() -> None:
    assert 1.0 == refused(50).inputs_max


@given(st.lists(st.integers(1, 32), min_size=1, max_size=200))
def test_answers_widen_the_window_and_never_narrow_it(calls: list[int]) -> None:
    congestion = refused(3)
    for inputs in calls:
        before = congestion.inputs_max
        congestion.answered(inputs)
        assert congestion.inputs_max > before


def test_a_limit_of_64_is_found_again_after_a_handful_of_windows() -> None:
    congestion, windows = refused(1, 32), 0
    while congestion.inputs_max < 64:
        congestion.answered(int(congestion.inputs_max))
        windows += 1

    assert windows <= 8


def test_a_limit_that_was_not_felt_for_long_is_none() -> None:
    congestion = refused(1)
    congestion.inputs_max = KNOWN_MAX_INPUTS
    congestion.answered(10_000)

    assert (inf, False) == (congestion.inputs_max, congestion.is_felt)


def test_the_upstreams_own_pause_is_kept_within_reason() -> None:
    for asked_s, pause_s in ((2.0, 2.0), (0.0, 0.05), (86_400.0, ASKED_MAX_S)):
        congestion = Congestion()
        congestion.refused(NOW_S, NOW_S, 32, asked_s)
        assert NOW_S + pause_s == congestion.pause_ends_s


def test_without_one_the_pauses_grow() -> None:
    assert [0.05, 0.1, 0.2, PAUSE_MAX_S] == [
        round(refused(times).pause_ends_s - (NOW_S + times - 0.5), 6) for times in (1, 2, 3, 20)
    ]


def test_nothing_is_called_in_a_pause_and_the_loop_knows_when_it_ends() -> None:
    paused, well = make_upstream("paused"), make_upstream("well")
    paused.congestion.refused(NOW_S, NOW_S, 32, 3.0)

    assert Pool([paused, well]).free(NOW_S) is well
    assert Pool([paused]).free(NOW_S + 2.9) is None
    assert Pool([paused]).free(NOW_S + 3.0) is paused
    assert NOW_S + 3.0 == Pool([paused]).next_free_s(NOW_S)


def test_the_next_call_is_no_larger_than_the_window() -> None:
    upstream = make_upstream("a")
    upstream.congestion.refused(NOW_S, NOW_S, 20, None)

    assert 10 == Pool([upstream]).limits_now(upstream).inputs_max
    Slot(upstream, 8, 8, was_busy=False)
    assert 2 == Pool([upstream]).limits_now(upstream).inputs_max
