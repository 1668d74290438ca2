"""The error tree is the drawn one, and a fault survives its travel as a code."""

import re

import pytest

from autobatch_shared.contract import errors
from autobatch_shared.contract.errors import (
    FAULTS,
    AutobatchError,
    FrameOfAnotherVersion,
    InvalidRequest,
    NoBatcher,
    QueueFull,
    WorkerOutOfMemory,
)


def tree(root: type[AutobatchError]) -> list[type[AutobatchError]]:
    """The error and all below it, of this module."""
    below = [each for child in root.__subclasses__() for each in tree(child)]
    return [root, *below] if root.__module__ == errors.__name__ else below


TREE = tree(AutobatchError)
# None of them travels: a request's own are said before anything is pushed, but for that which an upstream's dialect says; a
# job of another version is answered in its version; and without a batcher there is no sender.
NEVER_SENT = {*tree(InvalidRequest), FrameOfAnotherVersion, NoBatcher, WorkerOutOfMemory} - {InvalidRequest}


def test_the_drawn_tree_is_the_tree() -> None:
    drawn: dict[str, str | None] = {"AutobatchError": None}
    path = ["AutobatchError"]
    for line in (errors.__doc__ or "").splitlines():
        if (found := re.match(r" {4}((?:│ {3}| {4})*)[├└]── (\w+)", line)) is not None:
            depth = len(found[1]) // 4 + 1
            path = [*path[:depth], found[2]]
            drawn[found[2]] = path[depth - 1]

    actual = {
        cls.__name__: cls.__base__.__name__ if cls is not AutobatchError and cls.__base__ else None for cls in TREE
    }
    assert actual == drawn


@pytest.mark.parametrize("cls", TREE)
def test_an_error_has_a_sentence_of_its_own(cls: type[AutobatchError]) -> None:
    first_line = (cls.__doc__ or "").partition("\n")[0]

    assert str(cls()) == str(cls("")) == first_line.removesuffix(".")
    assert str(cls())
    assert str(cls("other")) == "other"


def test_codes_tell_errors_apart() -> None:
    """An inner node of the tree is never raised, so it has no code of its own."""
    own = [cls for cls in TREE if "code" in vars(cls)]

    assert len({cls.code for cls in own}) == len(own)
    assert {cls.code for cls in TREE if cls not in own} == {AutobatchError.code}


def test_every_fault_that_can_be_sent_is_understood() -> None:
    leaves = {cls for cls in TREE if not cls.__subclasses__() or "code" in vars(cls)} - {AutobatchError}

    assert set(FAULTS.values()) == leaves - NEVER_SENT
    assert {code: cls.code for code, cls in FAULTS.items()} == {code: code for code in FAULTS}


def test_an_unknown_code_is_no_fault() -> None:
    assert AutobatchError.code not in FAULTS
    assert FAULTS["queue_full"] is QueueFull
