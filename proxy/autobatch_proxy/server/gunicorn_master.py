"""The gunicorn master: gunicorn's own, which at SIGHUP replaces its workers only where the settings can be read.

It waits there until the old workers have ended, as long as a request may take; a new one that dies meanwhile is replaced at once.
A worker that is told to stop before it listens for that hears it once it does.
"""

import signal

from gunicorn.arbiter import Arbiter

from autobatch_proxy.server.gunicorn_worker import STOPS


class GunicornMaster(Arbiter):  # type: ignore[misc]
    """Starts, watches and replaces the workers of one host."""

    _oldest_new: int | None = None  # the age of the first new worker, while old ones are waited for

    def reload(self) -> None:
        """Let new workers take over, and the old ones finish what they have; with faults in the settings nothing happens."""
        if not self.app.read_settings_again():
            return
        self._oldest_new = self.worker_age + 1
        try:
            super().reload()
        finally:
            self._oldest_new = None

    def spawn_worker(self) -> int:
        """Fork a worker and return its pid; the worker itself does not return from here.

        It inherits handlers that are of no use to it. So signals wait while they are blocked, until its loop runs.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            pid: int = super().spawn_worker()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        return pid

    def reap_workers(self) -> None:
        """Take note of workers that have ended, and replace new ones among them while the old ones are waited for."""
        super().reap_workers()
        if self._oldest_new is not None:
            new = [worker for worker in self.WORKERS.values() if worker.age >= self._oldest_new]
            for _ in range(self.num_workers - len(new)):
                self.spawn_worker()
