"""Programs of others, started by the command that the user gives: another upstream, or another proxy beside ours."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outsider:
    """A program that listens on a port.

    Attributes:
        name: Of its side.
        command: What starts it. `{port}` stands for the port on which it must listen, `{upstream}` for the upstream's URL,
            `{grpc_port}` for another port, of an upstream that proxies call over gRPC.
    """

    name: str
    command: str

    @property
    def has_grpc(self) -> bool:
        """Whether it listens on a second port, with gRPC."""
        return "{grpc_port}" in self.command

    def argv(self, port: int, upstream: str = "", grpc_port: int = 0) -> tuple[str, ...]:
        """Return the command with its places filled."""
        places = {"{port}": str(port), "{upstream}": upstream, "{grpc_port}": str(grpc_port)}
        return tuple(_filled(word, places) for word in shlex.split(self.command))


def _filled(word: str, places: Mapping[str, str]) -> str:
    for place, value in places.items():
        word = word.replace(place, value)
    return word
