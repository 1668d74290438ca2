"""What `/info` says of the longest list: ours, and beside it the upstream's."""

import msgspec
import pytest

from autobatch_proxy.dialects.tei_info import info_of as told_of

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def info_of(info: bytes, request_inputs_max: int) -> bytes:
    return told_of(_decode(info), request_inputs_max)


def test_the_longest_list_is_ours_and_the_upstreams_has_a_key_of_its_own() -> None:
    """All else is as the upstream wrote it, in its order."""
    info = b'{"model_id":"\\u00e9", "max_client_batch_size":32,"f": 1e-07,"version":"1.9.3"}'

    assert info_of(info, 2048) == (
        b'{"model_id":"\\u00e9","max_client_batch_size":2048,"f":1e-07,"version":"1.9.3",'
        b'"upstream_max_client_batch_size":32}'
    )


def test_an_upstream_without_a_limit_gets_ours_and_no_other() -> None:
    assert info_of(b'{"model_id":"m"}', 5) == b'{"model_id":"m","max_client_batch_size":5}'


@pytest.mark.parametrize("value", [b"null", b'"32"', b"[32]"])
def test_an_odd_limit_is_passed_on(value: bytes) -> None:
    assert info_of(b'{"max_client_batch_size":%b}' % value, 5) == (
        b'{"max_client_batch_size":5,"upstream_max_client_batch_size":%b}' % value
    )


def test_behind_another_proxy_of_this_kind_the_limit_is_the_next_ones() -> None:
    assert info_of(info_of(b'{"max_client_batch_size":32}', 100), 2048) == (
        b'{"max_client_batch_size":2048,"upstream_max_client_batch_size":100}'
    )
