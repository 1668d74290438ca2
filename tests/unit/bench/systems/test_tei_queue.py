"""The fake that queues as TEI does: first come first served, eight at a time, padded to the longest."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from autobatch_bench.systems.tei_queue import (
    FIXED_S,
    PASS_INPUTS_MAX,
    PER_CHARACTER_S,
    QueuedCall,
    QueuedInput,
    finish_pass,
    pass_s,
    take_pass,
)


def queue_of(calls: list[list[int]], answered: list[int]) -> deque[QueuedInput]:
    """Return the queue after these calls, each a list of its inputs' lengths; `answered` gets their places."""
    queue: deque[QueuedInput] = deque()
    for place, lengths in enumerate(calls):
        call = QueuedCall(len(lengths), lambda place=place: answered.append(place))  # type: ignore[misc]
        queue.extend(QueuedInput(call, length) for length in lengths)
    return queue


def test_a_pass_takes_the_head_across_calls_whatever_their_lengths() -> None:
    queue = queue_of([[10] * 3, [900], [10] * 6], [])
    assert [item.characters for item in take_pass(queue)] == [10, 10, 10, 900, 10, 10, 10, 10]
    assert len(queue) == 2


def test_everybody_in_a_pass_costs_as_much_as_the_longest() -> None:
    items = list(queue_of([[10], [900]], []))
    assert pass_s(items) == FIXED_S + PER_CHARACTER_S * 2 * 900


def test_a_call_is_answered_when_its_last_input_is_done() -> None:
    answered: list[int] = []
    queue = queue_of([[5] * (PASS_INPUTS_MAX + 1), [5]], answered)
    assert finish_pass(take_pass(queue)) == []
    for call in finish_pass(take_pass(queue)):
        call.finished()
    assert answered == [0, 1]


@given(st.lists(st.lists(st.integers(1, 2000), min_size=1, max_size=32), max_size=20))
def test_every_call_is_answered_once_and_no_pass_is_too_large(calls: list[list[int]]) -> None:
    answered: list[int] = []
    queue = queue_of(calls, answered)
    while queue:
        items = take_pass(queue)
        assert 1 <= len(items) <= PASS_INPUTS_MAX
        for call in finish_pass(items):
            call.finished()
    assert answered == list(range(len(calls)))
