"""What a client may ask for beside its body."""

import pytest

from autobatch_proxy.http.request_headers import asks_bulk, timeout_s
from autobatch_shared.contract.errors import InvalidRequest


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(None, False), ("bulk", True), ("Bulk", True), ("BULK", True), ("normal", False), ("NORMAL", False)],
)
def test_bulk_is_asked_for_in_any_case(*, asked: str | None, expected: bool) -> None:
    assert asks_bulk(asked) is expected


@pytest.mark.parametrize("asked", ["", "high", "bulk,bulk", " bulk", "1", "\udcff"])
def test_another_priority_is_refused_by_the_headers_name(asked: str) -> None:
    with pytest.raises(InvalidRequest, match="`x-priority`"):
        asks_bulk(asked)


@pytest.mark.parametrize(("asked", "expected"), [(None, 30.0), ("1", 0.001), ("500", 0.5), ("999999999", 30.0)])
def test_a_client_may_ask_for_less_time_and_not_for_more(asked: str | None, expected: float) -> None:
    assert timeout_s(asked, 30_000) == expected


@pytest.mark.parametrize("asked", ["", "0", "-1", "1.5", "1e3", "9999999999", "\u0663", "soon"])
def test_a_time_that_is_none_is_refused_by_the_headers_name(asked: str) -> None:
    with pytest.raises(InvalidRequest, match="`x-request-timeout-ms`"):
        timeout_s(asked, 30_000)
