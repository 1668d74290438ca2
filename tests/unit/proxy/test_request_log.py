"""An overload makes every request slow: its lines are few, and say how many there would be."""

import pytest
from aiohttp.test_utils import make_mocked_request

from autobatch_proxy.http.headers import CommonHeaders
from autobatch_proxy.request_log import LINES_PER_S_MAX, RequestLog


def test_there_are_ten_lines_a_second_and_the_next_says_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now_s = 100.0
    log = RequestLog(CommonHeaders("w1", ["*"]), 10, clock_s=lambda: now_s)
    request = make_mocked_request("POST", "/embed")
    for _ in range(100):
        log.slow(request, "/embed", 200, 1.0)
    now_s = 101.0
    log.slow(request, "/embed", 200, 1.0)

    assert [0] * LINES_PER_S_MAX + [100 - LINES_PER_S_MAX] == [record.__dict__["unlogged"] for record in caplog.records]


def test_without_a_limit_nothing_is_slow_and_nothing_is_kept() -> None:
    log = RequestLog(CommonHeaders("w1", ["*"]), 0)

    assert (log.slow_s, log.account_from_s) == (float("inf"), float("inf"))


def test_where_requests_are_traced_all_of_them_are_accounted_for() -> None:
    assert RequestLog(CommonHeaders("w1", ["*"]), 0, is_traced=True).account_from_s == 0
