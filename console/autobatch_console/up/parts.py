"""What `autobatch up` knows about one program that it runs, before and while it runs it. Values only."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Ready:
    """How a part is asked whether it works: `GET /health` or `PING`, at a unix socket or at a TCP address."""

    protocol: Literal["http", "redis"]
    socket: Path | None = None
    host: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One program with what it needs to start, and how it wants to be stopped."""

    name: str
    argv: tuple[str, ...]
    ready: Ready
    address: str  # as people are told
    env: Mapping[str, str] = field(default_factory=dict)  # beats the environment of `autobatch up`
    version: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0  # then SIGKILL
    # What the kernel sends when `autobatch up` was killed with -9. Masters need SIGTERM to take their workers along.
    orphan_signal: signal.Signals = signal.SIGKILL


Stage = tuple[Part, ...]  # parts that start together, and stop together


@dataclass(frozen=True, slots=True)
class StartPlan:
    """What shall run: stages in the order of their start, files to write first, and what people should know."""

    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()  # what is used but not started, and what is not as configured

    @property
    def parts(self) -> tuple[Part, ...]:
        """All parts in the order of their start."""
        return tuple(part for stage in self.stages for part in stage)
