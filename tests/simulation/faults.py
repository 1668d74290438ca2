"""What can go wrong, what each of it may do to a request, and for how long.

A request that fails outside of what its schedule's faults explain is a finding. So is one that fails by a fault that a client
must not notice: those explain nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.simulation.network import LATENCY_S

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule
    from tests.simulation.upstreams import ModelUpstream

REDIS_GONE = frozenset({"queue_unavailable"})
NO_BATCHER = frozenset({"no_batcher"})
TOO_LATE = frozenset({"deadline_exceeded"})
UPSTREAM_GONE = frozenset({"upstream_unavailable", "upstream_broken"})
MODEL_CHANGES = UPSTREAM_GONE | {"upstream_changed"}
NOTHING: frozenset[str] = frozenset()

RECOVERY_S = 1.5  # from a fault's end until every request is answered again: a beat, and the longest pause of a link
TAKEOVER_S = 3.5  # from the death of a batcher until another one answers what it held; it may look dead, too

NOTICED_S = 5.1  # until every worker knows that no batcher reports any more: 4 s, a look every second, and the way
ASKED_MEANWHILE_S = 2.0  # the time of requests while there is none
HANGING_NOTICED_S = 9.0  # until an upstream that hangs is known to: a healthy one is asked every 5 s, for 3 s

Begin = Callable[["Schedule", float, str | None], None]


@dataclass(frozen=True)
class FaultKind:
    """One kind of fault.

    Attributes:
        name: Its name in traces and reports.
        begin: Makes it happen: told how many seconds it lasts, and the process whose message it hits if any.
        lasts_s: Least and most seconds that it lasts.
        explains: Codes of errors that requests may get by it.
        delays_s: Seconds by which it may delay an answer beside its own length: requests with less time may miss their
            deadline. None: it delays nothing.
        recovery_s: Seconds after its end during which it may still be felt.
        deaths: Number of deaths that it looks like: a job that is held through three of them is given up.
        is_killing: Whether a request kills upstreams for as long as it waits: what shared its call is tried alone, and given up if
            the upstream dies meanwhile, of whatever it may be.
        needs_snapshots: Whether it takes Redis back to an earlier state.
        known_after_s: Seconds after its beginning from which on no request may wait for its deadline because of it.
        delay_max_s: Seconds by which it may delay an answer at most, however long it lasts.
        upstreams_min: Fewest upstreams in a schedule that has it. Where it needs two, nothing else happens to the other one.
        weight: How often it is drawn, beside the others: less where it takes much longer than they do.
    """

    name: str
    begin: Begin
    lasts_s: tuple[float, float] = (0.0, 0.0)
    explains: frozenset[str] = NOTHING
    delays_s: float | None = None
    recovery_s: float = RECOVERY_S
    deaths: int = 0
    is_killing: bool = False
    needs_snapshots: bool = False
    known_after_s: float = float("inf")
    delay_max_s: float = float("inf")
    upstreams_min: int = 1
    weight: float = 1.0

    def goes_with(self, other: "FaultKind") -> bool:
        """Whether both may be in one schedule."""
        is_beside_a_well_one = max(self.upstreams_min, other.upstreams_min) > 1
        return not (is_beside_a_well_one and "upstream" in self.name and "upstream" in other.name)


@dataclass
class FaultRun:
    """One fault of one schedule, on the timeline's clock.

    Attributes:
        message: The number of the message to Redis that it hits; None: it happens at a moment.
        is_after_asking: Whether messages are counted from the first request on.
    """

    kind: FaultKind
    lasts_s: float
    message: int | None
    is_after_asking: bool = False
    began_s: float = float("inf")

    @property
    def ends_s(self) -> float:
        """When it is over."""
        return self.began_s + self.lasts_s


def _crash_batcher(run: "Schedule", lasts_s: float, hit: str | None) -> None:
    run.crash(run.chosen_batcher(hit), lasts_s)


def _stop_batcher(run: "Schedule", lasts_s: float, hit: str | None) -> None:
    batcher = run.chosen_batcher(hit)
    batcher.stop()
    run.timeline.after(lasts_s, run.start_batcher)


def _stop_all_batchers(run: "Schedule", lasts_s: float, _hit: str | None) -> None:
    for batcher in run.batchers:
        if batcher.loop.is_alive:
            run.crash(batcher, lasts_s)
    for _ in range(2):
        run.timeline.after(run.timeline.chance.uniform(NOTICED_S, NOTICED_S + 0.5), run.ask, ASKED_MEANWHILE_S)


def _crash_worker(run: "Schedule", lasts_s: float, hit: str | None) -> None:
    run.crash(run.chosen_worker(hit), lasts_s)


def _cut(run: "Schedule", _lasts_s: float, hit: str | None) -> None:
    run.network.cut(hit or run.chosen_process())


def _lose_message(run: "Schedule", _lasts_s: float, _hit: str | None) -> None:
    run.lose_next(is_applied=False)


def _lose_reply(run: "Schedule", _lasts_s: float, _hit: str | None) -> None:
    run.lose_next(is_applied=True)


def _hold(run: "Schedule", lasts_s: float, hit: str | None) -> None:
    run.network.hold([hit or run.chosen_process()], run.timeline.now_s + lasts_s)


def _hold_all(run: "Schedule", lasts_s: float, _hit: str | None) -> None:
    run.network.hold([process.name for process in run.timeline.processes], run.timeline.now_s + lasts_s)


def _slow_network(run: "Schedule", lasts_s: float, _hit: str | None) -> None:
    run.network.latency_s = (0.02, 0.15)

    def end() -> None:  # not what it was before: that may have been another fault's, which has ended
        run.network.latency_s = LATENCY_S

    run.timeline.after(lasts_s, end)


def _pause(run: "Schedule", lasts_s: float, hit: str | None) -> None:
    process = run.process_named(hit or run.chosen_process())
    process.pause()
    run.timeline.after(lasts_s, process.resume)


def _restart_redis(run: "Schedule", lasts_s: float, *, keeps: str) -> None:
    server = run.network.server
    if keeps == "nothing":
        server.store.clear()
    elif keeps == "older data":
        server.store.restore(run.older_data())
    server.is_up = False
    server.restart()
    run.network.cut()

    def back() -> None:
        server.is_up = True

    run.timeline.after(lasts_s, back)


def _restart_empty(run: "Schedule", lasts_s: float, _hit: str | None) -> None:
    _restart_redis(run, lasts_s, keeps="nothing")


def _restart_full(run: "Schedule", lasts_s: float, _hit: str | None) -> None:
    _restart_redis(run, lasts_s, keeps="all")


def _restart_older(run: "Schedule", lasts_s: float, _hit: str | None) -> None:
    _restart_redis(run, lasts_s, keeps="older data")


def _flush(run: "Schedule", _lasts_s: float, _hit: str | None) -> None:
    run.network.server.store.clear()


def _delete_jobs(run: "Schedule", _lasts_s: float, _hit: str | None) -> None:
    """By hand: the lists and what is claimed, and nothing else."""
    store = run.network.server.store
    lost = [name for name in store.names() if b":jobs" in name or b":retry" in name or b":claimed:" in name]
    store.execute(b"DEL", lost)


def _forget_scripts(run: "Schedule", _lasts_s: float, _hit: str | None) -> None:
    run.network.server.forget_scripts()


def _switch_master(run: "Schedule", _lasts_s: float, _hit: str | None) -> None:
    run.network.demote()


def _load(run: "Schedule", lasts_s: float, _hit: str | None) -> None:
    server = run.network.server
    server.is_loading = True
    run.network.cut()

    def end() -> None:
        server.is_loading = False

    run.timeline.after(lasts_s, end)


def _step_clock(run: "Schedule", _lasts_s: float, _hit: str | None) -> None:
    run.network.server.offset_ms += run.timeline.chance.choice(
        (-3_600_000, -5_000, -500, 500, 5_000, 40_000, 3_600_000)
    )


def _upstream(mode: str) -> Begin:
    def begin(run: "Schedule", lasts_s: float, _hit: str | None) -> None:
        upstream = run.timeline.chance.choice(run.upstreams)
        upstream.mode = mode

        def end() -> None:
            upstream.mode = "well"

        run.timeline.after(lasts_s, end)

    return begin


def _hang_one(run: "Schedule", lasts_s: float, hit: str | None) -> None:
    _upstream("hang")(run, lasts_s, hit)
    for _ in range(2):
        asked_s = run.timeline.chance.uniform(HANGING_NOTICED_S, HANGING_NOTICED_S + 0.5)
        run.timeline.after(asked_s, run.ask, ASKED_MEANWHILE_S)


def _change_models(run: "Schedule", lasts_s: float, _hit: str | None) -> None:
    """One upstream after the other is stopped, and comes back with the other model."""
    model = 1 - run.upstreams[0].model
    each_s = lasts_s / len(run.upstreams)

    def start(upstream: "ModelUpstream") -> None:
        upstream.model = model
        upstream.start()

    for place, upstream in enumerate(run.upstreams):
        run.timeline.after(place * each_s, upstream.stop)
        run.timeline.after((place + run.timeline.chance.uniform(0.1, 1.0)) * each_s, start, upstream)


def _stop_upstream(run: "Schedule", lasts_s: float, _hit: str | None) -> None:
    upstream = run.timeline.chance.choice(run.upstreams)
    upstream.stop()
    run.timeline.after(lasts_s, upstream.start)


def _kill_by_input(run: "Schedule", _lasts_s: float, _hit: str | None) -> None:
    run.ask_killing()


def _leave(run: "Schedule", _lasts_s: float, _hit: str | None) -> None:
    run.leave_one()


KINDS = (
    FaultKind("batcher: crash", _crash_batcher, (0.0, 1.0), delays_s=TAKEOVER_S, deaths=1),
    FaultKind("batcher: crash", _crash_batcher, (0.0, 1.0), delays_s=TAKEOVER_S, deaths=1),
    FaultKind(
        "batchers: none",
        _stop_all_batchers,
        (8.0, 8.5),  # longer than the requests that are asked meanwhile have time
        REDIS_GONE | NO_BATCHER,
        delays_s=4.0,
        deaths=1,
        known_after_s=NOTICED_S,
        recovery_s=TAKEOVER_S,
    ),
    FaultKind("batcher: stop", _stop_batcher, (0.0, 0.3), delays_s=1.0, explains=REDIS_GONE),
    FaultKind("worker: crash", _crash_worker, (0.0, 0.5)),
    FaultKind("connections: cut", _cut, explains=REDIS_GONE, delays_s=1.5),
    FaultKind("message: lost", _lose_message, explains=REDIS_GONE, delays_s=1.5),
    FaultKind("reply: lost", _lose_reply, explains=REDIS_GONE, delays_s=1.5),
    FaultKind(
        "partition of one",
        _hold,
        (0.1, 4.0),
        explains=REDIS_GONE | NO_BATCHER,
        delays_s=TAKEOVER_S,
        deaths=1,
        recovery_s=TAKEOVER_S,
    ),
    FaultKind(
        "partition of all",
        _hold_all,
        (0.1, 4.0),
        explains=REDIS_GONE | NO_BATCHER,
        delays_s=TAKEOVER_S,
        deaths=1,
        recovery_s=TAKEOVER_S,
    ),
    FaultKind("network: slow", _slow_network, (0.5, 2.0), explains=REDIS_GONE, delays_s=2.0, deaths=1),
    FaultKind(
        "process: paused",
        _pause,
        (0.2, 5.0),
        explains=REDIS_GONE | NO_BATCHER,
        delays_s=TAKEOVER_S,
        deaths=1,
        recovery_s=TAKEOVER_S,
    ),
    FaultKind("Redis: restarted empty", _restart_empty, (0.0, 1.5), explains=REDIS_GONE, delays_s=2.5),
    FaultKind("Redis: restarted with its data", _restart_full, (0.0, 1.5), explains=REDIS_GONE, delays_s=2.5),
    FaultKind(
        "Redis: restarted with older data",
        _restart_older,
        (0.0, 1.5),
        explains=REDIS_GONE,
        delays_s=2.5,
        needs_snapshots=True,
    ),
    FaultKind("Redis: flushed", _flush, explains=REDIS_GONE, delays_s=2.5),
    FaultKind("Redis: jobs deleted", _delete_jobs, explains=REDIS_GONE, delays_s=4.5),
    FaultKind("Redis: scripts forgotten", _forget_scripts),
    FaultKind("Redis: another master", _switch_master, explains=REDIS_GONE, delays_s=2.5),
    FaultKind("Redis: loading", _load, (0.1, 2.0), explains=REDIS_GONE, delays_s=2.5, deaths=1),
    FaultKind("Redis: clock stepped", _step_clock),
    FaultKind(
        "upstream: hangs",
        _upstream("hang"),
        (0.1, 3.0),
        explains=TOO_LATE | UPSTREAM_GONE | frozenset({"upstream_timeout"}),
        recovery_s=6.5,
    ),
    FaultKind("upstream: slow", _upstream("slow"), (0.5, 3.0), delays_s=3.0),
    FaultKind(
        "one of two upstreams: hangs",
        _hang_one,
        (10.0, 11.0),
        explains=UPSTREAM_GONE,
        delays_s=0.0,
        known_after_s=HANGING_NOTICED_S,
        upstreams_min=2,
        weight=0.2,
    ),
    FaultKind(
        "one of two upstreams: ten times slower",
        _upstream("slowed"),
        (0.5, 3.0),
        delays_s=3.0,
        delay_max_s=2.0,
        upstreams_min=2,
    ),
    FaultKind("upstreams: another model", _change_models, (0.4, 2.5), explains=MODEL_CHANGES, delays_s=3.0, deaths=1),
    FaultKind("upstream: 429", _upstream("429"), (0.1, 1.5), explains=frozenset({"upstream_overloaded"}), delays_s=1.5),
    FaultKind(
        "upstream: 500", _upstream("500"), (0.1, 1.5), explains=UPSTREAM_GONE | frozenset({"status 500"}), delays_s=1.5
    ),
    FaultKind("upstream: 503", _upstream("503"), (0.1, 1.5), explains=UPSTREAM_GONE, delays_s=1.5),
    FaultKind("upstream: hangs up", _upstream("close"), (0.1, 1.0), explains=UPSTREAM_GONE, delays_s=3.0, deaths=2),
    FaultKind("upstream: dies", _stop_upstream, (0.1, 1.5), explains=UPSTREAM_GONE, delays_s=3.0, deaths=1),
    FaultKind(
        "an input kills the upstream",
        _kill_by_input,
        (0.5, 1.0),
        explains=UPSTREAM_GONE,
        delays_s=3.0,
        deaths=1,
        is_killing=True,
    ),
    FaultKind("a client leaves", _leave),
)
