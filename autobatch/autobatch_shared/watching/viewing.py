"""Make the view of a fleet of what was read in Redis. Pure: the same at every worker."""

from collections.abc import Sequence

import msgspec

from autobatch_shared.watching.activity import (
    BATCHES_MAX,
    CHART_S,
    BatcherActivity,
    WorkerActivity,
)
from autobatch_shared.watching.durations import percentiles_of, summed
from autobatch_shared.watching.lines import (
    SILENT_MS,
    batcher_lines,
    model_lines,
    recent_rate,
    upstream_lines,
    worker_lines,
)
from autobatch_shared.watching.recent_requests import recent_requests
from autobatch_shared.watching.seen import SeenFleet
from autobatch_shared.watching.troubles import troubles_of
from autobatch_shared.watching.view import BatchPicture, ChartSecond, FleetView

LAG_MAX_S = 2  # seconds that the chart waits for the slowest process; one that says less is missing from its end


def view_of(seen: SeenFleet) -> FleetView:
    """Return the view."""
    now_ms = seen.now_ms
    workers = [each for each in seen.activities if isinstance(each, WorkerActivity)]
    batchers = [each for each in seen.activities if isinstance(each, BatcherActivity)]
    live_workers = [each for each in workers if now_ms - each.at < SILENT_MS]
    live_batchers = [each for each in batchers if now_ms - each.at < SILENT_MS]
    live: list[WorkerActivity | BatcherActivity] = [*live_workers, *live_batchers]
    chart = _chart(now_ms, workers, batchers)
    batches = _batches(batchers)
    fill = _share(sum(each.inputs for each in batches), sum(each.room for each in batches))
    costs = [each.units or each.inputs for each in batches]
    padding = _share(sum(each.padding * cost for each, cost in zip(batches, costs, strict=True)), sum(costs))
    lines = worker_lines(workers, now_ms)
    of_batchers = batcher_lines(seen.models, batchers, now_ms)
    upstreams = upstream_lines(seen.models, live_batchers, now_ms)
    models = model_lines(seen.models, now_ms)
    return FleetView(
        now_ms=now_ms,
        troubles=troubles_of(lines, of_batchers, upstreams, models, padding, recent_requests(live_workers)),
        requests_per_s=round(sum(line.requests_per_s for line in lines), 1),
        texts_per_s=recent_rate([each.answered for each in chart]),
        refused_per_s=round(sum(line.refused_per_s for line in lines), 1),
        failed_per_s=round(sum(line.failed_per_s for line in lines), 1),
        waiting=sum(line.waiting for line in lines),
        took=percentiles_of(summed(each.took for each in live_workers)),
        queue=percentiles_of(summed(each.waited for each in live_batchers)),
        upstream=percentiles_of(summed(of_one.took for each in live_batchers for of_one in each.upstreams)),
        fill=None if fill is None else round(fill, 3),
        padding=None if padding is None else round(padding, 3),
        clock_off_ms=max((-each.clock_ahead_ms for each in live), key=abs, default=0),
        chart=chart,
        batches=batches,
        workers=lines,
        batchers=of_batchers,
        upstreams=upstreams,
        models=models,
    )


def _chart(now_ms: int, workers: Sequence[WorkerActivity], batchers: Sequence[BatcherActivity]) -> list[ChartSecond]:
    """The last minute up to the second of which all live processes have spoken."""
    now_s = now_ms // 1000
    spoken: list[WorkerActivity | BatcherActivity] = [*workers, *batchers]
    known_s = [each.until_s for each in spoken if now_ms - each.at < SILENT_MS]
    until_s = min(now_s, max(min(known_s, default=now_s), now_s - LAG_MAX_S))
    answered, waiting, refused, failed = [0] * CHART_S, [0] * CHART_S, [0] * CHART_S, [0] * CHART_S
    for batcher in batchers:
        _add(answered, batcher.answered, until_s - batcher.until_s)
    for worker in workers:
        shift_s = until_s - worker.until_s
        _add(answered, worker.cached, shift_s)
        _add(waiting, worker.waiting, shift_s)
        _add(refused, worker.refused, shift_s)
        _add(failed, worker.failed, shift_s)
    return [
        ChartSecond(until_s - CHART_S + place, *values)
        for place, values in enumerate(zip(answered, waiting, refused, failed, strict=True))
    ]


def _add(total: list[int], values: Sequence[int], shift_s: int) -> None:
    """Add the values of one process, whose last one is `shift_s` seconds before the last of the total."""
    for place, value in enumerate(values):
        at = len(total) - len(values) + place - shift_s
        if 0 <= at < len(total):
            total[at] += value


def _batches(batchers: Sequence[BatcherActivity]) -> list[BatchPicture]:
    found = [
        BatchPicture(batcher=batcher.id, **msgspec.structs.asdict(each))
        for batcher in batchers
        for each in batcher.batches
    ]
    return sorted(found, key=lambda each: each.ended_ms)[-BATCHES_MAX:]


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
