"""How much of a request's time was spent before it came to this worker, by clocks that need not agree."""

from dataclasses import dataclass

import pytest

from autobatch_proxy.http.earlier_tries import PEERS_MAX, WINDOW_S, EarlierTries

PEER, OTHER = "10.0.0.1", "10.0.0.2"
WHOLE_S = 30.0


@dataclass
class Clocks:
    """Ours, and nginx's, which may differ."""

    ours_s: float = 1_700_000_000.0
    nginx_is_ahead_s: float = 0.0

    def now_s(self) -> float:
        return self.ours_s

    def sent(self, ago_s: float = 0.0) -> str:
        """What nginx writes into a request that it sent so long ago."""
        return f"t={self.ours_s + self.nginx_is_ahead_s - ago_s:.3f}"


@pytest.mark.parametrize("nginx_is_ahead_s", [0, 7, -7, 3600, -3600])
def test_the_time_at_other_workers_counts_whatever_the_clocks_say(nginx_is_ahead_s: float) -> None:
    clocks = Clocks(nginx_is_ahead_s=nginx_is_ahead_s)
    tries = EarlierTries(clocks.now_s)
    assert tries.spent_s(clocks.sent(), PEER, WHOLE_S) == 0
    assert tries.spent_s(clocks.sent(12), PEER, WHOLE_S) == pytest.approx(12)
    assert tries.spent_s(clocks.sent(), PEER, WHOLE_S) == pytest.approx(0)


def test_each_peer_has_a_clock_of_its_own() -> None:
    clocks, behind = Clocks(), Clocks(nginx_is_ahead_s=-20)
    tries = EarlierTries(clocks.now_s)
    tries.spent_s(clocks.sent(), PEER, WHOLE_S)
    assert tries.spent_s(behind.sent(), OTHER, WHOLE_S) == 0
    assert tries.spent_s(behind.sent(5), OTHER, WHOLE_S) == pytest.approx(5)


def test_a_clock_that_was_set_costs_time_for_a_moment_only() -> None:
    clocks = Clocks()
    tries = EarlierTries(clocks.now_s)
    tries.spent_s(clocks.sent(), PEER, WHOLE_S)
    clocks.nginx_is_ahead_s = -3600  # longer than any request has been on its way
    assert tries.spent_s(clocks.sent(), PEER, WHOLE_S) == 0
    clocks.nginx_is_ahead_s = -10
    assert tries.spent_s(clocks.sent(), PEER, WHOLE_S) == pytest.approx(10)
    for _ in range(5):
        clocks.ours_s += WINDOW_S * 0.9
        spent_s = tries.spent_s(clocks.sent(), PEER, WHOLE_S)
    assert spent_s == pytest.approx(0)


def test_after_silence_the_difference_is_learnt_again() -> None:
    clocks = Clocks()
    tries = EarlierTries(clocks.now_s)
    tries.spent_s(clocks.sent(), PEER, WHOLE_S)
    clocks.ours_s += 2 * WINDOW_S
    clocks.nginx_is_ahead_s = -15
    assert tries.spent_s(clocks.sent(), PEER, WHOLE_S) == 0


@pytest.mark.parametrize("said", ["", "t=", "t=soon", "t=nan", "t=inf", "1700000000.1", "t=1700000000123", "t=-1"])
def test_what_is_no_time_of_nginx_says_nothing(said: str) -> None:
    clocks = Clocks()
    tries = EarlierTries(clocks.now_s)
    tries.spent_s(clocks.sent(), PEER, WHOLE_S)
    assert tries.spent_s(said, PEER, WHOLE_S) == 0


def test_the_clocks_of_any_number_of_peers_need_no_more_memory_than_that() -> None:
    clocks = Clocks()
    tries = EarlierTries(clocks.now_s)
    for peer in range(3 * PEERS_MAX):
        tries.spent_s(clocks.sent(), str(peer), WHOLE_S)
    assert len(tries._shortest) <= PEERS_MAX
