"""The seconds that this terminal has seen, for a chart that goes further back than what processes say. Pure."""

from collections.abc import Iterable

from autobatch_shared.watching.view import ChartSecond

ZOOMS_S = (15, 30, 60, 180, 600)


class ChartHistory:
    """The last ten minutes, and how much of them is shown.

    Attributes:
        zoom_s: Seconds that are shown.
    """

    def __init__(self) -> None:
        self.zoom_s = 60
        self._seconds: dict[int, ChartSecond] = {}

    def add(self, seconds: Iterable[ChartSecond]) -> None:
        """Take note of seconds; what is said of one anew counts."""
        self._seconds.update((each.at_s, each) for each in seconds)
        newest_s = max(self._seconds, default=0)
        self._seconds = {at_s: each for at_s, each in self._seconds.items() if at_s > newest_s - ZOOMS_S[-1]}

    def shown(self) -> list[ChartSecond]:
        """Return the seconds of the chart, the newest last; those that were not seen are empty."""
        newest_s = max(self._seconds, default=0)
        return [
            self._seconds.get(at_s) or ChartSecond(at_s, 0, 0, 0, 0)
            for at_s in range(newest_s - self.zoom_s + 1, newest_s + 1)
        ]

    def zoom(self, steps: int) -> None:
        """Show more of the past, or less where `steps` is negative."""
        place = ZOOMS_S.index(self.zoom_s) + steps
        self.zoom_s = ZOOMS_S[min(max(place, 0), len(ZOOMS_S) - 1)]
