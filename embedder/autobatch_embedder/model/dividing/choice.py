"""Choose how the cores are divided: as the settings say, as an earlier start found, or by a measurement.

What was found is kept in a file whose name identifies what it depends on: where the CPU, the cores that the process may
use, the graph or onnxruntime are others, there is no such file, and the next start measures again.
"""

import hashlib
import logging
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import orjson

from autobatch_embedder.model.dividing.division import Division, Times, best, candidates, fastest

log = logging.getLogger(__name__)

MEASUREMENT_VERSION = 4
"""Raise it with every change of what is measured, or of how passes are cut."""

ROUNDS = 2
"""Each loads the graph anew for each division."""


@dataclass(frozen=True, slots=True)
class ChosenDivision:
    """A division, and why it was chosen."""

    division: Division
    reason: Literal["set", "one core", "measured", "remembered"]

    @property
    def shown(self) -> dict[str, object]:
        """For logs and /info."""
        return {"workers": self.division.workers, "threads": self.division.threads, "chosen": self.reason}


def choose(
    workers: int | None,
    threads: int | None,
    cores: int,
    file: Path,
    measure: Callable[[Division], Times],
) -> ChosenDivision:
    """Return the division to use, and log why.

    Args:
        workers: As set; with either setting nothing is measured, and what is not set follows from the other.
        threads: As set.
        cores: That this process may use.
        file: `file_of`; where an earlier start kept what it found.
        measure: Returns how long the kinds of calls took.
    """
    measured: Mapping[Division, Times] = {}
    if workers or threads:
        choice = ChosenDivision(Division(workers or threads or cores, threads or cores), "set")
    elif cores == 1:
        choice = ChosenDivision(Division(1, 1), "one core")
    elif (kept := _read(file, cores)) is not None:
        choice = ChosenDivision(kept, "remembered")
    else:
        # In turn, so that what else the machine does for a second spoils a round of each and not all of one.
        rounds = [{division: measure(division) for division in candidates(cores)} for _ in range(ROUNDS)]
        measured = {division: fastest(each[division] for each in rounds) for division in rounds[0]}
        choice = ChosenDivision(best(measured), "measured")
        _keep(file, choice.division, measured)
    times = {"times_ms": {str(division): times for division, times in measured.items()}} if measured else {}
    log.info("cores_divided", extra={"cores": cores, **choice.shown, **times})
    return choice


def file_of(folder: Path, **depends_on: object) -> Path:
    """Return the file for what a measurement depends on."""
    text = orjson.dumps(depends_on | {"measurement": MEASUREMENT_VERSION}, option=orjson.OPT_SORT_KEYS)
    return folder / f"cores-{hashlib.sha256(text).hexdigest()[:16]}.json"


def _read(file: Path, cores: int) -> Division | None:
    try:
        found = orjson.loads(file.read_bytes())
        division = Division(found["workers"], found["threads"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return division if division in candidates(cores) else None


def _keep(file: Path, division: Division, measured: Mapping[Division, Times]) -> None:
    times = {str(each): dict(times) for each, times in measured.items()}
    content = {"workers": division.workers, "threads": division.threads, "times_ms": times}
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
