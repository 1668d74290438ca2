"""The names that models can have, and what batchers announce of them."""

import pytest

from autobatch_shared.contract.keys import ANNOUNCED_TTL_MS
from autobatch_shared.contract.model_names import Announcement, announced, fault_of, may_be_in_path
from autobatch_shared.contract.status import encode

NOW_MS = 10**12


@pytest.mark.parametrize("name", ["m", "BAAI/bge-m3", "text-embedding-3-small", "a/b/c", "v1.5", "...a"])
def test_usual_names_are_allowed(name: str) -> None:
    assert fault_of(name) == ""


@pytest.mark.parametrize("name", ["", "/m", "m/", "a//b", "a b", "a:b", "a%2Fb", "é", "{m}", "m" * 97, "a/../b", "."])
def test_what_no_path_or_key_could_have_is_refused(name: str) -> None:
    assert fault_of(name)


@pytest.mark.parametrize("name", ["embed", "v1", "org/v1", "docs/m", "metrics"])
def test_a_name_that_could_be_taken_for_a_route_is_refused(name: str) -> None:
    assert "the paths of routes begin with it" in fault_of(name)


def test_an_alias_in_a_path_may_have_a_tag_as_ollamas_names_have() -> None:
    assert may_be_in_path("nomic-embed-text:latest")
    assert not may_be_in_path("m/embed")


def test_announcements_are_read_for_a_day() -> None:
    said = Announcement(NOW_MS - ANNOUNCED_TTL_MS + 1, "m", ("alias",), is_default=True)
    old = Announcement(NOW_MS - ANNOUNCED_TTL_MS, "n")

    assert announced([encode(said), encode(old)], NOW_MS) == (said,)


@pytest.mark.parametrize("value", [b"", b"\xff", b"{}", b'{"at":1,"name":"embed"}'])
def test_what_is_no_announcement_is_left_out(value: bytes) -> None:
    assert announced([value], 1) == ()


def test_the_time_is_where_the_script_looks_for_it() -> None:
    assert encode(Announcement(7, "m")).startswith(b'{"at":7,')
