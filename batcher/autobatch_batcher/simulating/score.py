"""What a run was good for. Pure."""

from dataclasses import dataclass
from math import ceil

from autobatch_batcher.simulating.clients import RunHistory


@dataclass(frozen=True, slots=True)
class Score:
    """Of a part of a run.

    Attributes:
        goodput: Inputs that were answered well, a second; where they arrive by themselves, no more than arrived meanwhile: who
            has a backlog to work off is not better for that.
        p50_ms: Median of the latency of its requests, bulk requests not counted.
        p99_ms: What 99 of 100 took at most.
        batch: Mean inputs of a call.
        padding: Share of what a padding upstream computed that was padding.
        failed: Requests that were not answered well.
    """

    goodput: float
    p50_ms: float
    p99_ms: float
    batch: float
    padding: float
    failed: int


def score(history: RunHistory, since_s: float, until_s: float) -> Score:
    """Return the score of what ended between the two, in seconds from the beginning."""
    answered = [each for each in history.answered if since_s <= each.ended_s < until_s]
    calls = [each for each in history.calls if since_s <= each.at_s < until_s]
    good = [each for each in answered if each.is_good]
    latencies_ms = sorted([1000 * (each.ended_s - each.sent_s) for each in good if not each.asked.is_bulk])
    units = sum([each.inputs * each.longest for each in calls])
    replied, arrived = (
        sum([inputs for at_s, inputs in noted if since_s <= at_s < until_s])
        for noted in (history.replied, history.arrived)
    )
    return Score(
        goodput=(min(replied, arrived) if arrived else replied) / (until_s - since_s),
        p50_ms=quantile(latencies_ms, 0.5),
        p99_ms=quantile(latencies_ms, 0.99),
        batch=sum([each.inputs for each in calls]) / len(calls) if calls else 0.0,
        padding=1 - sum([each.useful for each in calls]) / units if units else 0.0,
        failed=len(answered) - len(good),
    )


def quantile(ascending: list[float], share: float) -> float:
    """Return what this share of the values is at most; 0 of none."""
    return ascending[ceil(share * len(ascending)) - 1] if ascending else 0.0
