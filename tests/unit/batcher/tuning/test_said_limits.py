"""What headers of real servers say of their limits."""

from datetime import UTC, datetime

import pytest

from autobatch_batcher.tuning.said_limits import reset_seconds, said_limits
from autobatch_shared.contract.capacity import CALLS, TOKENS, SaidLimit

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360.0),
        ("1s", 1.0),
        ("20ms", 0.02),
        ("7.66s", 7.66),
        ("1h2m3.5s", 3723.5),
        ("250µs", 0.00025),
        ("12", 12.0),
        ("0.5", 0.5),
        (str(int(NOW.timestamp()) + 30), 30.0),
        (f"{NOW.timestamp() + 0.25:.3f}", 0.25),
        (str(int(NOW.timestamp() + 30) * 1000), 30.0),
        (str(int(NOW.timestamp()) - 30), 0.0),
        ("2026-03-01T12:00:30Z", 30.0),
        ("2026-03-01T13:00:30+01:00", 30.0),
        ("2026-03-01T12:00:30", 30.0),
    ],
)
def test_a_reset_is_understood_in_each_form(text: str, seconds: float) -> None:
    assert reset_seconds(text, NOW) == pytest.approx(seconds, abs=1e-3)


@pytest.mark.parametrize("text", ["", "soon", "-1", "1 s", "s", "1x", "9" * 40, "\u0661"])
def test_what_is_no_time_says_nothing(text: str) -> None:
    assert reset_seconds(text, NOW) is None


def test_openai_says_calls_and_tokens() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-reset-tokens": "6m0s",
    }

    assert said_limits(headers, NOW) == {CALLS: SaidLimit(59, 60, 1.0), TOKENS: SaidLimit(149984, 150000, 360.0)}


def test_gateways_say_calls_only() -> None:
    plain = {"x-ratelimit-limit": "20, 20;w=60", "x-ratelimit-remaining": "19", "x-ratelimit-reset": "32"}
    draft = {"ratelimit-remaining": "9", "ratelimit-reset": "6"}

    assert said_limits(plain, NOW) == {CALLS: SaidLimit(19, 20, 32.0)}
    assert said_limits(draft, NOW) == {CALLS: SaidLimit(9, None, 6.0)}


def test_what_is_not_said_or_no_number_is_left_out() -> None:
    assert said_limits({"x-ratelimit-remaining-requests": "many", "x-ratelimit-limit-tokens": "7"}, NOW) == {}


def test_a_time_is_one_of_the_servers_clock() -> None:
    headers = {
        "Date": "Sun, 01 Mar 2026 11:00:00 GMT",
        "x-ratelimit-remaining": "1",
        "x-ratelimit-reset": "2026-03-01T11:00:20Z",
    }

    assert said_limits(headers, NOW) == {CALLS: SaidLimit(1, None, 20.0)}
