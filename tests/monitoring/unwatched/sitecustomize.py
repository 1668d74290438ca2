"""What Python runs at its start where this folder is on PYTHONPATH: a signal takes all that is counted, kept or published for people out of a process, and the next one puts it back."""

import signal
import sys
from typing import Any

OFF, ON = signal.SIGRTMIN + 5, signal.SIGRTMIN + 6
taken: list[tuple[type, str, Any, Any]] = []  # class, name, the method, and what stands for it


def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


async def _publish_nothing(*_: object) -> None:
    """Publish nothing."""


def _take(cls: type, *names: str, instead: Any = _nothing) -> None:
    taken.extend((cls, name, getattr(cls, name), instead) for name in names)


def _switch(number: int, _frame: object) -> None:
    for cls, name, method, instead in taken:
        setattr(cls, name, method if number == ON else instead)


if {"autobatch_proxy", "autobatch_batcher"} & set(sys.orig_argv):
    from autobatch_shared.redis.watching.activities import Activities

    _take(Activities, "publish", instead=_publish_nothing)
    for number in (OFF, ON):
        signal.signal(number, _switch)
if "autobatch_proxy" in sys.orig_argv:
    from autobatch_proxy.metrics import WorkerMetrics
    from autobatch_proxy.worker_activity import WorkerActivityPublisher

    _take(WorkerMetrics, "answered", "replied", "shares_no_call", "look", "take")
    _take(WorkerActivityPublisher, "_activity")
if "autobatch_batcher" in sys.orig_argv:
    from autobatch_batcher.batcher_activity import BatcherActivityPublisher
    from autobatch_batcher.claiming.loop import WorkingLoop
    from autobatch_batcher.metrics import Metrics, ProcessMetrics

    _take(Metrics, "note_batch", "note_call", "note_upstream", "note_tuning", "note_redis", "take")
    _take(ProcessMetrics, "note")
    _take(BatcherActivityPublisher, "_activity")
    _take(WorkingLoop, "_note_ended")
