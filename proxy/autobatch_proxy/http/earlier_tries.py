"""How much of a request's time was spent at other workers: nginx sends a request whose worker died to the next one.

    x-request-start: t=1700000000.123

nginx says in it when it first sent the request, and repeats the same bytes at each try. Its clock need not agree with
ours: the shortest time that requests of one nginx were on their way lately is the difference of the clocks. A time that no
request can have had says nothing, and the request has its whole time.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_S = 10.0  # how long a difference is kept after a clock was set: once to twice as long
PEERS_MAX = 1000
UNIX_S_MIN, UNIX_S_MAX = 1e9, 1e10  # others write milliseconds into this header


@dataclass(slots=True)
class _Shortest:
    """The shortest times on their way that requests of one peer had, in this window and in the one before."""

    since_s: float
    now_s: float
    before_s: float


class EarlierTries:
    """What one worker knows of the clocks of those who send it requests.

    Args:
        unix_s: Returns the time now, in seconds since 1970.
    """

    def __init__(self, unix_s: Callable[[], float] = time.time) -> None:
        self._unix_s = unix_s
        self._shortest: dict[str, _Shortest] = {}

    def spent_s(self, said: str, peer: str, time_max_s: float) -> float:
        """Return how many seconds of a request's time were spent before it came here.

        Args:
            said: The header's value.
            peer: The address of who sent it; requests of one peer are timed by one clock.
            time_max_s: The request's whole time.
        """
        sent_s = _unix_s_in(said)
        if sent_s is None:
            return 0.0
        now_s = self._unix_s()
        way_s = now_s - sent_s
        shortest = self._shortest.get(peer)
        if shortest is None or not 0 <= now_s - shortest.since_s < 2 * WINDOW_S:
            if len(self._shortest) >= PEERS_MAX:
                self._shortest.clear()
            self._shortest[peer] = _Shortest(now_s, way_s, way_s)
            return 0.0
        if now_s - shortest.since_s > WINDOW_S:
            shortest.since_s, shortest.before_s, shortest.now_s = now_s, shortest.now_s, way_s
        elif way_s < shortest.now_s:
            shortest.now_s = way_s
        spent_s = way_s - min(shortest.now_s, shortest.before_s)
        return spent_s if spent_s <= time_max_s else 0.0


def _unix_s_in(said: str) -> float | None:
    if not said.startswith("t="):
        return None
    try:
        unix_s = float(said[2:])
    except ValueError:
        return None
    return unix_s if UNIX_S_MIN < unix_s < UNIX_S_MAX else None
