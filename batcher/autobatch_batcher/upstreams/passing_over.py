"""Which upstreams are so slow that what waits is answered sooner by others, though these are busy. Pure; the clock is passed in.

A call to a replica that takes twenty times as long makes its clients wait twenty times as long; where another one would have answered all
that waits before that call ends, nobody gains by it. So it is passed over until more waits than the others can do by then.

1. All that waits, at another one behind what that has in flight, is compared with the next call here.
2. One that was never called is not passed over. One that is not well known, or owes a late answer, is no reason to pass over another.
3. Now and then a single job goes to one that is passed over: else nobody would notice that it is as fast as the others by now. Once it has
   taken far less than was expected, it is passed over no more. Where much is asked, soon at first, as it may have paused only, and less often with each look.
"""

from collections.abc import Sequence
from math import ceil, inf

import msgspec

from autobatch_batcher.upstreams.replica import Replica

SLOWER_TIMES = 1.5  # what a call takes is known no better
# Between two looks in the end: what 99 of 100 requests take must not depend on them, nor, where few clients ask, what is done in a second.
LOOK_EVERY_CALLS, LOOK_EVERY_TIMES, LOOK_EVERY_MIN_S = 256, 64, 1.0
LOOKS_UNTIL_THEN = (
    6  # each pause is twice the one before, where so much is asked that hardly any of it waits for a look
)
FEW_INPUTS = 4


class _Looks(msgspec.Struct, frozen=True):
    """When one that is slower than others was called last.

    Attributes:
        calls: Calls to all that had ended then.
        at_s: The time.
        looks: How often it was called since it is slower, only to see how long it takes.
    """

    calls: int
    at_s: float
    looks: int = 0


class PassingOver:
    """The upstreams that are passed over now, and when each was called last.

    Attributes:
        now: They are not called; the others may be.
        looked_at: The next call to them is only made to see how long it takes: one job is enough for that.
    """

    def __init__(self) -> None:
        self.now: frozenset[Replica] = frozenset()
        self.looked_at: frozenset[Replica] = frozenset()
        self._looks: dict[Replica, _Looks] = {}

    def judge(self, upstreams: Sequence[Replica], waiting_inputs: int, now_s: float) -> None:
        """Decide anew.

        Args:
            upstreams: Those that may be called, now or as their calls end.
            waiting_inputs: Inputs that wait, as far as they were seen.
            now_s: The time now.
        """
        slower = slower_than_others(upstreams)
        if not slower and not self._looks:
            return
        calls = sum([each.failures.calls for each in upstreams])
        self._looks = {each: self._looks_at(each, calls, now_s) for each in slower}
        slow = [each for each, faster in slower.items() if _are_sooner(faster, each, waiting_inputs)]
        inputs = waiting_inputs + sum([each.load.inputs for each in upstreams])
        self.looked_at = frozenset([each for each in slow if self._is_due(each, inputs, calls, now_s)])
        self.now = frozenset(slow) - self.looked_at

    def _looks_at(self, upstream: Replica, calls: int, now_s: float) -> _Looks:
        last = self._looks.get(upstream)
        if last is not None and not upstream.load.calls:
            return last
        looks = last.looks if last is not None else 0
        return _Looks(calls, now_s, looks + (upstream in self.looked_at))

    def _is_due(self, upstream: Replica, inputs: int, calls: int, now_s: float) -> bool:
        last = self._looks[upstream]
        share = max(0.5 ** max(0, LOOKS_UNTIL_THEN - last.looks), min(1.0, FEW_INPUTS / max(inputs, 1)))
        pause_s = max(LOOK_EVERY_TIMES * share * _seconds(upstream, 1, upstream.tuner.usual_length), LOOK_EVERY_MIN_S)
        return calls - last.calls >= LOOK_EVERY_CALLS * share and now_s - last.at_s >= pause_s


def slower_than_others(upstreams: Sequence[Replica]) -> dict[Replica, list[Replica]]:
    """Return those of which a lone job takes clearly longer than at others that are well known, with these.

    Args:
        upstreams: They may be called now, or as their calls end.
    """
    known = [each for each in upstreams if _is_known(each)]
    length = _length(known)
    lone_s = {each: _seconds(each, 1, length) for each in upstreams if each.tuner.usual_length}
    fastest_s = min([lone_s[each] for each in known], default=inf)
    slower = [each for each, each_s in lone_s.items() if each_s > SLOWER_TIMES * fastest_s and not each.tuner.is_faster]
    return {each: [other for other in known if SLOWER_TIMES * lone_s[other] < lone_s[each]] for each in slower}


def _length(upstreams: Sequence[Replica]) -> float:
    return max([each.tuner.usual_length for each in upstreams], default=0.0)


def _are_sooner(others: Sequence[Replica], slow: Replica, waiting_inputs: int) -> bool:
    """Whether one of these has answered its share of what waits before `slow` has answered a call."""
    inputs, length = max(1, waiting_inputs), _length(others)
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
