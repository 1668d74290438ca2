"""A slow reader that follows all rules of TEI's, the embedder's: it judges the readers that are fast."""

from autobatch_embedder.bodies.json_reader import JsonReader
from tests.unit.planning import Members


class Serde(JsonReader):
    """The first value of a body. Raises `Fault` where there is none of the kind that is asked for."""

    def raw_members(self) -> list[tuple[str, bytes]]:
        """The members of an object; their values are skipped."""
        found: list[tuple[str, bytes]] = []
        if self.begin() != b"{":
            raise self.fault("no object")
        self.index += 1
        while (name := self.key(is_first=not found)) is not None:
            self.colon()
            self.begin()
            start = self.index
            self.skip()
            found.append((name, self._body[start : self.index]))
        return found

    def fields(self, *names: str) -> Members:
        """The members of an object that have these names, with their values."""
        return Members((name, Serde(raw).anything()) for name, raw in self.raw_members() if name in names)

    def raw_list(self) -> bytes:
        """A list, with what is before it."""
        if self.begin() != b"[":
            raise self.fault("no list")
        self.skip()
        return self._body[: self.index]
