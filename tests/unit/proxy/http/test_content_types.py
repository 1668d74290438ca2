"""Which content types are JSON, as TEI's own framework sees them."""

import pytest

from autobatch_proxy.http.content_types import is_json


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
