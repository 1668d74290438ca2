"""A number that only grows, kept in plain Python until it is brought over into a metric.

Adding to a metric that several processes share takes 1 us and more, adding here 30 ns.
"""


class Count:
    """A number that grows.

    Attributes:
        total: What was counted since the process began; who counts adds to it.
    """

    __slots__ = ("_taken", "total")

    def __init__(self) -> None:
        self.total = 0
        self._taken = 0

    def taken(self) -> int:
        """Return what was added since the last call."""
        added, self._taken = self.total - self._taken, self.total
        return added
