"""Redis's clock, seen from here."""

import time

import pytest

from autobatch_shared.redis.clock import RedisClock

LONG_AGO_MS = 1_000_000.0
SLACK_MS = 5_000  # however slow the machine


def test_before_it_was_told_anything_it_shows_the_hosts_time() -> None:
    assert abs(RedisClock().now_ms() - time.time() * 1000) < SLACK_MS


@pytest.mark.parametrize("redis_ms", [LONG_AGO_MS, 4_000_000_000_000.0, 1_790_000_000_000.5])
def test_it_goes_on_from_what_redis_shows(redis_ms: float) -> None:
    clock = RedisClock()

    clock.sync(redis_ms)

    assert -1 <= clock.now_ms() - redis_ms < SLACK_MS


def test_the_last_look_at_redis_counts() -> None:
    clock = RedisClock()
    clock.sync(4_000_000_000_000.0)

    clock.sync(LONG_AGO_MS)

    assert clock.now_ms() - LONG_AGO_MS < SLACK_MS


def test_what_is_read_late_changes_nothing() -> None:
    now_s = 100.0
    clock = RedisClock(lambda: now_s)
    clock.sync(LONG_AGO_MS)
    asked_s, now_s = now_s, 100.5

    assert 0 == clock.sync(LONG_AGO_MS + 2, asked_s)
    assert LONG_AGO_MS + 500 == clock.now_ms()


@pytest.mark.parametrize("step_ms", [-60_000, 60_000])
def test_a_step_of_rediss_clock_is_seen_though_it_is_read_late(step_ms: int) -> None:
    now_s = 100.0
    clock = RedisClock(lambda: now_s)
    clock.sync(LONG_AGO_MS)
    asked_s, now_s = now_s, 100.5

    assert step_ms - 500 <= clock.sync(LONG_AGO_MS + step_ms, asked_s) <= step_ms
    assert 0 < clock.sync(LONG_AGO_MS + step_ms + 500, now_s), "the next one that is read at once corrects it"
    assert LONG_AGO_MS + step_ms + 500 == clock.now_ms()


def test_it_never_goes_back_by_itself() -> None:
    clock = RedisClock()
    shown = [clock.now_ms() for _ in range(1000)]

    assert shown == sorted(shown)
    assert {type(moment) for moment in shown} == {int}


def test_a_step_of_the_hosts_clock_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = RedisClock()
    before = clock.now_ms()

    monkeypatch.setattr(time, "time", lambda: 0.0)

    assert 0 <= clock.now_ms() - before < SLACK_MS
