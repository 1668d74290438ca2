"""One line for each worker, batcher, upstream and model: its state, how bad that is, and since when. Pure."""

from collections.abc import Iterable, Sequence

from autobatch_shared.contract.cards import UNKNOWN_MAX
from autobatch_shared.contract.status import FRESH_MS, NO_ANSWER, BatcherStatus, UpstreamStatus
from autobatch_shared.watching.activity import RECENT_S, BatcherActivity, WorkerActivity
from autobatch_shared.watching.durations import percentiles_of, summed
from autobatch_shared.watching.seen import SeenModel
from autobatch_shared.watching.upstream_words import (
    failing_share,
    failure_words,
    obstacle_words,
    refused_share,
    tuner_words,
)
from autobatch_shared.watching.view import BatcherLine, Level, ModelLine, Percentiles, UpstreamLine, WorkerLine

SILENT_MS = FRESH_MS  # three missed activities
SILENT: tuple[Level, str] = ("bad", "silent")
FORGOTTEN_MS = 60_000  # then a process that fell silent is shown no more
RATE_S = 5  # seconds that a rate is of: short enough to see a change, long enough not to flicker
# Of a core, used or waited for: one process cannot use more than one. Below the second it is the machine that is full, not the process.
STRAINED_CPU_SHARE, OWN_CPU_SHARE = 0.9, 0.2
SLOW_MS = 1000.0  # that half of the calls take: as the alert AutobatchUpstreamSlow
NO_BATCHER = "no batcher"
FAILING, REFUSING = "failing", "refusing"
FAILING_SHARE = 0.1  # of its calls: as the alert AutobatchUpstreamFailing
REFUSING_SHARE = 0.5  # of its calls, with 429; fewer are what tells us how much it takes
LATE_WHY = "calls take far longer than others like them"


class StateAge:
    """For how long a part has been in its state, as the process knows that watches it."""

    def __init__(self) -> None:
        self._state = ""
        self._began_ms = 0

    def ms(self, state: str, now_ms: int) -> int:
        """Take note of its state; return for how many milliseconds it has been this one, 1 at least: 0 is not known."""
        if state != self._state:
            self._state, self._began_ms = state, now_ms
        return max(1, now_ms - self._began_ms)


def recent_rate(values: Sequence[int]) -> float:
    """Return the mean of the last seconds."""
    last = values[-RATE_S:]
    return round(sum(last) / len(last), 1) if last else 0.0


def worker_lines(workers: Iterable[WorkerActivity], now_ms: int) -> list[WorkerLine]:
    """Return a line for each worker that was heard within FORGOTTEN_MS."""
    return [
        _worker_line(each, now_ms) for each in sorted(workers, key=lambda each: each.id) if _is_shown(each.at, now_ms)
    ]


def _worker_line(worker: WorkerActivity, now_ms: int) -> WorkerLine:
    is_silent = now_ms - worker.at >= SILENT_MS
    level, state = SILENT if is_silent else worker_state(worker.cpu_share, worker.cpu_wait)
    return WorkerLine(
        id=worker.id,
        level=level,
        state=state,
        since_ms=worker.at if is_silent else _began_ms(worker.at, worker.unchanged_ms),
        alive_ms=worker.alive_ms,
        requests_per_s=0.0 if is_silent else recent_rate(worker.answered),
        refused_per_s=0.0 if is_silent else recent_rate(worker.refused),
        failed_per_s=0.0 if is_silent else recent_rate(worker.failed),
        waiting=0 if is_silent else worker.waiting[-1],
        cpu_share=worker.cpu_share,
        redis_ms=worker.redis_ms,
        took=Percentiles() if is_silent else percentiles_of(worker.took),
        cpu_wait=worker.cpu_wait,
        clock_ahead_ms=worker.clock_ahead_ms,
    )


def batcher_lines(models: Iterable[SeenModel], activities: Iterable[BatcherActivity], now_ms: int) -> list[BatcherLine]:
    """Return a line for each batcher that was heard within FORGOTTEN_MS."""
    said = {each.id: each for each in activities}
    active = {each.id: each for each in said.values() if now_ms - each.at < SILENT_MS}
    reports = [(model.name, report) for model in models for report in sorted(model.reports, key=lambda each: each.id)]
    reported = {report.id for _, report in reports}
    # Of one that died the others remove the report as soon as its lease has ended, and its activity is left.
    lost = [
        (each.model, BatcherStatus(each.at, 0, [], id=each.id))
        for each in said.values()
        if each.id not in reported and each.id not in active
    ]
    return [
        _batcher_line(report, model, active.get(report.id), now_ms)
        for model, report in (*reports, *lost)
        if _is_shown(report.at, now_ms)
    ]


def _batcher_line(report: BatcherStatus, model: str, active: BatcherActivity | None, now_ms: int) -> BatcherLine:
    is_silent = now_ms - report.at >= SILENT_MS
    cpu_wait = active.cpu_wait if active is not None else 0.0
    level, state = SILENT if is_silent else batcher_state(report, cpu_wait)
    return BatcherLine(
        id=report.id,
        model=model,
        level=level,
        state=state,
        since_ms=report.at if is_silent else _began_ms(report.at, active.unchanged_ms if active is not None else 0),
        alive_ms=report.alive_ms,
        texts_per_s=recent_rate(active.answered) if active is not None and not is_silent else 0.0,
        held=report.held,
        in_flight=sum(each.in_flight for each in report.upstreams),
        cpu_share=report.cpu_share,
        cpu_wait=cpu_wait,
        clock_ahead_ms=active.clock_ahead_ms if active is not None else 0,
    )


def batcher_state(report: BatcherStatus, cpu_wait: float) -> tuple[Level, str]:
    """Return how bad the state of a batcher is, and its word."""
    if report.is_stopping:
        return "warn", "stopping"
    level, state = worker_state(report.cpu_share, cpu_wait)
    is_on_duty = any(each.is_on_duty for each in report.upstreams)
    return level, state if state == "strained" or is_on_duty else "stands by"


def worker_state(cpu_share: float, cpu_wait: float) -> tuple[Level, str]:
    """Return the same of a worker that uses this share of a core, and waits for one this share of the time."""
    is_strained = cpu_share >= OWN_CPU_SHARE and cpu_share + cpu_wait >= STRAINED_CPU_SHARE
    return ("warn", "strained") if is_strained else ("good", "working")


def upstream_lines(
    models: Iterable[SeenModel], activities: Sequence[BatcherActivity], now_ms: int
) -> list[UpstreamLine]:
    """Return a line for each upstream that a live batcher has, in the order of INFERENCE_URL."""
    lines = []
    for model in models:
        reports = [report for report in model.reports if now_ms - report.at < SILENT_MS]
        for url in dict.fromkeys(each.url for report in reports for each in report.upstreams):
            seen = [(report, each) for report in reports for each in report.upstreams if each.url == url]
            of_model = [each for each in activities if each.model == model.name]
            lines.append(_upstream_line(url, model.name, seen, of_model))
    return lines


def _upstream_line(
    url: str, model: str, seen: Sequence[tuple[BatcherStatus, UpstreamStatus]], activities: Sequence[BatcherActivity]
) -> UpstreamLine:
    # The batcher on duty calls it, and knows it best.
    report, judge = max(seen, key=lambda each: (each[1].is_on_duty, each[1].may_be_called, each[0].id))
    active = [of_one for each in activities for of_one in each.upstreams if of_one.url == url]
    judged = next(
        (of_one for each in activities if each.id == report.id for of_one in each.upstreams if of_one.url == url), None
    )
    took = percentiles_of(summed(each.took for each in active))
    level, state = upstream_state(judge, took)
    failed = failure_words([each.failed for _, each in seen if each.failed is not None])
    return UpstreamLine(
        url=url,
        model=model,
        level=level,
        state=state,
        reason=_reason(judge, state, failed),
        failed=failed,
        since_ms=_began_ms(report.at, judged.unchanged_ms if judged is not None else judge.unchanged_ms),
        served=judge.card.name,
        texts_per_s=round(sum(each.inputs for each in active) / RECENT_S, 1),
        calls_per_s=round(sum(each.batches for each in active) / RECENT_S, 1),
        in_flight=sum(each.in_flight for _, each in seen),
        took=took,
        tuner=tuner_words(judge.learnt, None if judged is None else judged.tuning, _limit(judge.batch_inputs_max)),
    )


def _reason(judge: UpstreamStatus, state: str, failed: str) -> str:
    if state in (FAILING, REFUSING):
        return failed or LATE_WHY
    if judge.fault == NO_ANSWER and not judge.reason:
        return failed or NO_ANSWER  # calls have waited for longer than a probe does
    return obstacle_words(judge)


def _limit(inputs_max: int) -> int | None:
    return inputs_max if inputs_max < UNKNOWN_MAX else None


def upstream_state(upstream: UpstreamStatus, took: Percentiles) -> tuple[Level, str]:
    """Return how bad the state of an upstream is, and its word; its calls lately took so long."""
    if upstream.reason:
        return "bad", "excluded"
    if not upstream.is_healthy:
        return "bad", "silent" if upstream.fault == NO_ANSWER else "down"
    if not upstream.may_be_called:
        return "bad", FAILING
    if failing_share(upstream.failed) > FAILING_SHARE:
        return "warn", FAILING
    if refused_share(upstream.failed) > REFUSING_SHARE:
        return "warn", REFUSING
    return ("warn", "slow") if (took.p50_ms or 0.0) >= SLOW_MS else ("good", "up")


def model_lines(models: Iterable[SeenModel], now_ms: int) -> list[ModelLine]:
    """Return a line for each model."""
    return [_model_line(model, now_ms) for model in models]


def _model_line(model: SeenModel, now_ms: int) -> ModelLine:
    record = model.record
    live = [report for report in model.reports if now_ms - report.at < SILENT_MS]
    upstreams = [each for report in live for each in report.upstreams]
    card = next((each.card for each in upstreams if each.card.name and not each.reason), None)
    waiting = model.queued + model.queued_bulk
    drained_per_s = sum(report.drained_per_s for report in live)
    level, state = _model_state(live, upstreams)
    return ModelLine(
        name=model.name,
        level=level,
        state=state,
        since_ms=_model_since_ms(model, state, live),
        served=record.name if record is not None else (card.name if card is not None else ""),
        fingerprint=record.fingerprint if record is not None else "",
        dimension=record.dimension if record is not None else None,
        queued=model.queued,
        queued_bulk=model.queued_bulk,
        dead=model.dead,
        expired=model.expired,
        drain_s=round(waiting / drained_per_s, 1) if drained_per_s else None,
    )


def _model_since_ms(model: SeenModel, state: str, live: Sequence[BatcherStatus]) -> int:
    """Return since when the model is served, when a batcher was heard last, or when the last upstream was lost."""
    if not live:
        return max((report.at for report in model.reports), default=0)
    if state != "served":
        lost_ms = (_began_ms(report.at, each.unchanged_ms) for report in live for each in report.upstreams)
        return max(lost_ms, default=0)
    return model.record.since if model.record is not None else 0


def _model_state(live: Sequence[BatcherStatus], upstreams: Sequence[UpstreamStatus]) -> tuple[Level, str]:
    if not live:
        return "bad", NO_BATCHER
    if any(each.is_healthy for each in upstreams):
        return "good", "served"
    # What hangs may be only slow: requests wait for it until their deadlines.
    is_waited_for = any(each.fault == NO_ANSWER and not each.reason for each in upstreams)
    return "bad", "no answer" if is_waited_for else "no upstream"


def _began_ms(at_ms: int, unchanged_ms: int) -> int:
    return at_ms - unchanged_ms if unchanged_ms else 0


def _is_shown(at_ms: int, now_ms: int) -> bool:
    return now_ms - at_ms < FORGOTTEN_MS
