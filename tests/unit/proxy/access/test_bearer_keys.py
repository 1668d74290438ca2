"""API keys: byte for byte, any of several, and none that can be read from memory's representation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.access.bearer_keys import Access

KEYS = ("first", "zweiter-schlüssel")


@pytest.mark.parametrize("key", KEYS)
def test_each_key_opens(key: str) -> None:
    assert Access(KEYS).is_granted(f"Bearer {key}")


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "first",
        "Bearer",
        "Bearer ",
        "Bearer  first",
        "Bearer first ",
        "bearer first",
        "BEARER first",
        "Bearer FIRST",
        "Bearer firs",
        "Bearer first,zweiter-schlüssel",
        "Basic first",
        "Bearer \udcff",
    ],
)
def test_anything_else_does_not(said: str | None) -> None:
    assert Access(KEYS).is_granted(said) is False


@given(st.none() | st.text())
def test_without_keys_everybody_may_ask(said: str | None) -> None:
    access = Access(())
    assert access.is_open
    assert access.is_granted(said)


def test_keys_are_not_kept() -> None:
    assert all(key.encode() not in repr(vars(Access(KEYS))).encode() for key in KEYS)
    assert Access(KEYS).is_open is False
