"""A simulated upstream does one thing after the other, as its law says."""

import heapq
from collections.abc import Callable
from itertools import count
from random import Random

import pytest

from autobatch_batcher.simulating.clients import RunHistory
from autobatch_batcher.simulating.law import law_of
from autobatch_batcher.simulating.simulated_upstream import REFUSAL_S, SimulatedUpstream
from autobatch_shared.contract.cards import UNKNOWN_MAX


class UpstreamScene:
    """Calls at given times, and when each of them was answered."""

    def __init__(self, text: str) -> None:
        self.now_s = 0.0
        self.ended: dict[str, tuple[float, bool]] = {}
        self.history = RunHistory()
        self._order = count()
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._upstream = SimulatedUpstream(law_of(text), Random(1), self._at, lambda: self.now_s, self.history)

    def call(self, at_s: float, name: str, *lengths: int) -> None:
        self._at(at_s, lambda: self._upstream.call(lengths, lambda is_good: self._end(name, is_good=is_good)))

    def run(self) -> dict[str, tuple[float, bool]]:
        while self._events:
            self.now_s, _, happen = heapq.heappop(self._events)
            happen()
        return self.ended

    def _at(self, when_s: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when_s, next(self._order), happen))

    def _end(self, name: str, *, is_good: bool) -> None:
        self.ended[name] = round(self.now_s, 9), is_good


def test_calls_wait_for_each_other() -> None:
    scene = UpstreamScene("padded:fixed_ms=10")
    for name in "abc":
        scene.call(0.0, name, 1)
    assert {"a": (0.01, True), "b": (0.02, True), "c": (0.03, True)} == scene.run()


def test_parallel_calls_do_not() -> None:
    scene = UpstreamScene("padded:fixed_ms=10,parallel=2")
    for name in "abc":
        scene.call(0.0, name, 1)
    assert {"a": (0.01, True), "b": (0.01, True), "c": (0.02, True)} == scene.run()


def test_a_server_that_batches_by_itself_fills_passes_from_several_calls() -> None:
    """A call is answered when its last input was in a pass; the first pass has what was there when it began."""
    scene = UpstreamScene("padded:fixed_ms=10,pass_inputs_max=2")
    scene.call(0.0, "a", 1)
    scene.call(0.001, "b", 1, 1, 1)
    scene.call(0.002, "c", 1)
    assert {"a": (0.01, True), "b": (0.03, True), "c": (0.03, True)} == scene.run()


def test_what_comes_later_is_not_in_a_pass_that_was_made_up_ahead() -> None:
    """As TEI does: `b` is made up as it comes, alone, and `c` and `d` share the pass after it."""
    scene = UpstreamScene("padded:fixed_ms=10,pass_inputs_max=4,passes_ahead=1")
    for at_s, name in enumerate("abcd"):
        scene.call(at_s / 1000, name, 1)
    assert {"a": (0.01, True), "b": (0.02, True), "c": (0.03, True), "d": (0.03, True)} == scene.run()


def test_what_each_call_costs_is_in_the_pass_in_which_it_begins() -> None:
    scene = UpstreamScene("padded:fixed_ms=10,per_call_ms=1,pass_inputs_max=2")
    scene.call(0.0, "a", 1, 1, 1)
    scene.call(0.001, "b", 1)
    assert {"a": (0.011 + 0.011, True), "b": (0.022, True)} == scene.run()


def test_a_lone_call_takes_what_its_passes_do() -> None:
    text = "padded:fixed_ms=1,per_unit_us=10,pass_inputs_max=8,passes_ahead=1,first_inputs=3"
    lengths = tuple(range(1, 24))
    scene, law = UpstreamScene(text), law_of(text)
    scene.call(0.0, "a", *lengths)
    assert {
        "a": (round(sum(law.pass_s(each, 0, 0.0, Random(1)) for each in law.passes(lengths)), 9), True)
    } == scene.run()


@pytest.mark.parametrize(("words", "said"), [("", 8), (",said_inputs=0", UNKNOWN_MAX)])
def test_it_says_how_many_inputs_a_pass_has_unless_its_law_has_it_otherwise(words: str, said: int) -> None:
    law = law_of(f"padded:fixed_ms=1,pass_inputs_max=8{words}")

    assert said == SimulatedUpstream(law, Random(1), lambda *_: None, lambda: 0.0, RunHistory()).card.pass_inputs_max


def test_what_is_above_the_limit_is_refused_at_once_and_counts_as_no_call() -> None:
    scene = UpstreamScene("padded:fixed_ms=10,in_flight_inputs_max=3")
    scene.call(0.0, "a", 1, 1)
    scene.call(0.0, "b", 1, 1)
    scene.call(0.011, "c", 1, 1)
    assert {"b": (REFUSAL_S, False), "a": (0.01, True), "c": (0.021, True)} == scene.run()
    assert [2, 2] == [call.inputs for call in scene.history.calls]
