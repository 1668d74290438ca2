"""A model's name in a path: the longest that is known, however its slashes are sent."""

import pytest

from autobatch_proxy.http.named_models import RouteShapes, split, unknown_in
from autobatch_proxy.http.route_table import ROUTES
from autobatch_shared.contract.model_names import NAME_LENGTH_MAX

NAMES = {"m", "org/m", "org/m/large", "m:latest"}
POSTS = RouteShapes({route.path: route.errors for route in ROUTES if route.method == "POST"})
ALL = RouteShapes({route.path: route.errors for route in ROUTES})


@pytest.mark.parametrize(
    ("path", "model", "rest"),
    [
        ("/m/embed", "m", "/embed"),
        ("/m", "m", "/"),
        ("/m/", "m", "/"),
        ("/org/m/v1/embeddings", "org/m", "/v1/embeddings"),
        ("/org%2Fm/embed", "org/m", "/embed"),
        ("/org%2fm/large/embed", "org/m/large", "/embed"),
        ("/org/m/larger/embed", "org/m", "/larger/embed"),
        ("/m%3Alatest/embed", "m:latest", "/embed"),
        ("/m:latest/embed", "m:latest", "/embed"),
        ("/m/m/embed", "m", "/m/embed"),
        ("/m/v1/models/org%2Fm", "m", "/v1/models/org%2Fm"),
    ],
)
def test_the_longest_name_is_taken_and_the_rest_stays_as_it_was_sent(path: str, model: str, rest: str) -> None:
    assert split(path, NAMES) == (model, rest)


@pytest.mark.parametrize("path", ["/", "/embed", "/org/embed", "/M/embed", "/mm/embed", "//m/embed", "/%FF/embed", ""])
def test_another_path_has_no_model_in_it(path: str) -> None:
    assert split(path, NAMES) is None


def test_a_path_of_thousands_of_parts_is_looked_up_as_far_as_a_name_can_reach() -> None:
    """Each part that is looked up decodes all before it: 8 kB of `/%41` would hold a worker up for 0.8 s."""
    looked_up: list[str] = []

    class Recorder:
        def __contains__(self, words: object) -> bool:
            looked_up.append(str(words))
            return False

    assert split("/%41" * 2_000, Recorder()) is None
    assert unknown_in("/%41" * 2_000, Recorder()) is None
    assert len(looked_up) <= 2 * 3 * NAME_LENGTH_MAX
    longest = "/".join("a" * (NAME_LENGTH_MAX // 2))
    quoted = "/" + "".join(f"%{ord(character):X}" for character in longest)
    assert split(quoted + "/embed", {longest}) == (longest, "/embed")
    assert unknown_in(quoted + "/embed", POSTS) == (longest, "/embed")


def test_what_stands_before_a_route_was_meant_as_a_name() -> None:
    assert unknown_in("/org/other/v1/embeddings", POSTS) == ("org/other", "/v1/embeddings")
    assert unknown_in("/other/embed", POSTS) == ("other", "/embed")
    assert unknown_in("/other/v1/models/org/x", ALL) == ("other", "/v1/models/org/x")
    assert unknown_in("/other/v1/models", ALL) == ("other", "/v1/models")
    for path in ("/embed", "/nothing/at/all", "/v1/nothing", "/"):
        assert unknown_in(path, POSTS) is None
