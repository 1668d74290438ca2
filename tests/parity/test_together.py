"""Every request gets the same answer as alone, whatever is sent at the same time."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.parity.answers.asking import SeenAnswer, ask, open_client, told
from tests.parity.answers.comparing import ADDED, OF_A_CALL, compare
from tests.parity.answers.differences import is_openai, without_id
from tests.parity.answers.joining import joined
from tests.parity.cases.case import Case, Facts, Join, chunks, post
from tests.parity.cases.table import all_cases
from tests.parity.rig import ParityRig

pytestmark = pytest.mark.timeout(300)

SEED = 20_251_121
TIMES = 2
AT_ONCE_MAX = 400  # connections; more would measure the client
OF_THE_MOMENT = ("metrics", "states")  # whatever else is asked shows in them
CASES = {name: case for name, case in all_cases(Facts()).items() if case.differs not in OF_THE_MOMENT}
TEXTS = ("a", "hello", "hello world", "é 😀", "alpha " * 20, "beta " * 90, "gamma " * 300, "[SEP]", " ", "1 2 3")


@dataclass(frozen=True, slots=True)
class Lists:
    """One way to ask for a list.

    Attributes:
        path: The route.
        key: Where its inputs are.
        join: Joins the answers to each text into one.
        options: The fields besides the inputs.
    """

    path: str
    key: str
    join: Join
    options: tuple[tuple[str, Any], ...] = ()

    def case(self, texts: Sequence[str]) -> Case:
        """The request for these."""
        return post(f"of {len(texts)} {self.options}", self.path, {self.key: [*texts], **dict(self.options)})


LISTS = (
    Lists("/embed", "inputs", "lists"),
    Lists("/embed", "inputs", "lists", (("normalize", False),)),
    Lists("/embed", "inputs", "lists", (("dimensions", 8), ("truncation_direction", "left"))),
    Lists("/embed", "inputs", "lists", (("truncate", False),)),
    Lists("/embed_all", "inputs", "lists"),
    Lists("/tokenize", "inputs", "lists"),
    Lists("/v1/embeddings", "input", "openai"),
    Lists("/v1/embeddings", "input", "openai", (("encoding_format", "base64"), ("dimensions", 4))),
)


class Baseline:
    """The answers to requests that were sent alone. Not a dataclass: hypothesis would print megabytes of it."""

    def __init__(self, cases: dict[str, SeenAnswer], lists: dict[tuple[Lists, str], SeenAnswer]) -> None:
        self.cases = cases
        self.lists = lists


async def answers_of(url: str, cases: Sequence[Case], at_once: int = AT_ONCE_MAX) -> list[SeenAnswer]:
    """Send cases together; their answers in the same order."""
    room = asyncio.Semaphore(at_once)

    async with open_client() as http:

        async def one(case: Case) -> SeenAnswer:
            async with room:
                return await ask(http, url, case)

        return await asyncio.gather(*map(one, cases))


def wrong(cases: Sequence[Case], expected: Sequence[SeenAnswer], got: Sequence[SeenAnswer]) -> str:
    """Return which answers are not as expected; empty if all are."""
    lines = []
    for case, one, other in zip(cases, expected, got, strict=True):
        if is_openai(case):
            one, other = without_id(one), without_id(other)  # noqa: PLW2901
        if faults := compare(one, other, unlike=tuple(ADDED), lacking=OF_A_CALL):
            lines += [case.id, *faults, told([one, other])]
    return "\n".join(lines)


@pytest.fixture(scope="session")
def alone(rig: ParityRig) -> Baseline:
    """The proxy's answers to each case, and to each text in a list of its own, sent alone."""
    lists = [(lists, text) for lists in LISTS for text in TEXTS]
    asked = [*CASES.values(), *(way.case([text]) for way, text in lists)]
    answers = asyncio.run(answers_of(rig.proxy, asked, at_once=1))
    return Baseline(dict(zip(CASES, answers, strict=False)), dict(zip(lists, answers[len(CASES) :], strict=True)))


def test_all_cases_at_once_are_answered_as_alone(rig: ParityRig, alone: Baseline) -> None:
    names = [*CASES] * TIMES
    random.Random(SEED).shuffle(names)
    cases = [CASES[name] for name in names]

    got = asyncio.run(answers_of(rig.proxy, cases))

    assert not (faults := wrong(cases, [alone.cases[name] for name in names], got)), faults


ITEM = st.one_of(
    st.sampled_from(sorted(CASES)),
    st.tuples(st.sampled_from(LISTS), st.lists(st.sampled_from(TEXTS), min_size=1, max_size=70)),
)


@settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(items=st.lists(ITEM, min_size=2, max_size=60))
def test_any_mix_at_once_is_answered_as_alone(rig: ParityRig, alone: Baseline, items: list[Any]) -> None:
    cases, expected = [], []
    for item in items:
        if isinstance(item, str):
            cases.append(CASES[item])
            expected.append(alone.cases[item])
        else:
            lists, texts = item
            cases.append(lists.case(texts))
            expected.append(joined([alone.lists[lists, text] for text in texts], lists.join))

    got = asyncio.run(answers_of(rig.proxy, cases))

    assert not (faults := wrong(cases, expected, got)), faults


def test_the_lists_are_longer_than_the_upstream_takes() -> None:
    assert len(chunks(range(70), Facts().inputs_max)) > 2
