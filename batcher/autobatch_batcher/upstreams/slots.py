"""Which upstream may be called now: slots over all replicas."""

from dataclasses import replace
from random import randrange

from autobatch_batcher.upstreams.limits import Limits
from autobatch_batcher.upstreams.replica import Replica


class Slot:
    """Permission for one call, taken from the moment a batch is formed until its answer is in.

    Args:
        upstream: The replica to call.
        inputs: Number of inputs in the call.
        units: Its inputs times the length of the longest.
        was_busy: Whether there is other work for the upstream.
    """

    def __init__(self, upstream: Replica, inputs: int, units: int, *, was_busy: bool) -> None:
        self.upstream = upstream
        self.setting = upstream.tuner.setting
        self.was_busy = was_busy
        self._is_held = True
        self._inputs = inputs
        self._work = inputs + units
        self._take(upstream, 1)

    def move_to(self, upstream: Replica) -> None:
        """Go on with another replica."""
        self.take_again(upstream)

    def release(self) -> None:
        """Give it back, unless that was done."""
        if self._is_held:
            self._is_held = False
            self._take(self.upstream, -1)

    def take_again(self, upstream: Replica) -> None:
        """Have one once more, of this upstream, even above its limit."""
        self.release()
        self._is_held = True
        self._take(upstream, 1)
        self.upstream = upstream
        self.setting = upstream.tuner.setting

    def _take(self, upstream: Replica, sign: int) -> None:
        load = upstream.load
        load.calls += sign
        load.inputs += sign * self._inputs
        load.work += sign * self._work


class Pool:
    """All replicas. A call goes to the one with the least outstanding work."""

    def __init__(self, upstreams: list[Replica]) -> None:
        self.upstreams = upstreams
        self._turns = randrange(len(upstreams))  # noqa: S311 - no secret; batchers do not know of each other

    @property
    def calls_in_flight(self) -> int:
        """Calls in flight to all replicas."""
        return sum([upstream.load.calls for upstream in self.upstreams])

    @property
    def slots_free(self) -> int:
        """Calls that could be made now."""
        return sum([max(u.tuner.setting.calls - u.load.calls, 0) for u in self._usable()])

    @property
    def may_include_soon(self) -> bool:
        """Whether an upstream works, or was not asked yet: it may be found to serve the namespace's model."""
        return any(upstream.is_healthy or not upstream.standing.is_tried for upstream in self.upstreams)

    def free(self, now_s: float) -> Replica | None:
        """Return where a call may go now; None while every slot is taken.

        One that was taken out gets its trial first. While some are well the others are left alone; when none is, any
        is better than none. One of another model is never called.
        """
        for upstream in self.upstreams:
            if (
                upstream.is_included
                and not upstream.breaker.is_closed
                and upstream.breaker.may_try(now_s)
                and upstream.load.calls == 0
            ):
                return upstream
        return _least_busy(self._in_turn(self._usable()), 1)

    def other_than(self, slot: Slot, inputs: int) -> Replica:
        """Return where to try again after a failure: another good one with room, or the same."""
        others = [u for u in self.upstreams if u is not slot.upstream and _is_well(u)]
        return _least_busy(others, inputs) or slot.upstream

    def _in_turn(self, upstreams: list[Replica]) -> list[Replica]:
        """The same ones, beginning with another one each time: of equals the first is taken."""
        self._turns += 1
        first = self._turns % max(1, len(upstreams))
        return upstreams[first:] + upstreams[:first]

    def _usable(self) -> list[Replica]:
        """The well ones; else those of the model, else those that have not said yet which they serve."""
        included = [upstream for upstream in self.upstreams if upstream.is_included]
        well = [upstream for upstream in included if _is_well(upstream)]
        return well or included or [upstream for upstream in self.upstreams if upstream.standing.served is None]


def _is_well(upstream: Replica) -> bool:
    return upstream.is_healthy and upstream.breaker.is_closed and upstream.is_included


def _least_busy(upstreams: list[Replica], inputs: int) -> Replica | None:
    with_room = [upstream for upstream in upstreams if _has_room(upstream, inputs)]
    return min(with_room, key=lambda u: u.load.work, default=None)


def _has_room(upstream: Replica, inputs: int) -> bool:
    return upstream.load.calls < upstream.tuner.setting.calls and _inputs_room(upstream) >= inputs


def limits_now(upstream: Replica) -> Limits:
    """The limits of the next call, given what is in flight already."""
    limits, room = upstream.limits, _inputs_room(upstream)
    return limits if limits.inputs_max <= room else replace(limits, inputs_max=room)


def _inputs_room(upstream: Replica) -> int:
    return upstream.limits.in_flight_inputs_max - upstream.load.inputs
