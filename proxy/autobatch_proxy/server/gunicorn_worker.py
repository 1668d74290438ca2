"""The gunicorn worker: aiohttp's, but it listens as gunicorn was told to."""

from typing import Any

from aiohttp.worker import GunicornUVLoopWebWorker


class Worker(GunicornUVLoopWebWorker):
    """Sets the backlog again once it serves.

    aiohttp listens anew with a backlog of 128, whatever the socket had. At a unix socket whoever comes beyond that is
    refused at once, and nginx answers 502 when all workers refuse: after a pause of a second 128 are few.
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
