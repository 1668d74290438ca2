"""Bulk work gets its share beside other work, and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.forming.bulk_share import BulkShare
from autobatch_shared.contract.capacity import BULK_SHARE

INPUTS_MAX = 32


def share_beside(others_per_claim: int, inputs_max: int = INPUTS_MAX, job: int = 1, claims: int = 2_000) -> float:
    """Return the share of bulk inputs when both queues are endless; a claim may exceed what is due by most of a job."""
    share, others, bulk = BulkShare(), 0, 0
    for _ in range(claims):
        due = share.due(inputs_max)
        got = -(-due // job) * job
        share.note(others_per_claim, got, is_waiting=True, inputs_max=inputs_max)
        others += others_per_claim
        bulk += got
    return bulk / (others + bulk)


@pytest.mark.parametrize("others_per_claim", [1, 7, 16, 32, 64])
def test_beside_endless_other_work_bulk_gets_a_quarter(others_per_claim: int) -> None:
    assert pytest.approx(BULK_SHARE, abs=0.01) == share_beside(others_per_claim)


@pytest.mark.parametrize("others_per_claim", [1, 7, 16, 32])
def test_bulk_jobs_of_a_whole_call_get_no_more_than_others(others_per_claim: int) -> None:
    """Of a request of 2,000 inputs each job is a call's worth."""
    assert pytest.approx(BULK_SHARE, abs=0.03) == share_beside(others_per_claim, job=INPUTS_MAX)


@pytest.mark.parametrize("others_per_claim", [128, 160, 256])
def test_beside_a_window_of_other_work_bulk_gets_a_call_for_each(others_per_claim: int) -> None:
    """Under backlog a claim is of four calls and up to eight, and what is due is never more than one."""
    assert pytest.approx(INPUTS_MAX / (INPUTS_MAX + others_per_claim), rel=0.01) == share_beside(others_per_claim)


@pytest.mark.parametrize("others_per_claim", [1, 32, 256, 10_000])
def test_bulk_is_never_starved(others_per_claim: int) -> None:
    assert share_beside(others_per_claim) > 0


NOTES = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500), st.booleans()), max_size=50)


@given(notes=NOTES, inputs_max=st.integers(1, 500))
def test_due_is_within_a_call(notes: list[tuple[int, int, bool]], inputs_max: int) -> None:
    share = BulkShare()
    for others, bulk, is_waiting in notes:
        share.note(others, bulk, is_waiting=is_waiting, inputs_max=inputs_max)
        assert 0 <= share.due(inputs_max) <= inputs_max


def test_due_is_within_a_call_that_is_smaller_than_the_one_before() -> None:
    share = BulkShare()
    share.note(1_000, 0, is_waiting=True, inputs_max=32)

    assert share.due(4) <= 4


@given(notes=NOTES)
def test_nothing_is_owed_once_no_bulk_waits(notes: list[tuple[int, int, bool]]) -> None:
    share = BulkShare()
    for others, bulk, is_waiting in notes:
        share.note(others, bulk, is_waiting=is_waiting, inputs_max=INPUTS_MAX)
    share.note(1_000, 0, is_waiting=False, inputs_max=INPUTS_MAX)

    assert 0 == share.due(INPUTS_MAX)


def test_nothing_is_due_at_first() -> None:
    assert 0 == BulkShare().due(INPUTS_MAX)


def test_bulk_that_filled_free_room_is_owed_nothing() -> None:
    share = BulkShare()
    for _ in range(100):
        share.note(16, 16, is_waiting=True, inputs_max=INPUTS_MAX)

    assert 0 == share.due(INPUTS_MAX)


def test_what_is_due_is_worth_a_claim() -> None:
    """A quarter of a call; a bulk job beside each claim would only be one more call's worth of padding."""
    share = BulkShare()
    dues = []
    for _ in range(9):
        share.note(3, 0, is_waiting=True, inputs_max=INPUTS_MAX)
        dues.append(share.due(INPUTS_MAX))

    assert [0, 0, 0, 0, 0, 0, 0, 8, 9] == dues
