"""The gunicorn worker: aiohttp's, with the backlog that gunicorn was configured with, and a stop that is announced first.

1. aiohttp listens again with a backlog of 128, also where the socket had a longer one. A unix socket refuses connections
   beyond that at once, and nginx answers 502 when all workers refuse: after a pause of a second 128 are few.
2. From SIGTERM on `/ready` is 503, and only after STOP_DELAY_MS no more connections are accepted.
3. Signals to stop are blocked from the fork until its loop runs, which is what hears them.
"""

import signal
from types import FrameType
from typing import Any

from aiohttp import web
from aiohttp.worker import GunicornUVLoopWebWorker

from autobatch_proxy.http.worker_readiness import READINESS

STOPS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})


class Worker(GunicornUVLoopWebWorker):
    """One worker process."""

    _has_backlog = False
    _runner: web.AppRunner | None = None

    def load_wsgi(self) -> None:
        """Load the factory of the runner, and remember the runner that it makes."""
        make = self.app.wsgi()

        async def make_and_remember() -> web.AppRunner:
            runner: web.AppRunner = await make()
            self._runner = runner
            return runner

        self.wsgi = make_and_remember

    def run(self) -> None:
        """Serve until stopped."""
        self.loop.call_soon(signal.pthread_sigmask, signal.SIG_UNBLOCK, STOPS)
        super().run()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """At SIGTERM: announce the stop, and stop after the delay."""
        if self._runner is None:
            super().handle_exit(sig, frame)
            return
        self._runner.app[READINESS].stop()
        self.loop.call_later(self.app.stop_delay_s, super().handle_exit, sig, frame)

    def notify(self) -> None:
        """Tell gunicorn that this worker lives; from the first time on that it serves, about once a second."""
        super().notify()
        if self.booted and not self._has_backlog:
            self._has_backlog = True
            sockets: list[Any] = self.sockets
            for sock in sockets:
                sock.listen(self.cfg.backlog)
