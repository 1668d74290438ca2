"""What a connection costs a worker while it waits."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.server.connections import Connection
from autobatch_proxy.server.shortcut import FewMessages


def test_a_connection_has_no_dictionary() -> None:
    """5,000 of them waited with 480 bytes each for names that a slot has as well: one class without slots brings it back."""
    assert Connection.__dictoffset__ == 0


@given(st.lists(st.none() | st.integers()))
def test_few_messages_are_what_a_deque_is(steps: list[int | None]) -> None:
    """They stand in for aiohttp's own: a number is a message that comes, None takes the first one."""
    ours, theirs = FewMessages(), deque[int]()
    for step in steps:
        if step is not None:
            ours.append(step)
            theirs.append(step)
        elif theirs:
            assert ours.popleft() == theirs.popleft()
        assert list(ours) == list(theirs)
        assert bool(ours) == bool(theirs)
