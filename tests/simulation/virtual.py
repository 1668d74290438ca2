"""What the product asks the machine for - clocks, chance - and what it logs, while it runs under virtual time."""

import gc
import logging
import random
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

from autobatch_batcher import reporter as reporter_module
from autobatch_shared.redis import clock as clock_module
from tests.simulation.redis_model.server import UNIX_MS
from tests.simulation.timeline import Timeline


class _ErrorCatcher(logging.Handler):
    """Keeps what the product logs of exceptions that it did not foresee."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.seen.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


@contextmanager
def virtual(timeline: Timeline, cpu_share: float = 0.0) -> Iterator[_ErrorCatcher]:
    """Let the product's clocks be the timeline's, and its chance come from the seed.

    Args:
        timeline: The time that passes, and all chance.
        cpu_share: What each process uses of a core.
    """
    catcher = _ErrorCatcher()
    root = logging.getLogger()
    of_clock, of_reporter = vars(clock_module), vars(reporter_module)
    kept = (of_clock["time"], of_reporter["time"], secrets.token_hex, random.getstate())
    ids = random.Random(timeline.chance.random())
    of_clock["time"] = SimpleNamespace(monotonic=timeline.time_s, time=lambda: UNIX_MS / 1000 + timeline.now_s)
    of_reporter["time"] = SimpleNamespace(process_time=lambda: cpu_share * timeline.now_s)
    secrets.token_hex = lambda nbytes=8: ids.randbytes(nbytes or 8).hex()
    random.seed(ids.random())
    disabled = logging.root.manager.disable
    if disabled != logging.WARNING:  # each change costs 0.6 ms: every logger forgets what it found out
        logging.disable(logging.WARNING)
    root.addHandler(catcher)
    had_gc = gc.isenabled()
    gc.disable()
    try:
        yield catcher
    finally:
        if had_gc:
            gc.enable()
        root.removeHandler(catcher)
        of_clock["time"], of_reporter["time"], secrets.token_hex = kept[:3]
        random.setstate(kept[3])
        if disabled != logging.WARNING:
            logging.disable(disabled)
