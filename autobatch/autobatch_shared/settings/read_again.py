"""What a process does with settings that it has read again, at SIGHUP: which it takes over, and which need a restart.

Flags and the environment of a process stay what they were, and count before the files: only `config.toml` and `.env` bring something.
"""

import logging
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from autobatch_shared.settings.definitions import CommonSettings
from autobatch_shared.settings.loading import SettingsError
from autobatch_shared.settings.origins import shown

log = logging.getLogger(__name__)

S = TypeVar("S", bound=CommonSettings)
R = TypeVar("R")


class Reload(NamedTuple):
    """What has changed, by the settings' names in lower case.

    Attributes:
        taken: What a process takes over.
        left: What needs a restart.
    """

    taken: tuple[str, ...]
    left: tuple[str, ...]


def compared(before: CommonSettings, after: CommonSettings) -> Reload:
    """Return what has changed between two readings of the settings of one process."""
    changed = [name for name in type(before).model_fields if getattr(before, name) != getattr(after, name)]
    return Reload(
        tuple(name for name in changed if name in before.reloaded),
        tuple(name for name in changed if name not in before.reloaded),
    )


def taken_over(before: S, after: S) -> S:
    """Return the settings with which the process goes on: what it takes over is new, and all else as it was."""
    return before.model_copy(update={name: getattr(after, name) for name in compared(before, after).taken})


def read_again(read: Callable[[], R]) -> R | None:
    """Return what `read` returns; None where the settings have faults, which are logged: then nothing may change."""
    try:
        return read()
    except SettingsError as error:
        log.error("reload_refused", extra={"faults": error.faults})  # noqa: TRY400 - the faults say it all
        return None


def log_reload(before: CommonSettings, after: CommonSettings, model: str | None = None) -> None:
    """Log what was taken over, with its new values, and what needs a restart."""
    reload = compared(before, after)
    of_model = {"model": model} if model else {}
    said = {name.upper(): shown(name, getattr(after, name)) for name in reload.taken}
    log.info("reloaded", extra={"changed": said, **of_model})
    if reload.left:
        log.warning("reload_needs_restart", extra={"settings": [name.upper() for name in reload.left], **of_model})
