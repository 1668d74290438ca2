"""When it is said that too many requests share no call."""

import re

import pytest

from autobatch_proxy.requests.alone import WINDOW_S, Alone, AloneShare
from tests.support.paths import ROOT


def noted(alone: int, together: int, route: int = 0) -> AloneShare:
    share = AloneShare()
    assert share.look(0) is None
    share.together += together
    for count, reason in ((alone, Alone.FIELDS), (route, Alone.ROUTE)):
        for _ in range(count):
            share.note(reason)
    return share


@pytest.mark.parametrize(("alone", "together"), [(6, 94), (100, 0), (200, 300)])
def test_more_than_a_few_in_a_hundred_are_said_at_the_end_of_the_window(alone: int, together: int) -> None:
    share = noted(alone, together)

    assert share.look(WINDOW_S - 1) is None
    finding = share.look(WINDOW_S)

    assert finding is not None
    assert (finding.share, finding.reasons) == (round(alone / (alone + together), 3), {"fields": alone})


@pytest.mark.parametrize(("alone", "together", "route"), [(5, 95, 0), (99, 0, 0), (0, 100, 900)])
def test_few_requests_few_alone_and_routes_that_never_batch_are_not_said(alone: int, together: int, route: int) -> None:
    assert noted(alone, together, route).look(WINDOW_S) is None


def test_each_window_is_judged_by_itself() -> None:
    share = noted(100, 0)
    assert share.look(WINDOW_S) is not None
    share.together += 100
    assert share.look(2 * WINDOW_S) is None


def test_every_reason_is_documented() -> None:
    text = (ROOT / "docs" / "batching.md").read_text(encoding="utf-8")
    table = text[text.index("| reason |") : text.index("## Requests that share")]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(Alone)
