"""Which upstreams are so slow that what waits is answered sooner by others, though these are busy. Pure; the clock is passed in.

A call to a replica that takes twenty times as long makes its clients wait twenty times as long; where another one would have answered all
that waits before that call ends, nobody gains by it. So it is passed over until more waits than the others can do by then.

1. All that waits, at another one behind what that has in flight, is compared with the next call here.
2. One that was never called is not passed over. One that is not well known, or owes a late answer, is no reason to pass over another.
3. Now and then a single job goes to one that is passed over: else nobody would notice that it is as fast as the others by now. Once it has
   taken far less than was expected, it is passed over no more.
"""

from collections.abc import Sequence
from math import ceil, inf

from autobatch_batcher.upstreams.replica import Replica

SLOWER_TIMES = 1.5  # what a call takes is known no better
# Between two looks: what 99 of 100 requests take must not depend on them, nor, where few clients ask, what is done in a second.
LOOK_EVERY_CALLS, LOOK_EVERY_TIMES, LOOK_EVERY_MIN_S = 256, 64, 1.0


class PassingOver:
    """The upstreams that are passed over now, and when each was called last.

    Attributes:
        now: They are not called; the others may be.
        looked_at: The next call to them is only made to see how long it takes: one job is enough for that.
    """

    def __init__(self) -> None:
        self.now: frozenset[Replica] = frozenset()
        self.looked_at: frozenset[Replica] = frozenset()
        self._last_looks: dict[Replica, tuple[int, float]] = {}  # calls to all that had ended then, and the time

    def judge(self, upstreams: Sequence[Replica], waiting_inputs: int, now_s: float) -> None:
        """Decide anew.

        Args:
            upstreams: Those that may be called, now or as their calls end.
            waiting_inputs: Inputs that wait, as far as they were seen.
            now_s: The time now.
        """
        slow = slower_than_others(upstreams, waiting_inputs)
        if not slow and not self._last_looks:
            return
        calls = sum([each.failures.calls for each in upstreams])
        self._last_looks = {
            each: (calls, now_s) if each.load.calls else self._last_looks.get(each, (calls, now_s)) for each in slow
        }
        self.looked_at = frozenset([each for each in slow if self._is_due(each, calls, now_s)])
        self.now = frozenset(slow) - self.looked_at

    def _is_due(self, upstream: Replica, calls: int, now_s: float) -> bool:
        calls_then, then_s = self._last_looks[upstream]
        call_s = _seconds(upstream, 1, upstream.tuner.usual_length)
        pause_s = max(LOOK_EVERY_TIMES * call_s, LOOK_EVERY_MIN_S)
        return calls - calls_then >= LOOK_EVERY_CALLS and now_s - then_s >= pause_s


def slower_than_others(upstreams: Sequence[Replica], waiting_inputs: int) -> list[Replica]:
    """Return those of which a call that is made now would end after others have answered all that waits.

    Args:
        upstreams: They may be called now, or as their calls end.
        waiting_inputs: Inputs that wait, as far as they were seen.
    """
    known = [each for each in upstreams if _is_known(each)]
    length = max([each.tuner.usual_length for each in known], default=0.0)
    lone_s = {each: _seconds(each, 1, length) for each in upstreams if each.tuner.usual_length}
    fastest_s = min([lone_s[each] for each in known], default=inf)
    slow = [each for each, each_s in lone_s.items() if each_s > SLOWER_TIMES * fastest_s and not each.tuner.is_faster]
    return [
        each
        for each in slow
        if _are_sooner(
            [other for other in known if SLOWER_TIMES * lone_s[other] < lone_s[each]], each, waiting_inputs, length
        )
    ]


def _are_sooner(others: Sequence[Replica], slow: Replica, waiting_inputs: int, length: float) -> bool:
    """Whether one of these has answered its share of what waits before `slow` has answered a call."""
    inputs = max(1, waiting_inputs)
    here_s = _ahead_s(slow) + _seconds(slow, min(inputs, _call_inputs(slow, length)), length)
    share = ceil(inputs / len(others))
    return any(SLOWER_TIMES * _answered_s(each, share, length) < here_s for each in others)


def _is_known(upstream: Replica) -> bool:
    return upstream.tuner.is_learnt and upstream.tuner.usual_length > 0 and upstream.breaker.is_quiet


def _answered_s(upstream: Replica, inputs: int, length: float) -> float:
    """Return the seconds until it has answered so many inputs of this length more."""
    calls = upstream.tuner.setting.calls if upstream.tuner.is_known_side_by_side else 1
    call_inputs = _call_inputs(upstream, length)
    rounds = ceil(inputs / (call_inputs * calls))
    last_inputs = ceil((inputs - (rounds - 1) * call_inputs * calls) / calls)
    full_s = (rounds - 1) * _seconds(upstream, call_inputs, length)
    return _ahead_s(upstream) + full_s + _seconds(upstream, last_inputs, length)


def _ahead_s(upstream: Replica) -> float:
    """Return the seconds until it begins with a call that is made now, at most."""
    load, tuner = upstream.load, upstream.tuner
    if not tuner.is_known_side_by_side:
        return load.expected_s
    return load.expected_s / load.calls if load.calls >= tuner.setting.calls else 0.0


def _call_inputs(upstream: Replica, length: float) -> int:
    """Return how many inputs of this length a call to it has at most."""
    units_max, inputs_max = upstream.tuner.shape.units_max, upstream.limits.inputs_max
    return min(inputs_max, max(1, int(units_max / length))) if units_max else inputs_max


def _seconds(upstream: Replica, inputs: int, length: float) -> float:
    """Return what a call of so many inputs of this length costs there."""
    cost, units = upstream.tuner.cost, int(inputs * length)
    return cost.seconds(cost.law.units(units, units, inputs))
