"""Which batchers call an upstream, and what they know of it from each other. Pure.

Calls of two batchers meet at an upstream: each takes the wait behind the other's for a price of its own, each carries half of what waits,
and what both try shows nothing. So where calls are tuned, one batcher calls an upstream, with all of its permits, and the others stand
by. As many more call it as their processors need, once one is not enough.

1. All batchers decide alike, from the same reports: the batchers in the order of their names, the upstreams in that of theirs, and each
   upstream begins at the next batcher.
2. A batcher that is stopping, or does not find the upstream well, is not on duty for it; nor is one that has missed its reports. The
   next takes over. It takes the permits that are free, and its whole share once the others report that they have given theirs up.
   Of one that was missed only what it had in flight is taken: without Redis it makes no call.
3. The first on duty learns and tries; the others follow what it reports, so that the next one to take over begins with it.
4. Where no batcher has learnt anything, the first on duty begins with what Redis has kept of one that is gone.
5. One that stands by still sends what it has claimed, in full calls.
6. One that another batcher's calls have taken out is called by each of the others before they go on to say that it is well: a
   probe goes well where calls fail, and the jobs that found it out wait at the batcher that has them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from math import ceil, inf
from typing import Protocol

import msgspec

from autobatch_shared.contract.status import BatcherStatus, LearntCalls, RememberedCalls, UpstreamStatus

LOOK_EVERY_S = 0.25  # between reports where upstreams are shared: jobs wait for one if the batcher on duty stops
HAND_OVER_LOOK_EVERY_S = 0.05  # while permits are given up: no batcher claims meanwhile
LATE_MS = 550  # by which a report may be late: two looks, and a round trip
CPU_MAX = 0.4  # of a core: at 40 us a request 10,000 a second; a process may have no more than half a core


class Duty(msgspec.Struct, frozen=True):
    """What one batcher has to do with one upstream.

    Attributes:
        is_on: Whether it calls it.
        sharers: Number of batchers that share its permits; None: as many as have a lease.
        taken: Permits that the other batchers have still.
        learnt: What another batcher has learnt of it, to be followed; None: this one learns itself.
        is_remembered: Whether that batcher is gone, so that the upstream may have become another since then.
    """

    is_on: bool = True
    sharers: int | None = None
    taken: int = 0
    learnt: LearntCalls | None = None
    is_remembered: bool = False


ON_DUTY = Duty()
NOTHING_REMEMBERED: Mapping[str, RememberedCalls] = {}


class SharedUpstream(Protocol):
    """An upstream that may be called by several batchers."""

    name: str

    def take_duty(self, duty: Duty) -> bool:
        """Do what falls to this batcher from now on; return whether that is something else than before."""


def take_duties(
    upstreams: Iterable[SharedUpstream],
    batcher: str,
    reports: Sequence[BatcherStatus],
    now_ms: int,
    remembered: Mapping[str, RememberedCalls] = NOTHING_REMEMBERED,
) -> bool:
    """Let each upstream know its duty, by the reports of all batchers; return whether one has changed."""
    changed = [
        upstream.take_duty(duty_of(batcher, upstream.name, reports, now_ms, remembered.get(upstream.name)))
        for upstream in upstreams
    ]
    return any(changed)


def duty_of(
    batcher: str, url: str, reports: Sequence[BatcherStatus], now_ms: int, remembered: RememberedCalls | None = None
) -> Duty:
    """Return what `batcher` has to do with the upstream, by the reports of all batchers, its own among them."""
    fresh = _fresh(reports, now_ms)
    ready = sorted([each.id for each in fresh if _is_ready(each, url)])
    if not ready:
        return ON_DUTY  # all may try
    urls = sorted({upstream.url for each in fresh for upstream in each.upstreams})
    cpu_share = sum([each.cpu_share for each in fresh if each.id in ready])
    callers = min(max(1, ceil(cpu_share / CPU_MAX)), len(ready))  # of all upstreams together
    needed = ceil(callers / len(urls))
    begins = urls.index(url) * needed % callers
    first = ready[begins]
    is_on = batcher in ready[:callers] and (ready.index(batcher) - begins) % callers < needed
    taken = sum([_taken(report, url, is_missed=report not in fresh) for report in reports if report.id != batcher])
    if batcher not in ready:
        return Duty(is_on, needed, taken)
    own = next(each for report in reports if report.id == batcher for each in report.upstreams if each.url == url)
    if batcher == first and own.learnt is not None:
        return Duty(is_on, needed, taken)
    learnt = _learnt(batcher, first, own, reports)
    if learnt is None and batcher == first and remembered is not None and remembered.model == own.counts_for:
        return Duty(is_on, needed, taken, remembered.learnt, is_remembered=True)
    return Duty(is_on, needed, taken, learnt)


def calls_another(batcher: str, urls: Collection[str], reports: Sequence[BatcherStatus], now_ms: int) -> bool:
    """Whether another batcher may call an upstream that has none of these URLs."""
    others = [each for each in _fresh(reports, now_ms) if each.id != batcher and not each.is_stopping]
    return any(known.may_be_called and known.url not in urls for each in others for known in each.upstreams)


def lost_ms(batcher: str, url: str, reports: Sequence[BatcherStatus], now_ms: int) -> float:
    """Return the milliseconds since a call of another batcher failed that calls the upstream no more; inf: there is none."""
    return min(
        [
            now_ms - each.at + failing.last_ms
            for each in _fresh(reports, now_ms)
            for known in each.upstreams
            if each.id != batcher and known.url == url and (failing := known.failing) is not None
        ],
        default=inf,
    )


def _fresh(reports: Sequence[BatcherStatus], now_ms: int) -> list[BatcherStatus]:
    """Return those that have not been missed."""
    return [each for each in reports if each.id and abs(now_ms - each.at) < each.next_ms + LATE_MS]


def _is_ready(report: BatcherStatus, url: str) -> bool:
    return not report.is_stopping and any(each.url == url and each.may_be_called for each in report.upstreams)


def _taken(report: BatcherStatus, url: str, *, is_missed: bool) -> int:
    return sum([each.in_flight if is_missed else each.permits for each in report.upstreams if each.url == url])


def _learnt(batcher: str, first: str, own: UpstreamStatus, reports: Sequence[BatcherStatus]) -> LearntCalls | None:
    """What `batcher` follows: the first on duty; if that is itself, the one that knows most."""
    seen = {report.id: each for report in reports for each in report.upstreams if each.url == own.url}
    whose = [first] if batcher != first else [name for name in seen if name != batcher]
    known = [seen[name].learnt for name in whose if seen[name].counts_for == own.counts_for]
    return max([each for each in known if each is not None], key=lambda each: each.calls_seen, default=None)
