"""How a request of many inputs is cut: alike stays together, everything is there once, in jobs that fit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_proxy.dialects.forms import all_embeddings, only_row
from autobatch_proxy.requests.alone import Alone
from autobatch_proxy.requests.asked import Asked
from autobatch_proxy.requests.lengths import Ruler
from autobatch_proxy.requests.plan import UNLIMITED, Allowed, Plan, PlannedJob, Rules
from autobatch_proxy.requests.planner import make_plan


def plan(
    inputs: list[str | list[int] | int],
    *,
    job_inputs_max: int = 32,
    padding_max: int = 10,
    bulk_above_inputs: int = 64,
    asks_bulk: bool = False,
    length_max: int = 10**9,
    job_length_max: int = UNLIMITED,
) -> Plan:
    rules = Rules(Ruler(len, lambda texts: list(map(len, texts)), padding_max, 4), 2048, bulk_above_inputs)
    asked = Asked("/embed", inputs, json.dumps(inputs).encode())
    allowed = Allowed(job_inputs_max, length_max, job_length_max=job_length_max)
    return make_plan(asked, b"", None, "/", rules, allowed, asks_bulk=asks_bulk)


def texts(*lengths: int) -> list[str | list[int] | int]:
    return ["x" * length for length in lengths]


LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=100)


@given(lengths=LENGTHS, job_inputs_max=st.integers(1, 40), padding_max=st.integers(0, 200), asks_bulk=st.booleans())
def test_every_input_is_in_one_job_with_its_like(
    *, lengths: list[int], job_inputs_max: int, padding_max: int, asks_bulk: bool
) -> None:
    inputs: list[str | list[int] | int] = [f"{place:03}".ljust(length + 2, "x") for place, length in enumerate(lengths)]

    planned = plan(inputs, job_inputs_max=job_inputs_max, padding_max=padding_max, asks_bulk=asks_bulk)

    assert planned.is_bulk == (asks_bulk or len(inputs) > 64)
    fitting_max = max(1, job_inputs_max // 4) if planned.is_bulk else job_inputs_max
    for job in planned.jobs:
        own: list[str] = json.loads(job.body)
        assert own == [inputs[place] for place in job.places or range(job.n)]
        assert len(own) == job.n <= fitting_max
        assert job.longest == max(map(len, own))
        assert sum(job.longest - len(text) for text in own) <= padding_max
    places = [place for job in planned.jobs for place in job.places]
    assert len(planned.jobs) == 1 or sorted(places) == list(range(len(inputs)))


def test_a_list_of_alike_inputs_that_fits_is_one_job_as_it_came() -> None:
    raw = b'[ "\\u0061" ,"b"  ]'
    rules = Rules(Ruler(len, lambda texts: list(map(len, texts)), 0, 4), 2048, 64)

    planned = make_plan(Asked("/embed", ["a", "b"], raw), b"", None, "/", rules, Allowed(2, 9))

    assert [PlannedJob(2, "merge", raw, longest=1)] == planned.jobs


def test_inputs_of_mixed_length_are_sorted_and_cut_where_the_padding_is_too_much() -> None:
    planned = plan(texts(50, 3, 52, 1, 2))

    assert [([3, 4, 1], 3), ([0, 2], 52)] == [(job.places, job.longest) for job in planned.jobs]
    assert b'["x","xx","xxx"]' == planned.jobs[0].body


def test_a_tenfold_long_input_among_short_ones_goes_alone() -> None:
    assert [9, 1] == [job.n for job in plan(texts(*[10] * 5, 100, *[10] * 4)).jobs]


def test_inputs_of_one_length_keep_their_order() -> None:
    assert [[0, 1], [2, 3], [4]] == [job.places for job in plan(texts(5, 5, 5, 5, 5), job_inputs_max=2).jobs]


@pytest.mark.parametrize(("count", "is_bulk", "largest"), [(64, False, 32), (65, True, 8)])
def test_a_large_request_is_bulk_in_small_jobs(*, count: int, is_bulk: bool, largest: int) -> None:
    planned = plan(texts(*[5] * count))

    assert (planned.is_bulk, max(job.n for job in planned.jobs)) == (is_bulk, largest)


def test_a_small_request_that_asks_to_be_bulk_goes_in_small_jobs() -> None:
    assert [8, 8, 4] == [job.n for job in plan(texts(*[5] * 20), asks_bulk=True).jobs]
    assert [1, 1] == [job.n for job in plan(texts(5, 5), job_inputs_max=3, asks_bulk=True).jobs]


@pytest.mark.parametrize("asks_bulk", [False, True])
def test_what_shares_no_call_keeps_its_order_and_fills_batches(*, asks_bulk: bool) -> None:
    inputs: list[str | list[int] | int] = ["a long text", [1, 2], "", [3], "b"]

    planned = plan(inputs, job_inputs_max=2, padding_max=0, asks_bulk=asks_bulk)

    assert [(b'["a long text",[1, 2]]', 11), (b'["",[3]]', 1), (b'["b"]', 1)] == [
        (job.body, job.longest) for job in planned.jobs
    ]
    assert [[0, 1], [2, 3], [4]] == [list(job.places) for job in planned.jobs]


def test_texts_beyond_what_the_upstream_reads_are_alike() -> None:
    """It cuts them off, so the longer costs no more than the other."""
    assert [(2, 20)] == [(job.n, job.longest) for job in plan(texts(500, 90), length_max=20).jobs]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked("/embed", "abc", b'"abc"'), ("verbatim", Alone.TOO_LARGE)),
        (Asked("/embed", "abc", b'"abc"', form=only_row), ("verbatim", Alone.TOO_LARGE)),
        (Asked("/embed", "abc", b'"abc"', form=only_row, is_native=False), ("merge", None)),
        (Asked("/embed", ["x", "x" * 50], json.dumps(["x", "x" * 50]).encode()), ("merge", None)),
    ],
    ids=["one job", "in a form of the upstream's own", "in a form of ours", "several jobs"],
)
def test_a_body_too_large_for_one_call_goes_on_as_it_came_where_the_upstream_answers_it_so(
    asked: Asked, expected: tuple[str, Alone | None]
) -> None:
    rules = Rules(Ruler(len, lambda texts: list(map(len, texts)), 10, 4), 2048, 64)
    body = b"b" * 100
    planned = make_plan(asked, body, "a/b", "/came", rules, Allowed(32, 10**9, request_bytes_max=99))

    assert (planned.jobs[0].kind, planned.alone) == expected
    if planned.alone is not None:
        assert (planned.route, planned.jobs) == ("/came", [PlannedJob(1, "verbatim", body, content_type="a/b")])
    fitting = make_plan(asked, body, "a/b", "/came", rules, Allowed(32, 10**9, request_bytes_max=100))
    assert fitting.jobs[0].kind == "merge"


@pytest.mark.parametrize("asked", [Asked("/embed", "abc", b'"abc"'), Alone.FIELDS])
def test_an_answer_has_the_form_of_its_route_where_the_reader_names_none(asked: Asked | Alone) -> None:
    """Also that of a body which goes on as it came."""
    rules = Rules(Ruler(len, lambda texts: list(map(len, texts)), 10, 4), 2048, 64)
    assert make_plan(asked, b"", None, "/", rules, Allowed(2, 9), form=all_embeddings).form is all_embeddings


@given(lengths=LENGTHS, job_length_max=st.integers(1, 500), has_ids=st.booleans())
def test_no_job_of_several_inputs_is_longer_than_a_call_may_be(
    *, lengths: list[int], job_length_max: int, has_ids: bool
) -> None:
    inputs = texts(*lengths)
    if has_ids:
        inputs.append([1] * 20)

    planned = plan(inputs, job_length_max=job_length_max)

    assert len(inputs) == sum(job.n for job in planned.jobs)
    assert all(job.n == 1 or job.n * job.longest <= job_length_max for job in planned.jobs)


def test_a_list_that_fits_a_call_stays_whole() -> None:
    assert [4] == [job.n for job in plan(texts(10, 10, 10, 10), job_length_max=40).jobs]
    assert [3, 1] == [job.n for job in plan(texts(10, 10, 10, 10), job_length_max=39).jobs]
