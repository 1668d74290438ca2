"""What the batcher counts of a batch that leaves."""

import pytest

from autobatch_batcher.forming.lanes import Batch, Reason
from autobatch_batcher.metrics import Metrics, ProcessMetrics, render
from tests.unit.builders import make_job


@pytest.mark.parametrize(
    ("waited_ms", "bound"), [(0, "0.0005"), (1, "0.00122"), (999, "1.23"), (1_000, "1.23"), (600_000, "+Inf")]
)
def test_a_wait_is_counted_where_it_belongs(waited_ms: int, bound: str) -> None:
    """Short waits are looked up, long ones searched."""
    metrics = Metrics()
    job = make_job("a", at=5_000)
    metrics.note_batch(Batch((job,), Reason.IDLE, 1, 1, 1, 5_000), 32, 5_000 + waited_ms, 0)
    metrics.take()
    text = render([("", metrics)], ProcessMetrics()).decode()
    counts = [line for line in text.splitlines() if line.startswith("autobatch_queue_wait_seconds_bucket")]
    first = next(line for line in counts if line.endswith(" 1.0"))
    assert first.startswith(f'autobatch_queue_wait_seconds_bucket{{le="{bound}"')
