"""Calls put together from jobs, and rows given back to them: each job's own, whatever it shares with others."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.calling.calls import call_for, merge, part
from autobatch_batcher.dialects.tei import Tei
from autobatch_shared.contract.options import Options
from tests.unit.builders import UNNORMALIZED, make_job

ITEMS = st.text(max_size=8) | st.lists(st.integers(0, 2**32 - 1), max_size=4)
WRITTEN = st.tuples(st.lists(ITEMS, min_size=1, max_size=4), st.sampled_from([None, 1, 4]), st.booleans()).map(
    lambda drawn: (drawn[0], json.dumps(drawn[0], indent=drawn[1], ensure_ascii=drawn[2]).encode())
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "truncate": st.booleans(),
        "prompt_name": st.text(max_size=8),
        "normalize": st.just(value=False),
        "dimensions": st.integers(0, 10_000),
    },
)


@given(st.lists(WRITTEN, min_size=1, max_size=5), OPTIONS)
def test_a_call_has_each_input_once_and_the_options(
    jobs: list[tuple[list[object], bytes]], options: dict[str, object]
) -> None:
    """And every job finds its own inputs at its places, in its order."""
    asked = msgspec.convert(options, Options)
    call = call_for([make_job(str(n), n=len(items), body=raw, options=asked) for n, (items, raw) in enumerate(jobs)])

    said, merged = json.loads(call.post(Tei()).body), call.merged
    assert merged is not None
    assert options == {name: value for name, value in said.items() if name != "inputs"}
    assert next(iter(said)) == "inputs"
    assert call.inputs == len(merged.items) == len(said["inputs"])
    assert [items for items, _ in jobs] == [[said["inputs"][place] for place in places] for places in merged.places]
    assert set(range(call.inputs)) == {place for places in merged.places for place in places}


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=20))
def test_what_several_ask_for_is_asked_for_once(texts: list[str]) -> None:
    merged = merge([make_job(str(n), body=json.dumps([text]).encode()) for n, text in enumerate(texts)])

    rows = [b"[%d]" % ord(text) for text in map(json.loads, merged.items)]
    assert len(merged.items) == len(set(texts))
    assert [[[ord(text)]] for text in texts] == [json.loads(part(rows, places)) for places in merged.places]


def test_a_job_that_travels_alone_keeps_what_it_has_twice() -> None:
    """Its tokens are counted by its call: each of them pays."""
    solo = make_job("1", n=3, body=b"[[7],[7],[8]]", kind="solo")
    merged = merge([solo])
    assert (merged.items, merged.places) == ([b"[7]", b"[7]", b"[8]"], [(0, 1, 2)])


def test_a_call_is_as_short_as_can_be() -> None:
    two = make_job("2", n=2, body=b'["b","c"]')
    assert call_for([make_job("1", body=b'["a"]'), two]).post(Tei()).body == b'{"inputs":["a","b","c"]}'
    only = make_job("1", body=b'["a"]', options=UNNORMALIZED)
    assert call_for([only]).post(Tei()).body == b'{"inputs":["a"],"normalize":false}'


def test_a_part_is_the_rows_of_one_job_in_its_order() -> None:
    assert part([b"[1]", b"[2]"], (1, 0, 1)) == b"[[2],[1],[2]]"
    assert part([b"[1]"], (0,)) == b"[[1]]"


def test_lists_of_ids_are_known_from_texts() -> None:
    jobs = [make_job("1", n=3, body=b'["[1]", [1],\n[2]]'), make_job("2", body=b"[ [3] ]")]
    assert merge(jobs).ids == [1, 2, 3]
