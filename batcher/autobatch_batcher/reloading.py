"""SIGHUP: a batcher reads its files again and goes on by what they say, as far as that may change while requests wait."""

import logging
from collections.abc import Callable, Sequence

from autobatch_batcher.app import ModelAtWork
from autobatch_shared import logs
from autobatch_shared.settings.definitions import BatcherSettings
from autobatch_shared.settings.read_again import log_reload, read_again, taken_over

log = logging.getLogger(__name__)


class Reloading:
    """The settings of one batcher process, read as often as it is told to.

    Args:
        read: Returns the settings of each model, from the same sources as at the start.
    """

    def __init__(self, read: Callable[[], list[BatcherSettings]]) -> None:
        self._works: Sequence[ModelAtWork] = ()
        self._read = read

    def take(self, works: Sequence[ModelAtWork]) -> None:
        """Change these from now on; before that there is nothing to change."""
        self._works = works

    def reload(self) -> None:
        """Read, and go on by what may change; what may not is logged. With a fault in the settings nothing changes."""
        found = read_again(self._read)
        if found is None or not self._works:
            return
        read = {each.served_model_name: each for each in found}
        served = {each.settings.served_model_name: each for each in self._works}
        for name, work in served.items():
            if name in read:
                log_reload(work.settings, read[name], name)
                work.go_on_by(taken_over(work.settings, read[name]))
        if served.keys() != read.keys():
            log.warning(
                "reload_needs_restart", extra={"settings": ["SERVED_MODEL_NAME"], "models": sorted(map(str, read))}
            )
        logs.configure(self._works[0].settings, "batcher")
