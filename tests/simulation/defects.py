"""Defects that this system has had, each put back in a few lines: the simulation must find every one of them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

from autobatch_batcher.claiming.claims import Claims
from autobatch_batcher.forming import lanes as lanes_module
from autobatch_batcher.jobs import Job
from autobatch_batcher.tuning.recent_calls import CallTime
from autobatch_batcher.upstreams import prober as prober_module
from autobatch_batcher.upstreams.prober import Prober
from autobatch_batcher.upstreams.replica import Replica
from autobatch_proxy.queue import lost_jobs as lost_jobs_module
from autobatch_proxy.queue.fleet_watcher import FleetWatcher
from autobatch_proxy.queue.lost_jobs import LostJobs
from autobatch_shared.redis import session as session_module
from autobatch_shared.redis.commands import ReplyError

Change = tuple[Any, str, Any]  # whose attribute, which, and what it is instead


@dataclass(frozen=True)
class Defect:
    """What is changed in the product, and where that shows.

    Attributes:
        name: What the defect does.
        faults: Names of the kinds of fault in its schedules.
        changes: What puts it back.
        seeds: Number of schedules, from seed 0 on, of which one at least must find it.
    """

    name: str
    faults: tuple[str, ...]
    changes: tuple[Change, ...]
    seeds: int = 60


class _NeverSaid(ReplyError):
    """No server says it."""


async def _does_nothing(*_: object) -> int:
    """Take the place of a step that is left out, or that counts what it found."""
    return 0


def _fastest_of_the_last(self: Replica, *_: object, **__: object) -> CallTime:
    """However old those calls are, and though only another call could show that it is faster again."""
    return CallTime(self.tuner.recent._least.any_s, inf, 0.0)


def _is_too_late(job: Job, now_ms: int, takes: CallTime) -> bool:
    """However much of its time is left."""
    return job.header.deadline <= now_ms + 1000 * takes.any_s


DEFECTS = (
    Defect(
        "a job is dropped because calls of a moment ago were slow, though the upstream is idle",
        ("upstream: slow",),
        ((Replica, "call_time", _fastest_of_the_last), (lanes_module, "is_too_late", _is_too_late)),
    ),
    Defect(
        "a server that is not the master any more is stayed with",
        ("Redis: another master",),
        ((session_module, "NotTheMaster", _NeverSaid),),
    ),
    Defect(
        "jobs that Redis lost are waited for",
        ("Redis: flushed",),
        ((LostJobs, "_push_missing", _does_nothing),),
        seeds=120,
    ),
    Defect(
        "a step of Redis's clock expires jobs that have time left",
        ("Redis: clock stepped",),
        ((lost_jobs_module, "STAMP_ERROR_MAX_MS", inf),),
    ),
    Defect(
        "requests wait for their deadline though no batcher runs",
        ("batchers: none",),
        ((FleetWatcher, "has_batchers", True),),
    ),
    Defect(
        "a claim whose answer was lost is forgotten",
        ("reply: lost",),
        ((Claims, "recover", _does_nothing),),
        seeds=120,
    ),
    Defect(
        "an upstream that was started anew is not asked again what it serves",
        ("upstreams: another model",),
        ((Prober, "ask_again", _does_nothing),),
    ),
    Defect(
        "an upstream that hangs is waited for as long as it likes",
        ("one of two upstreams: hangs",),
        ((prober_module, "PROBE_TIMEOUT_S", 3600.0),),
    ),
)


@contextmanager
def put_back(defect: Defect) -> Iterator[None]:
    """Have the defect in the product for a while."""
    with ExitStack() as changed:
        for owner, attribute, instead in defect.changes:
            changed.enter_context(_changed(owner, attribute, instead))
        yield


@contextmanager
def _changed(owner: Any, attribute: str, instead: Any) -> Iterator[None]:
    names = vars(owner)
    had, kept = attribute in names, names.get(attribute)
    setattr(owner, attribute, _Constant(instead) if isinstance(instead, bool) else instead)
    try:
        yield
    finally:
        if had:
            setattr(owner, attribute, kept)
        else:
            delattr(owner, attribute)


class _Constant:
    """An attribute of all instances that keeps its value, whatever is set."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __get__(self, _instance: object, _owner: type) -> object:
        return self._value

    def __set__(self, _instance: object, _value: object) -> None:
        """Keep the value."""
