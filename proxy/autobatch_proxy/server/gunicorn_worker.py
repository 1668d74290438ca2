"""The gunicorn worker: aiohttp's, with the backlog that gunicorn was configured with."""

from typing import Any

from aiohttp.worker import GunicornUVLoopWebWorker


class Worker(GunicornUVLoopWebWorker):
    """Sets the backlog again once it serves.

    aiohttp listens again with a backlog of 128, also where the socket had a longer one. A unix socket refuses connections
    beyond that at once, and nginx answers 502 when all workers refuse: after a pause of a second 128 are few.
    """

    _has_backlog = False

    def notify(self) -> None:
        """Tell gunicorn that this worker lives; from the first time on that it serves, about once a second."""
        super().notify()
        if self.booted and not self._has_backlog:
            self._has_backlog = True
            sockets: list[Any] = self.sockets
            for sock in sockets:
                sock.listen(self.cfg.backlog)
