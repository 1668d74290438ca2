"""Which upstream may be called now: slots over all replicas."""

from dataclasses import replace

from batcher.limits import Limits
from batcher.upstream import Upstream


class Slot:
    """Permission for one call, taken from the moment a batch is formed until its answer is in."""

    def __init__(self, upstream: Upstream, inputs: int) -> None:
        self.upstream = upstream
        self._inputs = inputs
        self._take(upstream, 1)

    def move_to(self, upstream: Upstream) -> None:
        """Go on with another replica."""
        self._take(self.upstream, -1)
        self._take(upstream, 1)
        self.upstream = upstream

    def release(self) -> None:
        """Give it back."""
        self._take(self.upstream, -1)

    def _take(self, upstream: Upstream, sign: int) -> None:
        upstream.calls_in_flight += sign
        upstream.inputs_in_flight += sign * self._inputs


class Pool:
    """All replicas. A call goes to the one with the least outstanding work.

    Args:
        upstreams: In the order of INFERENCE_URL.
        calls_max: Calls in flight to one upstream.
    """

    def __init__(self, upstreams: list[Upstream], calls_max: int) -> None:
        self.upstreams = upstreams
        self._calls_max = calls_max

    @property
    def calls_in_flight(self) -> int:
        """To all of them."""
        return sum(upstream.calls_in_flight for upstream in self.upstreams)

    def free(self) -> Upstream | None:
        """Return where a call may go now, healthy ones first; None while every slot is taken."""
        with_room = [u for u in self.upstreams if self._has_room(u, 1)]
        return min(with_room, key=lambda u: (not u.is_healthy, u.inputs_in_flight), default=None)

    def other_than(self, slot: Slot, inputs: int) -> Upstream:
        """Return where to try again after a failure: another healthy one with room, or the same."""
        others = [u for u in self.upstreams if u is not slot.upstream and u.is_healthy and self._has_room(u, inputs)]
        return min(others, key=lambda u: u.inputs_in_flight, default=slot.upstream)

    def _has_room(self, upstream: Upstream, inputs: int) -> bool:
        return upstream.calls_in_flight < self._calls_max and _inputs_room(upstream) >= inputs


def limits_now(upstream: Upstream) -> Limits:
    """The limits of the next call, given what is in flight already."""
    limits = upstream.limits
    return replace(limits, inputs_max=min(limits.inputs_max, _inputs_room(upstream)))


def _inputs_room(upstream: Upstream) -> int:
    return upstream.limits.in_flight_inputs_max - upstream.inputs_in_flight
