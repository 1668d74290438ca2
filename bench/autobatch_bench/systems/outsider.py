"""Programs of others, started by the command that the user gives: another upstream, or another proxy beside ours."""

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outsider:
    """A program that listens on a port.

    Attributes:
        name: Of its side.
        command: What starts it. `{port}` stands for the port on which it must listen, `{upstream}` for the upstream's URL.
    """

    name: str
    command: str

    def argv(self, port: int, upstream: str = "") -> tuple[str, ...]:
        """Return the command with its places filled."""
        return tuple(
            word.replace("{port}", str(port)).replace("{upstream}", upstream) for word in shlex.split(self.command)
        )
