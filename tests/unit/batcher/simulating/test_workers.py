"""Simulated workers cut requests as the real ones do."""

from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.simulating.workers import BULK_JOBS_PER_BATCH, PADDING_MAX, cut
from autobatch_proxy.requests import lengths as real
from autobatch_proxy.requests import planner


@given(lengths=st.lists(st.integers(1, 300), min_size=1, max_size=80), call_inputs_max=st.integers(1, 40))
def test_jobs_are_those_of_the_planner(lengths: list[int], call_inputs_max: int) -> None:
    ascending = sorted(lengths)
    runs = real.runs(ascending, inputs_max=call_inputs_max, padding_max=real.PADDING_MAX_CHARACTERS)
    assert [ascending[start:stop] for start, stop in runs] == cut(lengths, call_inputs_max, is_bulk=False)


def test_the_figures_are_those_of_the_planner() -> None:
    assert (real.PADDING_MAX_CHARACTERS, planner.BULK_JOBS_PER_BATCH) == (PADDING_MAX, BULK_JOBS_PER_BATCH)


def test_bulk_requests_are_cut_into_quarters_of_a_call() -> None:
    assert [[5] * 8, [5] * 2] == cut([5] * 10, 32, is_bulk=True)
