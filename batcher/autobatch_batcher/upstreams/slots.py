"""Which upstream may be called now: slots over all replicas.

An upstream's limit of inputs in flight is that of all batchers together, and each keeps to its share. A call that needs more
room than is left waits for it; one that is larger than the share goes when the upstream has no other call of this batcher.
"""

from dataclasses import replace
from math import ceil
from random import randrange

from autobatch_batcher.upstreams.limits import Limits
from autobatch_batcher.upstreams.replica import Replica
from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.contract.status import UpstreamStatus


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
    """All replicas. A call goes to the one with the least outstanding work.

    Attributes:
        batchers: Number of batchers that share the upstreams, this one included.
    """

    def __init__(self, upstreams: list[Replica]) -> None:
        self.upstreams = upstreams
        self.batchers = 1
        self._turns = randrange(len(upstreams))  # noqa: S311 - no secret; batchers do not know of each other

    @property
    def calls_in_flight(self) -> int:
        """Calls in flight to all replicas."""
        return sum([upstream.load.calls for upstream in self.upstreams])

    @property
    def slots_free(self) -> int:
        """Calls that could be made now."""
        return sum([self._slots_free(upstream) for upstream in self._usable()])

    def statuses(self) -> list[UpstreamStatus]:
        """Return what to publish of each: workers cut requests into jobs that a call within our share can carry."""
        return [upstream.status(min(upstream.limits.inputs_max, self._share(upstream))) for upstream in self.upstreams]

    def free(self, now_s: float, inputs: int = 1) -> Replica | None:
        """Return where a call of so many inputs may go now; None while every slot is taken.

        One that was taken out gets its trial first. While some are well the others are left alone; when none is, any
        is better than none.
        """
        for upstream in self.upstreams:
            if not upstream.breaker.is_closed and upstream.breaker.may_try(now_s) and upstream.load.calls == 0:
                return upstream
        return self._least_busy(self._in_turn(self._usable()), inputs)

    def other_than(self, slot: Slot, inputs: int) -> Replica:
        """Return where to try again after a failure: another good one with room, or the same."""
        others = [u for u in self.upstreams if u is not slot.upstream and _is_well(u) and self._left(u) >= inputs]
        return self._least_busy(others, inputs) or slot.upstream

    def limits_now(self, upstream: Replica) -> Limits:
        """Return the limits of the upstream's next call, given what is in flight already."""
        limits, left = upstream.limits, self._left(upstream)
        return limits if limits.inputs_max <= left else replace(limits, inputs_max=left)

    def room(self, upstream: Replica) -> int:
        """Return the most inputs that a job may have to be sent now: any number while no call is in flight."""
        return self._left(upstream) if upstream.load.calls else UNKNOWN_MAX

    def _in_turn(self, upstreams: list[Replica]) -> list[Replica]:
        """The same ones, beginning with another one each time: of equals the first is taken."""
        self._turns += 1
        first = self._turns % len(upstreams)
        return upstreams[first:] + upstreams[:first]

    def _usable(self) -> list[Replica]:
        return [upstream for upstream in self.upstreams if _is_well(upstream)] or self.upstreams

    def _least_busy(self, upstreams: list[Replica], inputs: int) -> Replica | None:
        with_room = [upstream for upstream in upstreams if self._has_room(upstream, inputs)]
        return min(with_room, key=lambda u: u.load.work, default=None)

    def _has_room(self, upstream: Replica, inputs: int) -> bool:
        return upstream.load.calls < upstream.tuner.setting.calls and self.room(upstream) >= inputs

    def _slots_free(self, upstream: Replica) -> int:
        calls = upstream.tuner.setting.calls - upstream.load.calls
        return max(0, min(calls, ceil(self._left(upstream) / upstream.limits.inputs_max)))

    def _left(self, upstream: Replica) -> int:
        return self._share(upstream) - upstream.load.inputs

    def _share(self, upstream: Replica) -> int:
        """Inputs that we may have in flight: at least one, or more batchers than there are places would stand still."""
        return max(upstream.limits.in_flight_inputs_max // self.batchers, 1)


def _is_well(upstream: Replica) -> bool:
    return upstream.is_healthy and upstream.breaker.is_closed
