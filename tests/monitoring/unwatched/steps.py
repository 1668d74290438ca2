"""The steps of a request that count, keep or carry something for people, timed by themselves: the least of many rounds, microseconds a request."""

from collections import deque
from collections.abc import Callable
from time import perf_counter
from types import SimpleNamespace

import msgspec

from autobatch_batcher.claiming.loop import WorkingLoop
from autobatch_batcher.forming.lanes import Reason
from autobatch_batcher.metrics import Metrics
from autobatch_proxy.metrics import WorkerMetrics
from autobatch_proxy.requests.plan import RequestNames
from autobatch_shared.contract.frames import JobHeader, ReplyHeader

ROUNDS, TIMES = 1000, 100
UNTRACED = msgspec.defstruct(
    "Untraced",
    [
        (each.name, each.type, *(() if each.required else (each.default,)))
        for each in msgspec.structs.fields(JobHeader)
        if each.name != "trace"
    ],
    frozen=True,
    omit_defaults=True,
)


def least_us(step: Callable[[], object]) -> float:
    """Return what a step takes at least."""
    least_s = float("inf")
    for _ in range(ROUNDS):
        began_s = perf_counter()
        for _ in range(TIMES):
            step()
        least_s = min(least_s, perf_counter() - began_s)
    return 1e6 * least_s / TIMES


def all_us() -> dict[str, float]:
    """Return the steps by name."""
    worker, batcher = WorkerMetrics(), Metrics()
    reply = ReplyHeader("id", 200)
    nothing_us = least_us(lambda: None)

    def count() -> None:
        worker.answered("/embed", 200, 0.0123)
        worker.replied(reply, 1, 90, 0.0123)

    found = {"worker, a request": least_us(count) - nothing_us}
    for jobs in (8, 32):
        found[f"batcher, a request in batches of {jobs}"] = (least_us(_batch_step(batcher, jobs)) - nothing_us) / jobs
    found["a request that is not traced, header with the field"] = least_us(_header_step(JobHeader))
    found["a request that is not traced, header without"] = least_us(_header_step(UNTRACED))
    return found


def _batch_step(metrics: Metrics, jobs: int) -> Callable[[], None]:
    header = SimpleNamespace(at=1000, route="/embed")
    job = SimpleNamespace(header=header, body=b"x" * 70, per_token=4, called_us=0)
    batch = SimpleNamespace(
        jobs=[job] * jobs, inputs=jobs, units=80 * jobs, useful=75 * jobs, reason=Reason.FULL, oldest_ms=5.0
    )
    working = SimpleNamespace(
        _clock=SimpleNamespace(now_ms=lambda: 1005), recent=SimpleNamespace(ended=deque(maxlen=10_000))
    )
    slot = SimpleNamespace(upstream=SimpleNamespace(name="http://tei"), called_s=0.004)

    def step() -> None:
        metrics.note_batch(batch, 32, 1005, 0)  # type: ignore[arg-type]  # has what is read of it
        metrics.note_call("http://tei", 200, 0.004)
        WorkingLoop._note_ended(working, batch, slot, 32, jobs, 0)  # type: ignore[arg-type]

    return step


def _header_step(header: type) -> Callable[[], object]:
    """Name a request, write its job's header, and read it."""
    write = msgspec.json.Encoder().encode
    read: Callable[[bytes], object] = msgspec.json.Decoder(header).decode
    fields = {
        "id": "w1.123456.0.1",
        "n": 1,
        "at": 1000,
        "deadline": 2000,
        "route": "/embed",
        "longest": 70,
        "request": "0" * 16,
    }
    if header is JobHeader:

        def step() -> object:
            return read(write(JobHeader(**fields, trace=RequestNames("0" * 16).trace)))  # type: ignore[arg-type]
    else:

        def step() -> object:
            return read(write(header(**fields)))

    return step
