"""What the tuner says of itself to people."""

from autobatch_batcher.tuning.tuner import CALLS_FIRST, Sample, Tuner


def test_as_configured_nothing_is_tried() -> None:
    assert None is Tuner(4, is_fixed=True).now


def test_it_says_what_is_compared_with_the_best() -> None:
    tuner, now_s = Tuner(None), 0.0
    assert tuner.now is not None
    assert (CALLS_FIRST, None) == (tuner.now.calls, tuner.now.tried_calls)
    tried = set()
    for _ in range(2000):
        tuner.note(Sample(tuner.setting, 800, 800, now_s, now_s + 0.02, was_busy=True))
        now_s += 0.02
        tried.add(tuner.now.tried_calls)
    assert {1, 4} <= tried, "fewer and more were tried"
