"""What a worker looks at once a second: what it has counted, what `/status` says of it, and what its log should warn of."""

import logging
import math
import time
from collections.abc import Callable

from autobatch_proxy.dialects.vendors.input_types import InputTypes
from autobatch_proxy.http.pages.status_page import StatusPage
from autobatch_proxy.metrics import WorkerMetrics
from autobatch_proxy.requests.alone import AloneShare
from autobatch_proxy.server.open_files import OpenFiles

log = logging.getLogger(__name__)

EVERY_S = 1.0  # how old the numbers may be that another worker is asked for


class WorkerLook:
    """One look after the other.

    Args:
        metrics: Counts how late a look is: as late was every answer.
        take: Brings over what was counted in plain Python.
        status_page: Notes since when each part has been in its state.
        share: Knows the requests that share no call.
        input_types: Knows those that mean nothing here.
    """

    def __init__(
        self,
        metrics: WorkerMetrics,
        take: Callable[[], None],
        status_page: StatusPage,
        share: AloneShare,
        input_types: InputTypes,
    ) -> None:
        self._metrics = metrics
        self._take = take
        self._status_page = status_page
        self._share = share
        self._input_types = input_types
        self._open_files = OpenFiles(metrics.open_files_exhausted_s)
        self._due_s = math.inf

    async def look(self) -> float:
        """Look once; return the seconds until the next time."""
        now_s = time.monotonic()
        self._metrics.look(max(now_s - self._due_s, 0.0))
        self._due_s = now_s + EVERY_S
        self._open_files.look(now_s)
        self._take()
        self._status_page.look()
        self._warn(now_s)
        return EVERY_S

    def _warn(self, now_s: float) -> None:
        """Log that batching does little here, and why, and that input types mean nothing: clients see no other sign of either."""
        if finding := self._share.look(now_s):
            log.warning("requests_not_batched", extra={"share": finding.share, "reasons": finding.reasons})
        if kinds := self._input_types.take_unsaid():
            log.warning("input_types_without_prompt", extra={"input_types": kinds, "setting": "INPUT_TYPE_PROMPTS"})
