"""Events with fields, one line each, to stderr."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest

from autobatch_shared import logs
from autobatch_shared.settings.definitions import CommonSettings

Configure = Callable[..., None]
Lines = Callable[[], list[dict[str, Any]]]

log = logging.getLogger("autobatch_batcher.calling.caller")


@pytest.fixture
def configure() -> Iterator[Configure]:
    """`logs.configure`, undone after the test. The root logger is pytest's until then."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()

    def configure(log_format: Literal["json", "text"] = "json", log_level: str = "info") -> None:
        settings = CommonSettings.model_construct(log_format=log_format, log_level=log_level)
        logs.configure(settings, "batcher")

    yield configure
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What was logged as JSON since the last look; nothing may go to stdout."""

    def read() -> list[dict[str, Any]]:
        out, err = capsys.readouterr()
        assert out == ""
        return [json.loads(line) for line in err.splitlines()]

    return read


def fail_and_log(reason: str) -> None:
    try:
        int(reason)
    except ValueError:
        log.exception("turn_failed", extra={"jobs": 3})


def test_a_line_has_the_event_and_its_fields(configure: Configure, lines: Lines) -> None:
    configure()

    log.warning("upstream_retry", extra={"attempt": 2, "upstream": "http://u"})

    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "upstream_retry",
        "attempt": 2,
        "upstream": "http://u",
        "level": "warning",
        "logger": "autobatch_batcher.calling.caller",
        "process": "batcher",
    }


def test_libraries_log_the_same_way(configure: Configure, lines: Lines) -> None:
    configure()

    logging.getLogger("asyncio").error("Task %s was %s", "x", "destroyed")

    (line,) = lines()
    assert (line["event"], line["logger"]) == ("Task x was destroyed", "asyncio")


def test_a_failure_is_one_line_with_its_traceback(configure: Configure, lines: Lines) -> None:
    configure()

    fail_and_log("of two\nlines")

    (line,) = lines()
    assert (line["event"], line["jobs"], line["level"]) == ("turn_failed", 3, "error")
    assert "Traceback" in line["exception"]
    assert line["exception"].endswith(r"ValueError: invalid literal for int() with base 10: 'of two\nlines'")


def test_any_value_and_any_text_stay_in_their_line(configure: Configure, lines: Lines) -> None:
    configure()

    log.info("odd", extra={"text": "a\nb\u2028\x85\x1b[0m", "raw": b"\xff", "thing": {1, 2}, "none": None})

    (line,) = lines()
    assert (line["text"], line["raw"], line["none"]) == ("a\nb\u2028\x85\x1b[0m", r"b'\xff'", None)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_less_than_the_level_is_not_logged(configure: Configure, lines: Lines, level: str, expected: list[str]) -> None:
    configure(log_level=level)

    for each in ("debug", "info", "warning", "error"):
        getattr(log, each)(each)

    assert [line["event"] for line in lines()] == expected


def test_a_second_configuration_takes_the_place_of_the_first(configure: Configure, lines: Lines) -> None:
    configure()
    configure(log_level="error")

    log.error("once")
    log.info("never")

    assert [line["event"] for line in lines()] == ["once"]


def test_text_is_for_people(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    configure(log_format="text")

    log.warning("upstream_retry", extra={"attempt": 2})
    fail_and_log("reason")

    first, *rest = capsys.readouterr().err.splitlines()
    assert "upstream_retry" in first
    assert "attempt" in first
    assert any("turn_failed" in line for line in rest)
    assert rest[-1] == "ValueError: invalid literal for int() with base 10: 'reason'"
