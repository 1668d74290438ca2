"""What an upstream says of itself only ever lowers the limits."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autobatch_batcher.dialects.tei import Tei
from autobatch_batcher.tuning.tuner import Tuner
from autobatch_batcher.upstreams.limits import Limits, configured, lowered
from autobatch_batcher.upstreams.replica_state import ReplicaState
from autobatch_batcher.upstreams.standing import Standing
from autobatch_shared.contract.cards import UNKNOWN_MAX, Card

OURS = configured(32, 2_000_000)
INFO = {
    "model_id": "BAAI/bge-small-en-v1.5",
    "model_sha": None,
    "model_dtype": "float32",
    "model_type": {"embedding": {"pooling": "cls"}},
    "max_concurrent_requests": 512,
    "max_input_length": 512,
    "max_batch_tokens": 16384,
    "max_batch_requests": None,
    "max_client_batch_size": 32,
    "auto_truncate": True,
    "version": "1.9.0",
}


def card(**changes: object) -> Card:
    return Tei().card(json.dumps(INFO | changes).encode())


def test_configured_limits_hold_until_the_upstream_speaks() -> None:
    assert Limits(32, 2_000_000, UNKNOWN_MAX) == OURS


@pytest.mark.parametrize(
    ("said", "inputs_max", "in_flight_inputs_max"),
    [
        ({}, 32, 512),
        ({"max_client_batch_size": 8}, 8, 512),
        ({"max_client_batch_size": 1000}, 32, 512),
        ({"max_client_batch_size": None}, 32, 512),
        ({"max_concurrent_requests": 20}, 20, 20),
        ({"max_concurrent_requests": None}, 32, UNKNOWN_MAX),
        ({"max_concurrent_requests": 10**9}, 32, UNKNOWN_MAX),
        ({"max_concurrent_requests": 4, "max_client_batch_size": 8}, 4, 4),
        ({"max_client_batch_size": 1}, 1, 512),
    ],
)
def test_limits_are_lowered_to_what_info_says(
    said: dict[str, object], inputs_max: int, in_flight_inputs_max: int
) -> None:
    """A list longer than the permits can never succeed, since TEI takes one for each input."""
    assert Limits(inputs_max, 2_000_000, in_flight_inputs_max, 512, 16_384) == lowered(OURS, card(**said))


@pytest.mark.parametrize(
    ("ours", "said", "expected"),
    [(None, 16_384, 16_384), (None, None, UNKNOWN_MAX), (4_096, 16_384, 4_096), (20_000, 16_384, 16_384)],
)
def test_the_tokens_of_a_call_are_the_fewer_of_ours_and_of_the_upstreams(
    ours: int | None, said: int | None, expected: int
) -> None:
    limits = configured(32, 2_000_000, ours)

    assert expected == lowered(limits, card(max_batch_tokens=said)).batch_tokens_max


@pytest.mark.parametrize(("said", "expected"), [(8, 8), (None, UNKNOWN_MAX), (0, UNKNOWN_MAX), ("8", UNKNOWN_MAX)])
def test_a_pass_has_as_many_inputs_as_the_upstream_says(said: object, expected: int) -> None:
    assert expected == lowered(OURS, card(max_batch_requests=said)).pass_inputs_max


@pytest.mark.parametrize(("said", "is_tried"), [(8, False), (32, True), (None, True)])
def test_where_a_call_is_cut_into_passes_no_other_size_of_calls_is_tried(said: int | None, is_tried: bool) -> None:  # noqa: FBT001 - of a case
    state = ReplicaState("http://a", Tei(), OURS, Tuner(None), Standing())
    state.take_card(card(max_batch_requests=said), 0.0)

    assert is_tried == (state.tuner.setting.units_max is not None)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"32",
        b"<html>",
        b"\xff",
        b'{"model_id":"\xff"}',
        b'{"max_client_batch_size":8',
        b'{"max_client_batch_size":"8"}',
        b'{"max_client_batch_size":8.5}',
        b'{"max_client_batch_size":true}',
        b'{"max_client_batch_size":[8]}',
        b'{"max_client_batch_size":8}{}',
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda said: repr(said[:40]),
)
def test_what_is_no_info_changes_nothing(said: bytes) -> None:
    assert lowered(OURS, Tei().card(said)) == OURS


SIZES = st.none() | st.integers(-(2**70), 2**70)


@given(SIZES, SIZES, st.integers(1, 1000))
def test_info_never_raises_a_limit_and_leaves_room_for_one(
    client_batch: int | None, permits: int | None, inputs_max: int
) -> None:
    before = configured(inputs_max, 1000)

    after = lowered(before, card(max_client_batch_size=client_batch, max_concurrent_requests=permits))

    assert 1 <= after.inputs_max <= min(before.inputs_max, after.in_flight_inputs_max)
    assert after.in_flight_inputs_max <= before.in_flight_inputs_max
    assert after.body_bytes_max == before.body_bytes_max


@given(st.binary())
def test_any_bytes_are_survived(said: bytes) -> None:
    assert lowered(OURS, Tei().card(said)) == OURS


def test_other_limits_of_ours_hold_at_once_as_far_as_the_card_allows() -> None:
    state = ReplicaState("http://a", Tei(), OURS, Tuner(None), Standing())
    state.take_card(card(), 0.0)
    for inputs_max, allowed in ((8, 8), (64, 32)):
        state.bound(configured(inputs_max, 2_000_000), 1.0)
        assert state.limits.inputs_max == allowed
    assert state.limits.batch_tokens_max == 16384
