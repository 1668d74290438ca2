"""Values of a client's headers, as aiohttp passes them: bytes that are not UTF-8 as lone surrogates."""

from typing import Any, cast

import msgspec

from autobatch_proxy.access.bearer_keys import Access
from autobatch_proxy.http.errors import tei_error
from autobatch_proxy.http.headers import CommonHeaders, asks_bulk, timeout_s
from autobatch_shared.contract.errors import InvalidRequest

_access = Access(["key"])
_common = CommonHeaders("w1", ["https://a.b"])


class _Request(dict[Any, Any]):
    """The parts of a request that are read here."""

    def __init__(self, said: str) -> None:
        super().__init__()
        self.headers = {"x-request-id": said, "Origin": said}


def check_headers(data: bytes) -> None:
    """Each has a meaning or one clear refusal, and a value that is copied into an answer's head cannot be two lines."""
    said = data.decode("utf-8", "surrogateescape")
    for read in (asks_bulk, lambda value: timeout_s(value, 30_000)):
        try:
            meant = read(said)
        except InvalidRequest as error:
            msgspec.json.decode(tei_error(error)[1])
        else:
            assert 0 <= meant <= 30
    assert _access.is_granted(said) == (said == "Bearer key")
    request = cast("Any", _Request(said))
    head = _common.lines(said, _common.request_id(request))
    assert head.endswith(b"\r\n")
    assert [line.partition(b":")[0] for line in head.split(b"\r\n")][:2] == [b"x-request-id", b"vary"]
    assert head.count(b"\n") == (3 if said == "https://a.b" else 2)
