"""The headers for an upstream: read strictly, or one fault that shows nothing of them."""

import pytest

from autobatch_shared.settings.upstream_headers import headers_in, upstream_headers


def test_headers_are_a_list_of_names_and_values() -> None:
    assert headers_in("api-key=a=b, x-team=search%2Cnews") == {"api-key": "a=b", "x-team": "search,news"}


@pytest.mark.parametrize("listed", ["", "secret", "=secret", "a b=secret", "a=sec%0aret", "a=1,", "Host=secret", "a=ü"])
def test_what_is_no_list_of_headers_is_refused_without_being_shown(listed: str) -> None:
    with pytest.raises(ValueError, match="name=value") as caught:
        headers_in(listed)
    assert "sec" not in str(caught.value)


def test_a_key_is_a_bearer_token_unless_the_headers_say_otherwise() -> None:
    assert upstream_headers("k", None) == {"Authorization": "Bearer k"}
    assert upstream_headers("k", "Authorization=Basic x") == {"Authorization": "Basic x"}
    assert upstream_headers(None, None) == {}
