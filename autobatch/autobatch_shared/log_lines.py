"""What one line of the log says: its event, its level, who logged it, the fields of `extra`, when, which process, what was raised."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

#: What every record has; whatever else one has was given as `extra`.
_OF_EVERY_RECORD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

EVENT_COLUMNS = 30
_DIM, _BOLD, _PLAIN = "\x1b[2m", "\x1b[1m", "\x1b[0m"
_COLOURS = {"debug": "\x1b[32m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}


class JsonLines(logging.Formatter):
    """One object a line; a value that JSON has not is its repr."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            **_fields(record),
            "timestamp": _timestamp(record),
            "process": self._process,
        }
        if exception := _exception(self, record):
            said["exception"] = exception
        return json.dumps(said, default=repr)


class TextLines(logging.Formatter):
    """For people: one line, and the traceback below it; coloured on a terminal."""

    def __init__(self, process: str, *, is_coloured: bool) -> None:
        super().__init__()
        self._process = process
        self._is_coloured = is_coloured

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or the lines."""
        level = record.levelname.lower()
        fields = " ".join(f"{name}={_shown(value)}" for name, value in sorted(_fields(record).items()))
        line = (
            f"{self._in(_DIM, _timestamp(record))} [{self._in(_COLOURS.get(level, _BOLD), f'{level:9}')}] "
            f"{self._in(_BOLD, f'{record.getMessage():{EVENT_COLUMNS}}')} [{record.name}] process={self._process} {fields}"
        ).rstrip()
        exception = _exception(self, record)
        return f"{line}\n{exception}" if exception else line

    def _in(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_PLAIN}" if self._is_coloured else text


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}


def _timestamp(record: logging.LogRecord) -> str:
    return f"{datetime.fromtimestamp(record.created, UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    raised = record.exc_info
    return formatter.formatException(raised) if raised and raised[1] else ""


def _shown(value: object) -> str:
    """A text as it is, unless it has a space or something that a terminal would obey."""
    is_plain = isinstance(value, str) and value.isprintable() and " " not in value and value
    return str(value) if is_plain else repr(value)
