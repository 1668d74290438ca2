"""Choose how the cores are divided: as the settings say, as an earlier start found, or by a measurement.

What was found is kept in a file whose name identifies what it depends on: where the CPU, the cores that the process may
use, the graph or onnxruntime are others, there is no such file, and the next start measures again. So it does where other
programs kept the cores busy: what they left of a division's speed is not how fast it is.
"""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from autobatch_embedder.model.dividing.division import (
    Division,
    Measurement,
    Times,
    best,
    candidates,
    fastest,
    is_disturbed,
)

log = logging.getLogger(__name__)

MEASUREMENT_VERSION = 5
"""Raise it with every change of what is measured, or of how passes are cut."""

ROUNDS = 2
"""Each loads the graph anew for each division."""

DISTURBED_STARTS_MAX = 3
"""Starts that measure beside other programs; then the fastest calls of all of them decide. A machine may always be busy."""


@dataclass(frozen=True, slots=True)
class ChosenDivision:
    """A division, and why it was chosen."""

    division: Division
    reason: Literal["set", "one core", "measured", "measured beside others", "remembered"]

    @property
    def shown(self) -> dict[str, object]:
        """For logs and /info."""
        return {"workers": self.division.workers, "threads": self.division.threads, "chosen": self.reason}


def choose(
    workers: int | None,
    threads: int | None,
    cores: int,
    file: Path,
    measure: Callable[[Division], Measurement],
) -> ChosenDivision:
    """Return the division to use, and log why.

    Args:
        workers: As set; with either setting nothing is measured, and what is not set follows from the other.
        threads: As set.
        cores: That this process may use.
        file: `file_of`; where an earlier start kept what it found.
        measure: Returns how long the kinds of calls took, and whether other programs were in the way.
    """
    measured: Mapping[Division, Times] = {}
    kept = _read(file, cores)
    if workers or threads:
        choice = ChosenDivision(Division(workers or threads or cores, threads or cores), "set")
    elif cores == 1:
        choice = ChosenDivision(Division(1, 1), "one core")
    elif kept and kept.disturbed_starts in {0, DISTURBED_STARTS_MAX}:
        choice = ChosenDivision(kept.division, "remembered")
    else:
        # In turn, so that what else the machine does for a second spoils a round of each and not all of one.
        rounds = [{division: measure(division) for division in candidates(cores)} for _ in range(ROUNDS)]
        measured = {division: fastest(each[division].times for each in rounds) for division in rounds[0]}
        disturbed_starts = 0
        if is_disturbed(rounds):
            disturbed_starts = 1
            if kept:
                disturbed_starts += kept.disturbed_starts
                measured = {division: fastest([times, kept.times[division]]) for division, times in measured.items()}
        choice = ChosenDivision(best(measured), "measured beside others" if disturbed_starts else "measured")
        _keep(file, _Kept(choice.division, measured, disturbed_starts))
    times = {"times_ms": {str(division): times for division, times in measured.items()}} if measured else {}
    log.info("cores_divided", extra={"cores": cores, **choice.shown, **times})
    return choice


def file_of(folder: Path, **depends_on: object) -> Path:
    """Return the file for what a measurement depends on."""
    text = orjson.dumps(depends_on | {"measurement": MEASUREMENT_VERSION}, option=orjson.OPT_SORT_KEYS)
    return folder / f"cores-{hashlib.sha256(text).hexdigest()[:16]}.json"


@dataclass(frozen=True, slots=True)
class _Kept:
    """What starts found.

    Attributes:
        division: The best.
        times: Of each division.
        disturbed_starts: That measured beside other programs; 0: the last one did not.
    """

    division: Division
    times: Mapping[Division, Times]
    disturbed_starts: int


def _read(file: Path, cores: int) -> _Kept | None:
    try:
        found = orjson.loads(file.read_bytes())
        times = {
            division: {kind: float(time) for kind, time in found["times_ms"][str(division)].items()}
            for division in candidates(cores)
        }
        kept = _Kept(Division(found["workers"], found["threads"]), times, int(found["disturbed_starts"]))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    return kept if kept.division in times else None


def _keep(file: Path, kept: _Kept) -> None:
    content = {
        "workers": kept.division.workers,
        "threads": kept.division.threads,
        "times_ms": {str(each): dict(times) for each, times in kept.times.items()},
        "disturbed_starts": kept.disturbed_starts,
    }
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # Two starts at once: each writes a file of its own, and the later one replaces the other's.
        with tempfile.NamedTemporaryFile(dir=file.parent, prefix=file.stem, suffix=".part", delete=False) as written:
            written.write(orjson.dumps(content))
        path = Path(written.name)
        path.chmod(0o644)  # an image may be built as root and run as another user
        path.replace(file)
    except OSError as error:
        log.warning("cores_choice_not_kept", extra={"file": str(file), "reason": str(error)})
