"""Which model a request is for: the one that it names, or none."""

from collections.abc import Sequence

import pytest

from autobatch_proxy.models.directory import KNOWN_MS, UNNAMED, Directory
from autobatch_shared.contract.errors import InvalidRequest, ModelNotNamed, NoBatcher, UnknownModel
from autobatch_shared.contract.model_names import Announcement

NOW_MS = 10**12
A, B = Announcement(NOW_MS, "a", ("one",)), Announcement(NOW_MS, "org/b", ("two",))
FIRST = Announcement(NOW_MS, "a", is_default=True)


def gone(said: Announcement) -> Announcement:
    """The same, announced too long ago."""
    return Announcement(NOW_MS - KNOWN_MS, said.name, said.aliases, said.is_default)


def chosen(
    said: Sequence[Announcement],
    *outside: str,
    inside: str | None = None,
    served: str | None = None,
    is_checked: bool = False,
) -> str:
    return Directory(said, NOW_MS, served, ("mine",)).chosen(outside, inside, is_checked=is_checked)


@pytest.mark.parametrize(("name", "model"), [("a", "a"), ("one", "a"), ("org/b", "org/b"), ("two", "org/b")])
def test_a_name_or_alias_means_its_model(name: str, model: str) -> None:
    assert chosen([A, B], name) == chosen([A, B], inside=name) == model
    assert chosen([A, B], name, name, inside=model) == model


def test_a_name_that_ollama_takes_for_the_same_means_its_model() -> None:
    """Unless another model has that very name."""
    tagged = Announcement(NOW_MS, "c", ("mini:latest",))
    assert "a" == chosen([A, tagged], inside="a:latest")
    assert "c" == chosen([A, tagged], inside="mini")
    assert "mini" == chosen([A, tagged, Announcement(NOW_MS, "mini")], inside="mini")


@pytest.mark.parametrize("name", ["b", "A", "org", "", "org/b/c"])
def test_a_name_that_no_model_has_is_refused(name: str) -> None:
    for outside, inside in (((name,), None), ((), name)):
        with pytest.raises(UnknownModel, match=r"^The model `"):
            chosen([A, B], *outside, inside=inside)


def test_the_only_model_takes_any_name_in_a_body_unless_they_are_checked() -> None:
    assert chosen([A], inside="text-embedding-3-small") == "a"
    assert chosen([A], inside="one", is_checked=True) == "a"
    with pytest.raises(UnknownModel):
        chosen([A], inside="text-embedding-3-small", is_checked=True)
    with pytest.raises(UnknownModel):
        chosen([A], "text-embedding-3-small")


def test_one_that_was_chosen_by_its_path_takes_any_name_but_another_models() -> None:
    assert chosen([A, B], "a", inside="text-embedding-3-small") == "a"
    with pytest.raises(UnknownModel):
        chosen([A, B], "a", inside="text-embedding-3-small", is_checked=True)
    for outside, inside in ((("a",), "two"), (("a", "org/b"), None)):
        with pytest.raises(InvalidRequest, match="two models"):
            chosen([A, B], *outside, inside=inside)


def test_an_alias_of_two_models_means_neither() -> None:
    twice = [A, B, Announcement(NOW_MS, "c", ("one", "org/b"))]
    with pytest.raises(UnknownModel, match="an alias of `a`, `c`"):
        chosen(twice, inside="one")
    assert chosen(twice, inside="org/b") == "org/b", "a name counts before an alias"


def test_what_two_models_claim_is_named() -> None:
    other = Announcement(NOW_MS, "org/b", ("one", "a"), is_default=True)
    clashes = Directory([A, FIRST, other], NOW_MS).clashes

    assert clashes == (
        "several models are the default: `a`, `org/b`",
        "`one` is an alias of several models: `a`, `org/b`",
    )
    assert Directory([A, FIRST, gone(other), B], NOW_MS).clashes == ()


def test_the_default_is_the_one_that_says_so_or_the_only_one() -> None:
    assert chosen([A]) == "a"
    assert chosen([B, FIRST]) == chosen([B, A, FIRST]) == "a"
    with pytest.raises(ModelNotNamed, match="`a`, `org/b`"):
        chosen([A, B])
    with pytest.raises(ModelNotNamed):
        chosen([FIRST, Announcement(NOW_MS, "org/b", is_default=True)])


def test_no_model_stands_in_for_one_that_has_gone() -> None:
    with pytest.raises(UnknownModel):
        chosen([gone(A), B], inside="a")
    with pytest.raises(ModelNotNamed):
        chosen([gone(A), B])
    with pytest.raises(NoBatcher, match=r"The default model `\S+` has no batcher"):
        chosen([gone(FIRST), B])
    assert chosen([gone(FIRST), Announcement(NOW_MS, "org/b", is_default=True)]) == "org/b"
    assert chosen([gone(A)]) == "a", "the only one: that it has gone is found when it is asked"


def test_an_unnamed_model_beside_others_has_the_names_of_its_upstream() -> None:
    for name in ("the/own", "own", "mine"):
        assert chosen([A], inside=name, served="the/own") == UNNAMED
    assert chosen([A], served="the/own") == UNNAMED
    assert chosen([B, FIRST], served="the/own") == "a"
    with pytest.raises(UnknownModel):
        chosen([A], inside="text-embedding-3-small", served="the/own")
    assert chosen([A], inside="mine", served="") == UNNAMED
    with pytest.raises(UnknownModel):
        chosen([A], inside="", served="")


def test_an_alias_that_could_be_taken_for_a_route_below_a_model_is_no_beginning_of_a_path() -> None:
    directory = Directory([A, Announcement(NOW_MS, "b", ("a/embed", "embeddings", "m:1"))], NOW_MS)

    assert directory.words == {"a", "one", "b", "m:1"}
    assert directory.named("embeddings") == "b"
