"""What a client may ask for beside its body."""

import pytest

from autobatch_proxy.http.headers import asks_bulk, is_json, timeout_s
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


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json;",
        "application/json;charset=UTF-8;",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        "application/vnd.api+json",
        "application/vnd.api+json; charset=utf-8",
    ],
)
def test_the_types_of_json_are_read(content_type: str) -> None:
    assert is_json(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/j\u017fon",
        "application/json+x",
        "application",
        "json",
        "*/*",
        "text/vnd.api+json",
        # TEI's parser of types (the crate `mime`) does not understand these, and answers 415
        "application/json, text/plain",
        "application/json ;charset=utf-8",
        "application/json; charset",
        "application/foo bar+json",
        "application/x/y+json",
        "application/+json",
        "application/json; charset=\udcff",
    ],
)
def test_other_types_are_not(content_type: str | None) -> None:
    assert not is_json(content_type)
