"""The systems on which the targets are measured: started in turn, each for all groups that need it."""

import resource
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

import msgspec
from pydantic import ValidationError

from autobatch_bench.comparing import target_runs
from autobatch_bench.comparing.promises import Figures
from autobatch_bench.comparing.rounds import Round
from autobatch_bench.systems.rig import Rig
from autobatch_bench.systems.system import ProxyPlan, UpstreamKind, started
from autobatch_shared.settings.definitions import BatcherSettings

#: For 10,000 requests that wait at a closed gate; a single worker holds them all, which is the harder case.
PATIENT = ProxyPlan(
    settings={"MAX_QUEUE_SIZE": "20000", "REQUEST_TIMEOUT_MS": "600000", "UPSTREAM_TIMEOUT_MS": "600000"}, workers=1
)
UNLESS_ASKED = {
    "T4.embedder.p99": "only with --full",
    "T4.embedder.bulk": "only with --full",
    "T5.soak": "only with --soak-minutes",
}
FILES_MAX = 25_000  # two sockets per request are 20,000; each process needs half of them


class TargetOptions(msgspec.Struct, frozen=True):
    """How much is measured.

    Attributes:
        groups: Names of target groups, such as `T1`.
        seconds: Length of one round.
        rounds: For each side.
        workers: For each proxy.
        soak_minutes: Length of the soak; 0: no soak.
        is_full: Whether fairness is measured on the embedder too.
    """

    groups: Collection[str]
    seconds: float
    rounds: int
    workers: int
    soak_minutes: float
    is_full: bool


class _Stage(NamedTuple):
    """One system, and what each group measures on it."""

    upstream: UpstreamKind
    proxies: Sequence[ProxyPlan]
    parts: Sequence[tuple[str, Callable[[Rig], Figures]]]


def measure(options: TargetOptions, told: Callable[[Round], None]) -> tuple[Figures, list[Round]]:
    """Return a figure for each target of the groups, and every round."""
    figures: Figures = dict(UNLESS_ASKED)
    rounds: list[Round] = []
    _allow_files()
    for stage in _stages(options):
        runs = [run for group, run in stage.parts if group in options.groups]
        if not runs:
            continue
        with started(stage.upstream, proxies=stage.proxies) as sides:
            rig = Rig(sides, is_fake=stage.upstream is not UpstreamKind.EMBEDDER, told=told)
            rig.warm_up()
            for run in runs:
                figures |= run(rig)
            rounds += rig.rounds
    return figures, rounds


def _stages(options: TargetOptions) -> list[_Stage]:
    """Return everything that could be run; one system at a time, because they share the machine."""
    seconds, rounds, usual = options.seconds, options.rounds, ProxyPlan(workers=options.workers)

    def fairness(upstream: UpstreamKind) -> Callable[[Rig], Figures]:
        return lambda rig: target_runs.fairness(rig, upstream, seconds, rounds)

    cost = ("T1", lambda rig: target_runs.cost(rig, seconds, rounds))
    gain = ("T2", lambda rig: target_runs.gain(rig, seconds, rounds))
    order = ("T3", lambda rig: target_runs.order(rig, seconds, rounds))
    openai = ("T6", lambda rig: target_runs.openai(rig, seconds, rounds))
    memory = ("T5", target_runs.memory)
    soak = ("T5", lambda rig: target_runs.soak(rig, options.soak_minutes))
    embedder = (gain, ("T4", fairness(UpstreamKind.EMBEDDER))) if options.is_full else (gain,)
    return [
        _Stage(UpstreamKind.INSTANT, (usual,), (cost, openai, ("T4", fairness(UpstreamKind.INSTANT)))),
        _Stage(UpstreamKind.TEI_QUEUE, (usual,), (order, ("T4", fairness(UpstreamKind.TEI_QUEUE)))),
        _Stage(UpstreamKind.EMBEDDER, (usual, *_fifo(options.workers)), embedder),
        _Stage(UpstreamKind.INSTANT, (PATIENT,), (memory,)),
        _Stage(UpstreamKind.INSTANT, (usual,), (soak,) if options.soak_minutes else ()),
    ]


def _fifo(workers: int) -> Sequence[ProxyPlan]:
    """Return a second proxy that batches in order of arrival, if this batcher has that setting."""
    settings = {"BATCH_SHAPE": target_runs.FIFO}
    try:
        is_known = "batch_shape" in BatcherSettings.model_fields
        BatcherSettings.model_validate({name.lower(): value for name, value in settings.items()})
    except ValidationError:
        is_known = False
    if not is_known:
        return ()
    return (ProxyPlan(target_runs.FIFO, settings, workers),)


def _allow_files() -> None:
    """Raise the limit of open files, for this process and those that it starts, as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    if soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
