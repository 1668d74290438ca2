"""What `autobatch up` knows about one program that it runs, before and while it runs it. Values only."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Ready:
    """How to ask a part whether it is ready: `GET /health` or `PING`, at a unix socket or at a TCP address."""

    protocol: Literal["http", "redis"]
    socket: Path | None = None
    host: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One program with what it needs to start, and how it is stopped."""

    name: str
    argv: tuple[str, ...]
    ready: Ready
    address: str  # as printed
    env: Mapping[str, str] = field(default_factory=dict)  # overrides the environment of `autobatch up`
    version: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0  # then SIGKILL
    # Sent by the kernel when `autobatch up` was killed with -9. Masters need SIGTERM to stop their workers, too.
    orphan_signal: signal.Signals = signal.SIGKILL
    is_early: bool = False  # starts with the stage before its own, which it needs to be ready, and not to start


Stage = tuple[Part, ...]  # parts that start together, and stop together


@dataclass(frozen=True, slots=True)
class StartPlan:
    """What to run: stages in the order of their start, and notes to print. The last stage is what clients reach."""

    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()  # what is used but not started, and what is not as configured

    @property
    def address(self) -> str:
        """The URL that clients ask."""
        return self.stages[-1][-1].address

    def launched_with(self, number: int) -> tuple[Stage, ...]:
        """The stage of this number, and those behind it that start with it."""
        behind = takewhile(lambda stage: any(part.is_early for part in stage), self.stages[number + 1 :])
        return self.stages[number], *behind

    def part(self, name: str) -> Part:
        """The part of this name."""
        return next(part for part in self.parts if part.name == name)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts in the order of their start."""
        return tuple(part for stage in self.stages for part in stage)
