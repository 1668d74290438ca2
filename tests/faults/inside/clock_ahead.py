"""Set this process's wall clock an hour ahead while the file CLOCK_STEP exists."""

import os
import time

STEP_S = 3600
_file = os.environ.get("CLOCK_STEP", "")
_time, _time_ns = time.time, time.time_ns


def stepped() -> float:
    """As `time.time`, an hour later after the step."""
    return _time() + STEP_S * os.path.exists(_file)  # noqa: PTH110 - asked at every look at the clock


def stepped_ns() -> int:
    """As `time.time_ns`, an hour later after the step."""
    return _time_ns() + STEP_S * 10**9 * os.path.exists(_file)  # noqa: PTH110


def install() -> None:
    """Replace the clock, in processes that have that variable."""
    if _file:
        time.time, time.time_ns = stepped, stepped_ns
